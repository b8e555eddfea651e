//! `--subject detect`: one of the faces found, followed through the frames.

use std::fmt;

use emotionclip::detector::{
    Bounds, Face, Growth, Square, Track, Tracker, TrackerConfig, rank_by_prominence,
};
use emotionclip::preprocess::SubjectBox;
use serde::Serialize;

use crate::failure::bad_input;

/// What to do when nobody is found.
const REMEDY: &str = "give --subject crop:x1,y1,x2,y2 or box:x1,y1,x2,y2 (pixels), or whole";

/// The subject in one frame, as the detector sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// Number of the person, in order of appearance from 1.
    pub id: u64,
    /// Whether the face was found in this frame; if not, the box is where it is expected.
    pub found: bool,
    /// Confidence when last found, in [0, 1].
    pub score: f32,
    /// The face, in pixels.
    pub face: Bounds,
    /// Head and shoulders, cut at the picture's edges; none if wholly outside.
    #[serde(skip)]
    pub subject: Option<SubjectBox>,
}

impl Person {
    /// What of a frame of `[width, height]` pixels the [close-up](Bounds::close_up) of the face
    /// shows; none if nothing of it.
    pub fn close_up_outline(&self, frame: [u32; 2]) -> Option<SubjectBox> {
        let Square { left, top, side } = self.face.close_up_square();
        let [right, bottom] = frame.map(|length| length as f32);
        let outline = SubjectBox {
            x1: left.max(0.0),
            y1: top.max(0.0),
            x2: (left + side).min(right),
            y2: (top + side).min(bottom),
            score: Some(self.score),
        };
        (outline.x1 < outline.x2 && outline.y1 < outline.y2).then_some(outline)
    }
}

/// Picks the subject of one stream among the faces found, and follows it.
pub struct Follower {
    tracker: Tracker,
    /// Which of the faces, from 1.
    rank: usize,
    announce: bool,
    chosen: Option<Chosen>,
    frames: u32,
    found: u32,
    /// Most faces in one frame.
    most: usize,
}

/// Who the subject is.
#[derive(Clone, Copy)]
struct Chosen {
    id: u64,
    /// The frame in which the subject was last found.
    last_found: u32,
}

impl Follower {
    /// Follows the face of that rank in the first frame that shows so many, 1 being the most
    /// prominent.
    pub fn new(rank: usize, frames_per_second: f64, announce: bool) -> Self {
        Self {
            tracker: Tracker::new(TrackerConfig::at_rate(frames_per_second)),
            rank,
            announce,
            chosen: None,
            frames: 0,
            found: 0,
            most: 0,
        }
    }

    /// The subject in the next frame, of `[width, height]` pixels, given its faces; none while
    /// nobody is known.
    pub fn follow(
        &mut self,
        file: &dyn fmt::Display,
        time: f64,
        faces: &[Face],
        size: [u32; 2],
    ) -> Option<Person> {
        self.most = self.most.max(faces.len());
        self.tracker.update(faces, size);
        let number = self.frames;
        self.frames += 1;
        if self.subject().is_none() {
            self.choose(file, time, number, size);
        }
        let track = self.subject()?;
        let person = Person {
            id: track.id,
            found: track.missed == 0,
            score: track.face.score,
            face: rounded(track.face.bounds),
            subject: track.face.subject(Growth::HEAD_AND_SHOULDERS, size),
        };
        if person.found {
            self.found += 1;
            self.chosen = Some(Chosen {
                id: person.id,
                last_found: number,
            });
        }
        Some(person)
    }

    /// Says in how many frames the subject was found.
    ///
    /// # Errors
    /// Bad input when it was in none.
    pub fn finish(self, file: &dyn fmt::Display) -> anyhow::Result<()> {
        let most = self.most;
        if self.chosen.is_none() {
            return Err(bad_input(match most {
                0 => format!("{file}: no face found; {REMEDY}"),
                _ => format!(
                    "{file}: --subject detect:{}, but no frame shows more than {most} at once; \
                     give a number up to {most}",
                    self.rank
                ),
            }));
        }
        if self.announce && self.found < self.frames {
            tracing::info!(
                "{file}: the subject was found in {} of {} frames",
                self.found,
                self.frames
            );
        }
        Ok(())
    }

    fn subject(&self) -> Option<&Track> {
        self.chosen.and_then(|chosen| self.tracker.track(chosen.id))
    }

