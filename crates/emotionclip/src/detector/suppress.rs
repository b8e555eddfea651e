//! One face for the many boxes that a network draws around each.

use super::face::{Bounds, Face, KeyPoints};

/// Boxes that overlap more than this are of one face (MediaPipe's value).
const SAME_FACE: f32 = 0.3;

/// Weighted non-maximum suppression, as MediaPipe does it: the best box and all that overlap it
/// become their mean, weighted by score, with the best one's score; then the next best of the rest.
/// The mean jitters less over time than the best box would. Best first.
pub(super) fn weighted(mut candidates: Vec<Face>) -> Vec<Face> {
    // Stable, so that equal scores keep the network's order and results are the same everywhere.
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces = Vec::new();
    while let Some(best) = candidates.first().copied() {
        let mut group = vec![best];
        let mut rest = Vec::with_capacity(candidates.len());
        for face in candidates.into_iter().skip(1) {
            if face.bounds.iou(&best.bounds) > SAME_FACE {
                group.push(face);
            } else {
                rest.push(face);
            }
        }
        faces.push(mean(&group, best));
        candidates = rest;
    }
    faces
}

/// The mean of boxes and key points by score; `best` where no score is above zero.
fn mean(group: &[Face], best: Face) -> Face {
    let total: f32 = group.iter().map(|face| face.score).sum();
    if total <= 0.0 {
        return best;
    }
    let of = |value: &dyn Fn(&Face) -> f32| {
        let sum: f32 = group.iter().map(|face| face.score * value(face)).sum();
        sum / total
    };
    let mut points = [[0.0; 2]; 6];
    for (index, point) in points.iter_mut().enumerate() {
        for (axis, value) in point.iter_mut().enumerate() {
            *value = of(&|face| face.key_points.points()[index][axis]);
        }
    }
    Face {
        bounds: Bounds {
            x1: of(&|face| face.bounds.x1),
            y1: of(&|face| face.bounds.y1),
            x2: of(&|face| face.bounds.x2),
            y2: of(&|face| face.bounds.y2),
        },
        key_points: KeyPoints::from(points),
        score: best.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x1: f32, y1: f32, side: f32, score: f32) -> Face {
        Face {
            bounds: Bounds {
                x1,
                y1,
                x2: x1 + side,
                y2: y1 + side,
            },
            key_points: KeyPoints::from([[x1, y1]; 6]),
            score,
        }
    }

    #[test]
    fn overlapping_boxes_become_their_mean_by_score() {
        let faces = weighted(vec![face(4.0, 0.0, 20.0, 0.25), face(0.0, 0.0, 20.0, 0.75)]);
        let [merged] = faces[..] else {
            panic!("{faces:?}")
        };
        // 0 and 4 with weights 3 : 1.
        assert_eq!((merged.bounds.x1, merged.bounds.x2), (1.0, 21.0));
        assert_eq!(merged.key_points.mouth, [1.0, 0.0]);
        assert_eq!(merged.score, 0.75);
    }

    #[test]
    fn the_best_box_decides_who_belongs_to_it() {
        // The middle one overlaps both ends by half; the ends overlap by nothing. The left end is
        // best, so the right one stays a face of its own.
        let chain = [
            face(0.0, 0.0, 20.0, 0.9),
            face(10.0, 0.0, 20.0, 0.5),
            face(20.0, 0.0, 20.0, 0.7),
        ];
        let faces = weighted(chain.to_vec());
        assert_eq!(faces.len(), 2);
        assert_eq!(faces[1], chain[2]);
        assert_eq!(faces[0].score, 0.9);
    }

    #[test]
    fn little_overlap_keeps_faces_apart_and_the_best_comes_first() {
        // 5 of 20 columns in common: 100 of 700 pixels.
        let apart = vec![face(0.0, 0.0, 20.0, 0.6), face(15.0, 0.0, 20.0, 0.8)];
        let faces = weighted(apart);
        let scores: Vec<f32> = faces.iter().map(|face| face.score).collect();
        assert_eq!(scores, [0.8, 0.6]);
        assert!(weighted(Vec::new()).is_empty());
        // Without a score there is nothing to weigh by.
        assert_eq!(weighted(vec![face(0.0, 0.0, 2.0, 0.0); 2]).len(), 1);
    }
}
