//! What is known of a found face.

use serde::{Deserialize, Serialize};

use crate::preprocess::SubjectBox;

/// A rectangle: left, top, right and bottom edge in pixels. It may reach beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl From<SubjectBox> for Bounds {
    fn from(subject: SubjectBox) -> Self {
        let SubjectBox { x1, y1, x2, y2, .. } = subject;
        Self { x1, y1, x2, y2 }
    }
}

impl Bounds {
    /// `[width, height]` in pixels; an edge on the wrong side of its opposite counts as zero.
    pub fn size(&self) -> [f32; 2] {
        [(self.x2 - self.x1).max(0.0), (self.y2 - self.y1).max(0.0)]
    }

    /// `[x, y]` of the middle in pixels.
    pub fn centre(&self) -> [f32; 2] {
        [(self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0]
    }

    /// Area in pixels.
    pub fn area(&self) -> f32 {
        let [width, height] = self.size();
        width * height
    }

    /// Common area over joint area, in [0, 1]; 0 for two rectangles without area.
    pub fn iou(&self, other: &Self) -> f32 {
        let common = Self {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
        .area();
        let joint = self.area() + other.area() - common;
        if joint > 0.0 { common / joint } else { 0.0 }
    }

    /// Whether all four edges are finite numbers.
    pub(super) fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|edge| edge.is_finite())
    }
}

/// Six points of a face, `[x, y]` in pixels. Right and left are the person's own: the right eye of
/// somebody who looks into the camera is in the left half of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPoints {
    /// Centre of the right eye.
    pub right_eye: [f32; 2],
    /// Centre of the left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose: [f32; 2],
    /// Centre of the mouth.
    pub mouth: [f32; 2],
    /// Tragion, in front of the right ear.
    pub right_ear: [f32; 2],
    /// Tragion, in front of the left ear.
    pub left_ear: [f32; 2],
}

impl KeyPoints {
    /// The points in the order of the fields, which is the network's.
    pub fn points(&self) -> [[f32; 2]; 6] {
        [
            self.right_eye,
            self.left_eye,
            self.nose,
            self.mouth,
            self.right_ear,
            self.left_ear,
        ]
    }
}

impl From<[[f32; 2]; 6]> for KeyPoints {
    fn from(points: [[f32; 2]; 6]) -> Self {
        let [right_eye, left_eye, nose, mouth, right_ear, left_ear] = points;
        Self {
            right_eye,
            left_eye,
            nose,
            mouth,
            right_ear,
            left_ear,
        }
    }
}

/// A face in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Face {
    /// The face from the brows to the chin and from ear to ear, about square.
    pub bounds: Bounds,
    /// Eyes, nose, mouth and ears.
    pub key_points: KeyPoints,
    /// Confidence in [0, 1].
    pub score: f32,
}

/// How far a subject reaches beyond the face, in widths of the face to each side and in heights of
/// the face above and below it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// To the left and to the right.
    pub sides: f32,
    /// Above.
    pub above: f32,
    /// Below.
    pub below: f32,
}

impl Growth {
    /// The face alone.
    pub const FACE: Self = Self {
        sides: 0.0,
        above: 0.0,
        below: 0.0,
    };

    /// Head and shoulders, as a portrait shows them. The detector's box spans a face from ear to
    /// ear, some 15 cm: shoulders are up to three of it wide, the crown lies 0.6 above the brows,
    /// and one face below the chin the chest begins. A little less to the sides keeps out
    /// neighbours who stand shoulder to shoulder.
    pub const HEAD_AND_SHOULDERS: Self = Self {
        sides: 0.8,
        above: 0.7,
        below: 1.0,
    };
}

impl Face {
    /// The part of a picture of `[width, height]` pixels that the face's owner takes up, for a mask
    /// to be drawn from; `None` when that lies wholly outside the picture.
    pub fn subject(&self, growth: Growth, picture: [u32; 2]) -> Option<SubjectBox> {
        let [width, height] = self.bounds.size();
        let [right, bottom] = picture.map(|side| side as f32);
        let subject = SubjectBox {
            x1: (self.bounds.x1 - growth.sides * width).max(0.0),
            y1: (self.bounds.y1 - growth.above * height).max(0.0),
            x2: (self.bounds.x2 + growth.sides * width).min(right),
            y2: (self.bounds.y2 + growth.below * height).min(bottom),
            score: Some(self.score),
        };
        (subject.x1 < subject.x2 && subject.y1 < subject.y2).then_some(subject)
    }

