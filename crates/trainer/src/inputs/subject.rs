//! Who the subject is: `--subject`.

mod follow;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;
use emotionclip::detector::{BUNDLED_WEIGHTS, Bounds, Detector};
use emotionclip::preprocess::{MaskProtocol, Preprocess, SubjectBox};
use emotionclip::{Clip, Pretrained};
use emotionclip_data::decode;
use image::{GrayImage, Luma, RgbImage};
use sha2::{Digest, Sha256};

use crate::failure::{OrBadInput, bad_input};

use follow::Follower;

pub use follow::Person;

/// Frames of a clip that were picked from all over it are about a second apart.
const SAMPLED_RATE: f64 = 1.0;

/// The value of `--subject`.
#[derive(Clone, Debug, PartialEq)]
pub enum SubjectChoice {
    /// The whole picture.
    Whole,
    /// Nobody in particular: the model is told of no subject.
    None,
    /// A box in pixels of the picture, the same in every frame.
    Box(SubjectBox),
    /// The same, and of the pictures only the smallest square around it, which then fills the frame.
    Crop(SubjectBox),
    /// A picture of the frames' size, white where the subject is.
    Mask(PathBuf),
    /// Whoever the detector finds; with several, the one of this rank by size and place.
    Detect(NonZeroUsize),
    /// The same, and of the pictures only that face, which then fills the frame.
    Face(NonZeroUsize),
}

impl SubjectChoice {
    fn is_detected(&self) -> bool {
        self.rank().is_some()
    }

    /// Which of the faces found is looked for.
    fn rank(&self) -> Option<NonZeroUsize> {
        match self {
            Self::Detect(rank) | Self::Face(rank) => Some(*rank),
            Self::Whole | Self::None | Self::Box(_) | Self::Crop(_) | Self::Mask(_) => None,
        }
    }
}

impl FromStr for SubjectChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "whole" => Ok(Self::Whole),
            None if text == "none" => Ok(Self::None),
            None if text == "detect" => Ok(Self::Detect(NonZeroUsize::MIN)),
            None if text == "face" => Ok(Self::Face(NonZeroUsize::MIN)),
            Some((kind @ ("detect" | "face"), rank)) => {
                let rank = rank.parse().map_err(|_| {
                    format!("{text}: give a number from 1, the largest and most central face")
                })?;
                Ok(if kind == "face" {
                    Self::Face(rank)
                } else {
                    Self::Detect(rank)
                })
            }
            Some(("mask", file)) if !file.is_empty() => Ok(Self::Mask(PathBuf::from(file))),
            Some(("box", edges)) => parse_box(text, edges).map(Self::Box),
            Some(("crop", edges)) => parse_box(text, edges).map(Self::Crop),
            _ => Err(format!(
                "'{text}' is no subject; use whole, none, face[:n], detect[:n], box:x1,y1,x2,y2, \
                 crop:x1,y1,x2,y2 (pixels) or mask:FILE"
            )),
        }
    }
}

fn parse_box(text: &str, edges: &str) -> Result<SubjectBox, String> {
    let numbers: Result<Vec<f32>, _> = edges.split(',').map(|edge| edge.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x1, y1, x2, y2]) if [x1, y1, x2, y2].iter().all(|edge| edge.is_finite()) => {
            if x1 >= x2 || y1 >= y2 {
                return Err(format!(
                    "{text}: the right edge must lie right of the left one and the bottom \
                     below the top"
                ));
            }
            let score = None;
            Ok(SubjectBox {
                x1,
                y1,
                x2,
                y2,
                score,
            })
        }
        _ => Err(format!(
            "{text}: give four numbers, left,top,right,bottom in pixels"
        )),
    }
}

impl fmt::Display for SubjectChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => formatter.write_str("whole"),
            Self::None => formatter.write_str("none"),
            Self::Box(subject) | Self::Crop(subject) => {
                let SubjectBox { x1, y1, x2, y2, .. } = subject;
                let kind = if matches!(self, Self::Box(_)) {
                    "box"
                } else {
                    "crop"
                };
                write!(formatter, "{kind}:{x1},{y1},{x2},{y2}")
            }
            Self::Mask(path) => write!(formatter, "mask:{}", path.display()),
            Self::Detect(rank) if rank.get() == 1 => formatter.write_str("detect"),
            Self::Detect(rank) => write!(formatter, "detect:{rank}"),
            Self::Face(rank) if rank.get() == 1 => formatter.write_str("face"),
            Self::Face(rank) => write!(formatter, "face:{rank}"),
        }
    }
}

