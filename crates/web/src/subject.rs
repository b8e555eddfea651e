//! Who the subject of the readings is.

use emotionclip::detector::{
    Bounds, Face, Growth, Square, Track, Tracker, TrackerConfig, rank_by_prominence,
};
use emotionclip::preprocess::SubjectBox;
use serde::{Deserialize, Serialize};

/// What the page asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "camelCase", deny_unknown_fields)]
pub enum SubjectChoice {
    /// The most prominent face, kept as long as it is known.
    #[default]
    Auto,
    /// The person of that number.
    Person {
        /// As in [`PersonBox::id`].
        id: u64,
    },
    /// A box drawn by hand, in pixels of the frame.
    Box {
        /// Left, top, right and bottom.
        edges: Edges,
    },
    /// The whole picture.
    Whole,
}

/// Left, top, right and bottom edge in pixels of the frame.
pub type Edges = [f32; 4];

/// A person that the page can draw and a visitor can pick.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonBox {
    /// Number in order of appearance.
    pub id: u64,
    /// The face.
    pub face: Edges,
    /// Head and shoulders, what the model is told; none when wholly outside the picture.
    pub body: Option<Edges>,
    /// Confidence when last found, in [0, 1].
    pub score: f32,
    /// Whether found in this very frame; otherwise where it is expected.
    pub found: bool,
}

/// Follows people through a stream and says who the subject is.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    tracker: Tracker,
    choice: SubjectChoice,
    chosen: Option<u64>,
}

/// Who the subject of one frame is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sight {
    /// Of a person who was followed.
    pub id: Option<u64>,
    /// What the mask is drawn from; none for the whole picture and when nobody is known.
    pub outline: Option<SubjectBox>,
    /// What a close-up shows: the face of a person who was followed, or the box drawn by hand.
    pub square: Option<Square>,
    /// The whole picture is the subject.
    pub whole: bool,
}

impl Follower {
    /// For so many frames a second.
    pub fn new(frames_per_second: f64) -> Self {
        Self {
            tracker: Tracker::new(TrackerConfig::at_rate(frames_per_second)),
            choice: SubjectChoice::Auto,
            chosen: None,
        }
    }

    /// Changes who is asked for.
    pub fn choose(&mut self, choice: SubjectChoice) {
        self.chosen = match choice {
            SubjectChoice::Person { id } => Some(id),
            _ => None,
        };
        self.choice = choice;
    }

    pub fn choice(&self) -> SubjectChoice {
        self.choice
    }

    /// Whether that person is known now.
    pub fn knows(&self, id: u64) -> bool {
        self.tracker.track(id).is_some()
    }

    /// Takes in the faces of the next frame of `[width, height]` pixels.
    pub fn look(&mut self, faces: &[Face], size: [u32; 2]) -> Sight {
        self.tracker.update(faces, size);
        let nobody = Sight {
            id: None,
            outline: None,
            square: None,
            whole: false,
        };
        match self.choice {
            SubjectChoice::Whole => Sight {
                whole: true,
                ..nobody
            },
            SubjectChoice::Box { edges } => {
                let outline = clipped(edges, size);
                Sight {
                    square: outline.map(|drawn| Bounds::from(drawn).square()),
                    outline,
                    ..nobody
                }
            }
            SubjectChoice::Auto | SubjectChoice::Person { .. } => {
                if self.chosen.is_none_or(|id| !self.knows(id)) {
                    // Whoever was picked by hand is waited for only as long as the tracker does.
                    self.chosen = self.most_prominent(size);
                }
                let Some(track) = self.chosen.and_then(|id| self.tracker.track(id)) else {
                    return nobody;
                };
                Sight {
                    id: Some(track.id),
                    outline: track.face.subject(Growth::HEAD_AND_SHOULDERS, size),
                    square: Some(track.face.bounds.close_up_square()),
                    whole: false,
                }
            }
        }
    }

    /// Everybody who is known, for drawing.
    pub fn people(&self, size: [u32; 2]) -> Vec<PersonBox> {
        let person = |track: &Track| {
            let face = track.face.bounds;
            let body = track.face.subject(Growth::HEAD_AND_SHOULDERS, size);
            PersonBox {
                id: track.id,
                face: [face.x1, face.y1, face.x2, face.y2],
                body: body.map(|edges| [edges.x1, edges.y1, edges.x2, edges.y2]),
                score: track.face.score,
                found: track.missed == 0,
            }
        };
        self.tracker.tracks().iter().map(person).collect()
    }