    /// How much the picture of `[width, height]` pixels is about this face: the share of the picture
    /// that it fills, halved for a face whose centre lies in a corner and in between by the distance
    /// from the picture's centre.
    pub fn prominence(&self, picture: [u32; 2]) -> f32 {
        let [width, height] = picture.map(|side| (side as f32).max(1.0));
        let [x, y] = self.bounds.centre();
        let distance = (x - width / 2.0).hypot(y - height / 2.0);
        let farthest = width.hypot(height) / 2.0;
        let off_centre = (distance / farthest).min(1.0);
        self.bounds.area() / (width * height) * (1.0 - 0.5 * off_centre)
    }
}

/// Indices of the faces, the most [prominent](Face::prominence) in a picture of `[width, height]`
/// pixels first.
pub fn rank_by_prominence(faces: &[Face], picture: [u32; 2]) -> Vec<usize> {
    let mut ranked: Vec<(usize, f32)> = faces
        .iter()
        .map(|face| face.prominence(picture))
        .enumerate()
        .collect();
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranked.into_iter().map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Face {
        Face {
            bounds: Bounds { x1, y1, x2, y2 },
            key_points: KeyPoints::from([[0.0; 2]; 6]),
            score: 0.9,
        }
    }

    #[test]
    fn overlap_is_common_over_joint_area() {
        let a = face(0.0, 0.0, 4.0, 4.0).bounds;
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&face(2.0, 0.0, 6.0, 4.0).bounds), 8.0 / 24.0);
        assert_eq!(a.iou(&face(4.0, 0.0, 8.0, 4.0).bounds), 0.0);
        let nothing = face(1.0, 1.0, 1.0, 1.0).bounds;
        assert_eq!(nothing.iou(&nothing), 0.0);
        // Turned inside out, it has no area instead of a negative one.
        assert_eq!(face(4.0, 0.0, 0.0, 4.0).bounds.area(), 0.0);
    }

    #[test]
    fn a_subject_is_the_face_grown_and_cut_at_the_picture() {
        let subject = |face: Face, growth| {
            let subject = face.subject(growth, [200, 100]);
            subject.map(|SubjectBox { x1, y1, x2, y2, .. }| [x1, y1, x2, y2])
        };
        let growth = Growth {
            sides: 1.0,
            above: 0.5,
            below: 2.0,
        };
        let middle = face(90.0, 40.0, 110.0, 60.0);
        assert_eq!(subject(middle, growth), Some([70.0, 30.0, 130.0, 100.0]));
        assert_eq!(
            subject(middle, Growth::FACE),
            Some([90.0, 40.0, 110.0, 60.0])
        );
        let corner = face(-10.0, -10.0, 10.0, 10.0);
        assert_eq!(subject(corner, growth), Some([0.0, 0.0, 30.0, 50.0]));
        assert_eq!(subject(face(300.0, 0.0, 310.0, 10.0), growth), None);
        let score = middle.subject(growth, [200, 100]).unwrap().score;
        assert_eq!(score, Some(0.9));
    }

    #[test]
    fn the_largest_face_leads_and_among_equals_the_most_central() {
        let faces = [
            face(0.0, 0.0, 20.0, 20.0),
            face(90.0, 40.0, 110.0, 60.0),
            face(0.0, 60.0, 40.0, 100.0),
        ];
        assert_eq!(rank_by_prominence(&faces, [200, 100]), [2, 1, 0]);
        // In the very corner a face counts half.
        let corner = face(-10.0, -10.0, 10.0, 10.0).prominence([200, 100]);
        let centre = faces[1].prominence([200, 100]);
        assert!((centre / corner - 2.0).abs() < 1e-5, "{centre} {corner}");
        assert!(rank_by_prominence(&[], [1, 1]).is_empty());
    }
}