/// A subject, with the mask file read or the detector ready.
#[derive(Clone, Debug)]
pub struct Subject {
    choice: SubjectChoice,
    mask: Option<GrayImage>,
    detector: Option<Detector>,
}

/// The subject in one frame.
#[derive(Clone, Debug)]
pub struct Sight {
    /// What the model is shown in place of the frame: the subject's face.
    pub close_up: Option<RgbImage>,
    /// White where the subject is, of the size of what the model is shown; black if nobody is known
    /// to be there.
    pub mask: GrayImage,
    /// The subject's box, for drawing.
    pub outline: Option<SubjectBox>,
    /// Who the detector says it is.
    pub person: Option<Person>,
}

impl Subject {
    /// Reads what the choice names.
    ///
    /// # Errors
    /// Bad input for a mask that can't be read or shows no subject.
    pub fn read(choice: &SubjectChoice) -> anyhow::Result<Self> {
        let mask = match choice {
            SubjectChoice::Mask(path) => {
                let mask = decode::read_mask(path).or_bad_input("--subject")?;
                if mask.iter().all(|value| *value == 0) {
                    return Err(bad_input(format!(
                        "{}: the mask is black all over; paint the subject white",
                        path.display()
                    )));
                }
                Some(mask)
            }
            _ => None,
        };
        // On the CPU wherever the model runs: the network is small, and faces are the same on every
        // machine.
        let detector = match choice.rank() {
            Some(_) => Some(Detector::bundled(&Device::flex())?),
            None => None,
        };
        let choice = choice.clone();
        Ok(Self {
            choice,
            mask,
            detector,
        })
    }

    /// Whether the subject is looked for in the frames.
    pub fn is_detected(&self) -> bool {
        self.choice.is_detected()
    }

    /// What distinguishes features of one subject from another's.
    pub fn fingerprint(&self) -> String {
        match (&self.choice, &self.mask) {
            (_, Some(mask)) => {
                let mut digest = Sha256::new();
                digest.update(mask.width().to_le_bytes());
                digest.update(mask.as_raw());
                format!("mask:{:x}", digest.finalize())
            }
            (SubjectChoice::Detect(_) | SubjectChoice::Face(_), None) => {
                format!("{}:{}", self.choice, Pretrained::hash(BUNDLED_WEIGHTS))
            }
            (choice, None) => choice.to_string(),
        }
    }

