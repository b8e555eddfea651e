//! `--subject detect`: one of the faces found, followed through the frames.

use std::fmt;

use emotionclip::detector::{
    Bounds, Detector, Face, Growth, Track, Tracker, TrackerConfig, rank_by_prominence,
};
use emotionclip::preprocess::SubjectBox;
use image::RgbImage;
use serde::Serialize;

use crate::failure::{OrBadInput, bad_input};

/// What to do when nobody is found.
const REMEDY: &str = "give --subject box:x1,y1,x2,y2 (pixels) or whole";

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

/// Finds the subject of one stream and follows it.
pub struct Follower<'a> {
    detector: &'a Detector,
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

impl<'a> Follower<'a> {
    /// Follows the face of that rank in the first frame that shows so many, 1 being the most
    /// prominent.
    pub fn new(
        detector: &'a Detector,
        rank: usize,
        frames_per_second: f64,
        announce: bool,
    ) -> Self {
        Self {
            detector,
            tracker: Tracker::new(TrackerConfig::at_rate(frames_per_second)),
            rank,
            announce,
            chosen: None,
            frames: 0,
            found: 0,
            most: 0,
        }
    }

    /// The subject in the next frame; none while nobody is known.
    ///
    /// # Errors
    /// Bad input for a frame that can't be looked at.
    pub fn look(
        &mut self,
        file: &dyn fmt::Display,
        time: f64,
        frame: &RgbImage,
    ) -> anyhow::Result<Option<Person>> {
        let size = [frame.width(), frame.height()];
        let faces = self.detector.detect(frame).or_bad_input(file)?;
        self.most = self.most.max(faces.len());
        self.tracker.update(&faces, size);
        let number = self.frames;
        self.frames += 1;
        if self.subject().is_none() {
            self.choose(file, time, number, size);
        }
        let Some(track) = self.subject() else {
            return Ok(None);
        };
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
        Ok(Some(person))
    }

    /// Says in how many frames the subject was found.
    ///
    /// # Errors
    /// Bad input when it was in none.
    pub fn finish(self, file: &dyn fmt::Display) -> anyhow::Result<()> {
        let (frames, most) = (self.frames, self.most);
        if self.chosen.is_none() {
            let looked = match frames {
                1 => "in the picture".to_owned(),
                _ => format!("in any of {frames} frames"),
            };
            return Err(bad_input(match most {
                0 => format!("{file}: no face found {looked}; {REMEDY}"),
                _ => format!(
                    "{file}: --subject detect:{}, but no frame shows more than {most} at once; \
                     give a number up to {most}",
                    self.rank
                ),
            }));
        }
        if self.announce && self.found < frames {
            tracing::info!(
                "{file}: the subject was found in {} of {frames} frames",
                self.found
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
            let who = match lost {
                Some(_) => "lost; going on with a face that came later,".to_owned(),
                None => format!("face {rank} of {},", faces.len()),
            };
            tracing::info!(
                "{file}: subject: {who} at {time:.1} s, {x1:.0},{y1:.0},{x2:.0},{y2:.0} (score {:.2})",
                track.face.score
            );
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