    /// Forgets everybody, for another source; numbers begin anew.
    pub fn reset(&mut self, frames_per_second: f64) {
        self.tracker = Tracker::new(TrackerConfig::at_rate(frames_per_second));
        self.chosen = None;
        if let SubjectChoice::Person { .. } | SubjectChoice::Box { .. } = self.choice {
            self.choice = SubjectChoice::Auto;
        }
    }

    fn most_prominent(&self, size: [u32; 2]) -> Option<u64> {
        let present: Vec<&Track> = self
            .tracker
            .tracks()
            .iter()
            .filter(|track| track.missed == 0)
            .collect();
        let faces: Vec<Face> = present.iter().map(|track| track.face).collect();
        let first = *rank_by_prominence(&faces, size).first()?;
        present.get(first).map(|track| track.id)
    }
}

/// The part of a hand-drawn box inside the picture.
fn clipped([x1, y1, x2, y2]: Edges, size: [u32; 2]) -> Option<SubjectBox> {
    let [width, height] = size.map(|side| side as f32);
    let subject = SubjectBox {
        x1: x1.min(x2).max(0.0),
        y1: y1.min(y2).max(0.0),
        x2: x1.max(x2).min(width),
        y2: y1.max(y2).min(height),
        score: None,
    };
    let inside = subject.x1 < subject.x2 && subject.y1 < subject.y2;
    inside.then_some(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use emotionclip::detector::{Bounds, KeyPoints};

    const SIZE: [u32; 2] = [640, 480];

    fn face(x: f32, side: f32) -> Face {
        let half = side / 2.0;
        Face {
            bounds: Bounds {
                x1: x - half,
                y1: 240.0 - half,
                x2: x + half,
                y2: 240.0 + half,
            },
            key_points: KeyPoints::from([[x, 240.0]; 6]),
            score: 0.9,
        }
    }

    #[test]
    fn the_most_prominent_person_is_kept_when_another_grows() {
        let mut follower = Follower::new(8.0);
        let first = follower.look(&[face(150.0, 120.0), face(500.0, 60.0)], SIZE);
        let id = first.id;
        assert!(id.is_some() && first.outline.is_some());
        let later = follower.look(&[face(152.0, 118.0), face(498.0, 90.0)], SIZE);
        assert_eq!(later.id, id);
    }

    #[test]
    fn a_picked_person_is_the_subject_until_lost() {
        let mut follower = Follower::new(1.0);
        follower.look(&[face(150.0, 120.0), face(500.0, 60.0)], SIZE);
        let people = follower.people(SIZE);
        let small = people.iter().find(|person| person.face[0] > 400.0);
        let id = small.map(|person| person.id).unwrap_or_default();
        follower.choose(SubjectChoice::Person { id });
        let sight = follower.look(&[face(150.0, 120.0), face(500.0, 60.0)], SIZE);
        assert_eq!(sight.id, Some(id));
        for _ in 0..5 {
            follower.look(&[face(150.0, 120.0)], SIZE);
        }
        let sight = follower.look(&[face(150.0, 120.0)], SIZE);
        assert_ne!(sight.id, Some(id), "given up, and the other one is there");
        assert!(sight.id.is_some());
    }

    #[test]
    fn boxes_may_be_drawn_backwards_and_are_cut_at_the_edge() {
        let mut follower = Follower::new(8.0);
        let edges = [700.0, 300.0, 600.0, -20.0];
        follower.choose(SubjectChoice::Box { edges });
        let outline = follower.look(&[], SIZE).outline;
        let outline = outline.map(|found| [found.x1, found.y1, found.x2, found.y2]);
        assert_eq!(outline, Some([600.0, 0.0, 640.0, 300.0]));
        let edges = [700.0, 300.0, 690.0, 400.0];
        follower.choose(SubjectChoice::Box { edges });
        assert_eq!(follower.look(&[], SIZE).outline, None);
    }

    #[test]
    fn nobody_is_no_subject_and_the_whole_picture_is_one() {
        let mut follower = Follower::new(8.0);
        let sight = follower.look(&[], SIZE);
        assert!(!sight.whole && sight.outline.is_none());
        follower.choose(SubjectChoice::Whole);
        assert!(follower.look(&[], SIZE).whole);
    }
}