    /// Follows the subject through the frames of one stream, so many a second; says on stderr who
    /// was found.
    pub fn follow(&self, frames_per_second: f64) -> SubjectStream<'_> {
        self.stream(frames_per_second, true)
    }

    fn stream(&self, frames_per_second: f64, announce: bool) -> SubjectStream<'_> {
        let rank = self.choice.rank();
        let follower = rank.map(|rank| Follower::new(rank.get(), frames_per_second, announce));
        SubjectStream {
            subject: self,
            follower,
        }
    }

    /// Frames with the subject's masks.
    ///
    /// # Errors
    /// Bad input for a mask of another size, a box outside a frame, or no face in any frame; `file`
    /// names the clip.
    pub fn clip(
        &self,
        file: &dyn fmt::Display,
        frames: Vec<RgbImage>,
        preprocess: &Preprocess,
    ) -> anyhow::Result<Clip> {
        let mut stream = self.stream(SAMPLED_RATE, false);
        let mut clip = Clip {
            frames: Vec::with_capacity(frames.len()),
            masks: Vec::with_capacity(frames.len()),
        };
        for (index, frame) in frames.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|last| frames.get(last));
            let (shown, mask) = match (clip.frames.last(), clip.masks.last()) {
                // A picture is a clip of one frame again and again: one look is enough.
                (Some(shown), Some(mask)) if before == Some(frame) => (shown.clone(), mask.clone()),
                _ => {
                    let time = index as f64 / SAMPLED_RATE;
                    let sight = stream.look(file, time, frame, preprocess)?;
                    let shown = sight.close_up.unwrap_or_else(|| frame.clone());
                    (shown, sight.mask)
                }
            };
            clip.frames.push(shown);
            clip.masks.push(mask);
        }
        stream.finish(file)?;
        Ok(clip)
    }

    fn outside(&self, file: &dyn fmt::Display, frame: &RgbImage) -> anyhow::Error {
        let (width, height) = frame.dimensions();
        bad_input(format!(
            "{file}: {} lies outside its {width} × {height} pixels",
            self.choice
        ))
    }

    /// The mask of a frame of a subject that is not looked for.
    fn given(
        &self,
        file: &dyn fmt::Display,
        frame: &RgbImage,
        preprocess: &Preprocess,
    ) -> anyhow::Result<GrayImage> {
        let (width, height) = frame.dimensions();
        match (&self.choice, &self.mask) {
            (SubjectChoice::Box(subject), _) => {
                let mask = boxed(file, *subject, frame, preprocess)?;
                if mask.iter().all(|value| *value == 0) {
                    return Err(self.outside(file, frame));
                }
                Ok(mask)
            }
            (_, Some(mask)) if mask.dimensions() == (width, height) => Ok(mask.clone()),
            (_, Some(mask)) => Err(bad_input(format!(
                "{file}: {width} × {height} pixels, but {} has {} × {}; draw the mask at the \
                 frame's size",
                self.choice,
                mask.width(),
                mask.height()
            ))),
            (SubjectChoice::Whole, None) => {
                Ok(GrayImage::from_pixel(width, height, Luma([u8::MAX])))
            }
            (_, None) => Ok(GrayImage::new(width, height)),
        }
    }
}

/// The mask of a box in pixels of the frame as it came, edges outward: the rule of BoLD.
fn boxed(
    file: &dyn fmt::Display,
    subject: SubjectBox,
    frame: &RgbImage,
    preprocess: &Preprocess,
) -> anyhow::Result<GrayImage> {
    let size = [frame.width(), frame.height()];
    MaskProtocol::Bold
        .mask(&[subject], size, preprocess)
        .or_bad_input(file)
}

/// The subject in the frames of one stream.
pub struct SubjectStream<'a> {
    subject: &'a Subject,
    follower: Option<Follower>,
}