    /// Chooses the subject; when one was lost, only among those who came after, because whoever was
    /// there beside the subject is somebody else.
    fn choose(&mut self, file: &dyn fmt::Display, time: f64, number: u32, size: [u32; 2]) {
        let lost = self.chosen;
        let present: Vec<&Track> = self
            .tracker
            .tracks()
            .iter()
            .filter(|track| track.missed == 0)
            .filter(|track| {
                lost.is_none_or(|lost| number.saturating_sub(track.age) > lost.last_found)
            })
            .collect();
        let faces: Vec<Face> = present.iter().map(|track| track.face).collect();
        let rank = if lost.is_some() { 1 } else { self.rank };
        let ranked = rank_by_prominence(&faces, size);
        let Some(track) = ranked.get(rank - 1).and_then(|index| present.get(*index)) else {
            return;
        };
        if self.announce {
            let Bounds { x1, y1, x2, y2 } = track.face.bounds;
            let score = track.face.score;
            let place =
                format!("at {time:.1} s, {x1:.0},{y1:.0},{x2:.0},{y2:.0} (score {score:.2})");
            match lost {
                Some(_) => tracing::warn!(
                    "{file}: the subject was lost; going on with a face that came later, {place}"
                ),
                None => tracing::info!(
                    "{file}: the subject is face {rank} of {}, {place}",
                    faces.len()
                ),
            }
        }
        self.chosen = Some(Chosen {
            id: track.id,
            last_found: number,
        });
    }
}

/// Edges to a tenth of a pixel, which is more than a detector knows.
fn rounded(bounds: Bounds) -> Bounds {
    let round = |edge: f32| (edge * 10.0).round() / 10.0;
    Bounds {
        x1: round(bounds.x1),
        y1: round(bounds.y1),
        x2: round(bounds.x2),
        y2: round(bounds.y2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emotionclip::detector::KeyPoints;

    const SIZE: [u32; 2] = [640, 360];

    fn face(x: f32, side: f32) -> Face {
        let half = side / 2.0;
        Face {
            bounds: Bounds {
                x1: x - half,
                y1: 180.0 - half,
                x2: x + half,
                y2: 180.0 + half,
            },
            key_points: KeyPoints::from([[x, 180.0]; 6]),
            score: 0.9,
        }
    }

    fn follow(follower: &mut Follower, faces: &[Face]) -> Option<(u64, bool)> {
        let person = follower.follow(&"a.mp4", 0.0, faces, SIZE)?;
        Some((person.id, person.found))
    }

    #[test]
    fn the_first_frame_with_enough_faces_decides() {
        let (large, small) = (face(200.0, 100.0), face(450.0, 60.0));
        let mut first = Follower::new(1, 8.0, false);
        let mut second = Follower::new(2, 8.0, false);
        assert_eq!(follow(&mut first, &[]), None);
        assert_eq!(follow(&mut first, &[small]), Some((1, true)));
        assert_eq!(follow(&mut second, &[small]), None);
        // The small face is still the first one's subject, though another is larger now.
        assert_eq!(follow(&mut first, &[large, small]), Some((1, true)));
        assert_eq!(follow(&mut second, &[small, large]), Some((1, true)));
        assert_eq!(follow(&mut second, &[large]), Some((1, false)));
        second.finish(&"a.mp4").unwrap();

        let mut third = Follower::new(3, 8.0, false);
        follow(&mut third, &[small, large]);
        let message = third.finish(&"a.mp4").unwrap_err().to_string();
        assert!(message.contains("no frame shows more than 2"), "{message}");
    }

    #[test]
    fn a_lost_subject_is_replaced_only_by_somebody_who_came_later() {
        // A frame a second: a face is given up after three.
        let mut follower = Follower::new(1, 1.0, false);
        let (subject, beside) = (face(200.0, 100.0), face(500.0, 60.0));
        assert_eq!(follow(&mut follower, &[subject, beside]), Some((1, true)));
        for _ in 0..3 {
            assert_eq!(follow(&mut follower, &[beside]), Some((1, false)));
        }
        for _ in 0..3 {
            assert_eq!(follow(&mut follower, &[beside]), None);
        }
        let late = face(200.0, 100.0);
        assert_eq!(follow(&mut follower, &[beside, late]), Some((3, true)));
        assert_eq!(follow(&mut follower, &[beside, late]), Some((3, true)));
        follower.finish(&"a.mp4").unwrap();
    }
}
