//! Who the subject is: `--subject`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use emotionclip::Clip;
use emotionclip::preprocess::{MaskProtocol, Preprocess, SubjectBox};
use emotionclip_data::decode;
use image::{GrayImage, Luma, RgbImage};
use sha2::{Digest, Sha256};

use crate::failure::{OrBadInput, bad_input};

/// The value of `--subject`.
#[derive(Clone, Debug, PartialEq)]
pub enum SubjectChoice {
    /// The whole picture.
    Whole,
    /// Nobody in particular: the model is told of no subject.
    None,
    /// A box in pixels of the picture, the same in every frame.
    Box(SubjectBox),
    /// A picture of the frames' size, white where the subject is.
    Mask(PathBuf),
}

impl FromStr for SubjectChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "whole" => Ok(Self::Whole),
            None if text == "none" => Ok(Self::None),
            Some(("mask", file)) if !file.is_empty() => Ok(Self::Mask(PathBuf::from(file))),
            Some(("box", edges)) => parse_box(edges).map(Self::Box),
            _ => Err(format!(
                "'{text}' is no subject; use whole, none, box:x1,y1,x2,y2 (pixels) or mask:FILE"
            )),
        }
    }
}

fn parse_box(edges: &str) -> Result<SubjectBox, String> {
    let numbers: Result<Vec<f32>, _> = edges.split(',').map(|edge| edge.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x1, y1, x2, y2]) if [x1, y1, x2, y2].iter().all(|edge| edge.is_finite()) => {
            if x1 >= x2 || y1 >= y2 {
                return Err(format!(
                    "box:{edges}: the right edge must lie right of the left one and the bottom \
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
            "box:{edges}: give four numbers, left,top,right,bottom in pixels"
        )),
    }
}

impl fmt::Display for SubjectChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => formatter.write_str("whole"),
            Self::None => formatter.write_str("none"),
            Self::Box(subject) => {
                let SubjectBox { x1, y1, x2, y2, .. } = subject;
                write!(formatter, "box:{x1},{y1},{x2},{y2}")
            }
            Self::Mask(path) => write!(formatter, "mask:{}", path.display()),
        }
    }
}

/// A subject whose mask file has been read.
#[derive(Clone, Debug)]
pub struct Subject {
    choice: SubjectChoice,
    mask: Option<GrayImage>,
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
        let choice = choice.clone();
        Ok(Self { choice, mask })
    }

    /// The box, for drawing.
    pub fn outline(&self) -> Option<SubjectBox> {
        match self.choice {
            SubjectChoice::Box(subject) => Some(subject),
            _ => None,
        }
    }

    /// What distinguishes features of one subject from another's.
    pub fn fingerprint(&self) -> String {
        match &self.mask {
            Some(mask) => {
                let mut digest = Sha256::new();
                digest.update(mask.width().to_le_bytes());
                digest.update(mask.as_raw());
                format!("mask:{:x}", digest.finalize())
            }
            None => self.choice.to_string(),
        }
    }

    /// The mask of a frame, of the frame's size.
    ///
    /// # Errors
    /// Bad input for a mask of another size or a box outside the frame; `file` names the frame.
    pub fn mask(
        &self,
        file: &dyn fmt::Display,
        frame: &RgbImage,
        preprocess: &Preprocess,
    ) -> anyhow::Result<GrayImage> {
        let (width, height) = frame.dimensions();
        match (&self.choice, &self.mask) {
            (SubjectChoice::Box(subject), _) => {
                // The rule of this corpus is pixels of the frame as it came, edges outward.
                let mask = MaskProtocol::Bold
                    .mask(&[*subject], [width, height], preprocess)
                    .or_bad_input(file)?;
                if mask.iter().all(|value| *value == 0) {
                    return Err(bad_input(format!(
                        "{file}: {} lies outside its {width} × {height} pixels",
                        self.choice
                    )));
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
            (SubjectChoice::None, None) => Ok(GrayImage::new(width, height)),
            (_, None) => Ok(GrayImage::from_pixel(width, height, Luma([u8::MAX]))),
        }
    }

    /// Frames with the subject's masks.
    ///
    /// # Errors
    /// As [`Self::mask`].
    pub fn clip(
        &self,
        file: &dyn fmt::Display,
        frames: Vec<RgbImage>,
        preprocess: &Preprocess,
    ) -> anyhow::Result<Clip> {
        let masks = frames
            .iter()
            .map(|frame| self.mask(file, frame, preprocess));
        let masks = masks.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Clip { frames, masks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_print_as_they_are_written() {
        for text in ["whole", "none", "box:1,2.5,30,40", "mask:a:b.png"] {
            assert_eq!(text.parse::<SubjectChoice>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "box",
            "box:1,2,3",
            "box:5,0,1,9",
            "box:1,2,nan,4",
            "mask:",
            "half",
        ] {
            assert!(text.parse::<SubjectChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_box_is_drawn_in_pixels_of_the_frame() {
        let subject = Subject::read(&"box:1,0,3,2".parse().unwrap()).unwrap();
        let frame = RgbImage::new(4, 3);
        let preprocess = Preprocess::square(64);
        let mask = subject.mask(&"a.png", &frame, &preprocess).unwrap();
        assert_eq!(
            mask.into_raw(),
            [0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0]
        );
        let outside = Subject::read(&"box:10,10,20,20".parse().unwrap()).unwrap();
        let error = outside.mask(&"a.png", &frame, &preprocess).unwrap_err();
        assert!(
            error.to_string().contains("outside its 4 × 3 pixels"),
            "{error}"
        );
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
        let error = subject.mask(&"a.png", &RgbImage::new(8, 8), &Preprocess::square(64));
        assert!(error.unwrap_err().to_string().contains("has 4 × 3"));
        assert!(subject.fingerprint().starts_with("mask:"));
    }
}