impl SubjectStream<'_> {
    /// The subject in the next frame, shown at `time` seconds; `file` names it in errors.
    ///
    /// # Errors
    /// Bad input for a mask of another size or a box outside the frame.
    pub fn look(
        &mut self,
        file: &dyn fmt::Display,
        time: f64,
        frame: &RgbImage,
        preprocess: &Preprocess,
    ) -> anyhow::Result<Sight> {
        let (Some(detector), Some(follower)) = (&self.subject.detector, &mut self.follower) else {
            let (outline, square) = match self.subject.choice {
                SubjectChoice::Box(subject) => (Some(subject), None),
                SubjectChoice::Crop(subject) => {
                    (Some(subject), Some(Bounds::from(subject).square()))
                }
                _ => (None, None),
            };
            if let Some(square) = square {
                let close_up = square
                    .cut(frame)
                    .ok_or_else(|| self.subject.outside(file, frame))?;
                return Ok(Sight {
                    mask: GrayImage::from_pixel(
                        close_up.width(),
                        close_up.height(),
                        Luma([u8::MAX]),
                    ),
                    close_up: Some(close_up),
                    outline,
                    person: None,
                });
            }
            return Ok(Sight {
                close_up: None,
                mask: self.subject.given(file, frame, preprocess)?,
                outline,
                person: None,
            });
        };
        let faces = detector.detect(frame).or_bad_input(file)?;
        let size = [frame.width(), frame.height()];
        let person = follower.follow(file, time, &faces, size);
        if let SubjectChoice::Face(_) = self.subject.choice
            && let Some(found) = &person
            && let Some(close_up) = found.face.close_up(frame)
        {
            let (width, height) = close_up.dimensions();
            return Ok(Sight {
                mask: GrayImage::from_pixel(width, height, Luma([u8::MAX])),
                close_up: Some(close_up),
                outline: found.close_up_outline(size),
                person,
            });
        }
        let outline = person.as_ref().and_then(|person| person.subject);
        let mask = match outline {
            Some(subject) => boxed(file, subject, frame, preprocess)?,
            None => GrayImage::new(frame.width(), frame.height()),
        };
        Ok(Sight {
            close_up: None,
            mask,
            outline,
            person,
        })
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// Bad input when a subject was to be found and wasn't in any frame.
    pub fn finish(self, file: &dyn fmt::Display) -> anyhow::Result<()> {
        self.follower
            .map_or(Ok(()), |follower| follower.finish(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_print_as_they_are_written() {
        for text in [
            "whole",
            "none",
            "detect",
            "detect:2",
            "face",
            "face:3",
            "box:1,2.5,30,40",
            "crop:1,2.5,30,40",
            "mask:a:b.png",
        ] {
            assert_eq!(text.parse::<SubjectChoice>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "box",
            "box:1,2,3",
            "box:5,0,1,9",
            "crop:1,2",
            "box:1,2,nan,4",
            "mask:",
            "half",
            "detect:",
            "detect:0",
            "detect:-1",
            "detect:one",
            "face:0",
        ] {
            assert!(text.parse::<SubjectChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_box_is_drawn_in_pixels_of_the_frame() {
        let subject = Subject::read(&"box:1,0,3,2".parse().unwrap()).unwrap();
        let frame = RgbImage::new(4, 3);
        let preprocess = Preprocess::square(64);
        let mut stream = subject.follow(8.0);
        let mask = stream
            .look(&"a.png", 0.0, &frame, &preprocess)
            .unwrap()
            .mask;
        assert_eq!(
            mask.into_raw(),
            [0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0]
        );
        let outside = Subject::read(&"box:10,10,20,20".parse().unwrap()).unwrap();
        let mut stream = outside.follow(8.0);
        let error = stream.look(&"a.png", 0.0, &frame, &preprocess).unwrap_err();
        assert!(
            error.to_string().contains("outside its 4 × 3 pixels"),
            "{error}"
        );
    }

    #[test]
    fn a_crop_shows_the_square_around_the_box_alone() {
        let subject = Subject::read(&"crop:2,0,6,2".parse().unwrap()).unwrap();
        let frame = RgbImage::from_fn(8, 4, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let preprocess = Preprocess::square(64);
        let sight = subject
            .follow(8.0)
            .look(&"a.png", 0.0, &frame, &preprocess)
            .unwrap();
        let shown = sight.close_up.unwrap();
        // From 2, -1: the row above the picture repeats its first.
        assert_eq!(shown.dimensions(), (4, 4));
        assert_eq!(shown.get_pixel(0, 0).0, [2, 0, 0]);
        assert_eq!(shown.get_pixel(3, 3).0, [5, 2, 0]);
        assert!(sight.mask.iter().all(|value| *value == 255));
        let outside = Subject::read(&"crop:10,10,20,20".parse().unwrap()).unwrap();
        let error = outside
            .follow(8.0)
            .look(&"a.png", 0.0, &frame, &preprocess)
            .unwrap_err();
        assert!(error.to_string().contains("outside its 8 × 4"), "{error}");
    }

    #[test]
    fn a_mask_must_show_a_subject_and_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let choice = SubjectChoice::Mask(path.clone());
        GrayImage::new(4, 3).save(&path).unwrap();
        assert!(
            Subject::read(&choice)
                .unwrap_err()
                .to_string()
                .contains("black all over")
        );
        GrayImage::from_pixel(4, 3, Luma([255]))
            .save(&path)
            .unwrap();
        let subject = Subject::read(&choice).unwrap();
        let mut stream = subject.follow(8.0);
        let preprocess = Preprocess::square(64);
        let error = stream.look(&"a.png", 0.0, &RgbImage::new(8, 8), &preprocess);
        assert!(error.unwrap_err().to_string().contains("has 4 × 3"));
        assert!(subject.fingerprint().starts_with("mask:"));
    }

    #[test]
    fn frames_without_anybody_are_no_clip_of_a_detected_subject() {
        let subject = Subject::read(&"detect".parse().unwrap()).unwrap();
        assert!(subject.fingerprint().starts_with("detect:"));
        let frames = vec![RgbImage::new(64, 48); 2];
        let error = subject.clip(&"a.mp4", frames, &Preprocess::square(64));
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with("a.mp4: no face"), "{message}");
    }
}
