//! Which frames of a video make a clip.
//!
//! The release thins a video out to every second to fourth frame and takes 32 in a row from a
//! random place, in evaluation too. Past the end it goes on at the beginning; a video that is still
//! too short is then reflected at its last frame, forward and back as often as needed.

use serde::{Deserialize, Serialize};

/// Where a clip begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// At a random frame, as the release.
    Release,
    /// So that its middle is the video's, which gives the same frames each time; a short video
    /// begins at its first frame.
    #[default]
    Centre,
}

/// How a clip's frames are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipWindow {
    /// Every how many frames one is kept, from the first; the release has 2, 3 or 4 by dataset.
    pub downsample: usize,
    /// Frames a clip, T.
    pub frames: usize,
    /// Where it begins.
    #[serde(default)]
    pub window: Window,
}

/// A clip that can't be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A video without frames.
    #[error("the video has no frames; leave it out")]
    NoFrames,
    /// A setting of zero.
    #[error("{field} must be at least 1")]
    Zero {
        /// Field of [`ClipWindow`].
        field: &'static str,
    },
}

impl ClipWindow {
    /// The release's for a down-sampling factor: 32 frames from a random place.
    pub const fn release(downsample: usize) -> Self {
        Self {
            downsample,
            frames: 32,
            window: Window::Release,
        }
    }

    /// Indices of the clip's frames in a video of `count` frames.
    ///
    /// `draw(n)` gives a number below n, uniformly: the place where a [`Window::Release`] begins.
    /// [`Window::Centre`] does not call it.
    ///
    /// # Errors
    ///
    /// If the video has no frames, or a setting is zero.
    pub fn indices(
        &self,
        count: usize,
        draw: impl FnOnce(usize) -> usize,
    ) -> Result<Vec<usize>, WindowError> {
        for (field, value) in [("downsample", self.downsample), ("frames", self.frames)] {
            if value == 0 {
                return Err(WindowError::Zero { field });
            }
        }
        if count == 0 {
            return Err(WindowError::NoFrames);
        }
        let kept = count.div_ceil(self.downsample);
        let positions = match self.window {
            Window::Release => {
                let start = draw(kept) % kept;
                // From the start to the end, then once from the beginning, whole if need be.
                let wrapped = (start..kept).chain(0..kept).take(self.frames).collect();
                reflected(wrapped, self.frames)
            }
            Window::Centre => {
                let start = kept.saturating_sub(self.frames) / 2;
                let whole = (start..kept).take(self.frames).collect();
                reflected(whole, self.frames)
            }
        };
        let frame = |position| position * self.downsample;
        Ok(positions.into_iter().map(frame).collect())
    }
}

/// Continues a sequence to `length` by reflection at its ends, as `numpy.pad(mode="reflect")`: the
/// outermost elements are not doubled, and a single one repeats.
fn reflected(sequence: Vec<usize>, length: usize) -> Vec<usize> {
    let last = sequence.len().saturating_sub(1);
    let period = (2 * last).max(1);
    (0..length)
        .map(|index| {
            let phase = index % period;
            sequence[phase.min(period - phase)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(window: Window, downsample: usize, frames: usize) -> ClipWindow {
        ClipWindow {
            downsample,
            frames,
            window,
        }
    }

    fn release(count: usize, frames: usize, start: usize) -> Vec<usize> {
        let window = window(Window::Release, 1, frames);
        window.indices(count, |_| start).unwrap()
    }

    fn centre(count: usize, downsample: usize, frames: usize) -> Vec<usize> {
        let window = window(Window::Centre, downsample, frames);
        let indices = window.indices(count, |_| panic!("a centred window draws nothing"));
        indices.unwrap()
    }

    #[test]
    fn a_long_video_gives_a_run_that_wraps_around() {
        assert_eq!(release(10, 4, 2), [2, 3, 4, 5]);
        assert_eq!(release(10, 4, 6), [6, 7, 8, 9]);
        assert_eq!(release(10, 4, 8), [8, 9, 0, 1]);
    }

    #[test]
    fn a_short_video_is_wrapped_once_and_then_reflected() {
        // The run to the end, the whole, and back from there.
        assert_eq!(release(3, 8, 1), [1, 2, 0, 1, 2, 1, 0, 2]);
        assert_eq!(release(1, 5, 0), [0; 5]);
    }

    #[test]
    fn thinning_keeps_the_first_frame_and_every_nth() {
        let window = window(Window::Release, 3, 3);
        let mut offered = 0;
        let indices = window.indices(10, |kept| {
            offered = kept;
            1
        });
        assert_eq!((indices, offered), (Ok(vec![3, 6, 9]), 4));
    }

    #[test]
    fn a_centred_window_has_the_videos_middle() {
        assert_eq!(centre(10, 1, 4), [3, 4, 5, 6]);
        assert_eq!(centre(9, 2, 3), [2, 4, 6]);
        assert_eq!(centre(3, 1, 7), [0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(centre(1, 4, 2), [0, 0]);
    }

    #[test]
    fn every_index_is_of_a_frame_and_every_length_is_met() {
        for count in 1..40 {
            for downsample in 1..=4 {
                for frames in [1, 2, 7, 32] {
                    for start in 0..count {
                        for place in [Window::Release, Window::Centre] {
                            let window = window(place, downsample, frames);
                            let indices = window.indices(count, |kept| start % kept).unwrap();
                            assert_eq!(indices.len(), frames);
                            assert!(indices.iter().all(|index| *index < count));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_gives_no_clip_is_an_error() {
        let draw = |_| 0;
        assert_eq!(
            ClipWindow::release(2).indices(0, draw),
            Err(WindowError::NoFrames)
        );
        let error = window(Window::Centre, 0, 4).indices(3, draw).unwrap_err();
        assert_eq!(error.to_string(), "downsample must be at least 1");
        let error = window(Window::Centre, 1, 0).indices(3, draw).unwrap_err();
        assert_eq!(error, WindowError::Zero { field: "frames" });
    }
}
