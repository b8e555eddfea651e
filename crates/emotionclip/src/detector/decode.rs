//! From the network's numbers to boxes in its input.

use super::config::BlazeFaceConfig;
use super::face::{Bounds, Face, KeyPoints};
use super::network::OUTPUTS;

/// MediaPipe clips logits here, so that the sigmoid's exponential stays finite in every precision.
const SCORE_LIMIT: f32 = 100.0;

/// Centres of the cells `[x, y]` in pixels of the input, in the order of the network's outputs. All
/// anchors have the same size, so boxes are relative to their centre alone.
pub(super) fn anchors(config: &BlazeFaceConfig) -> Vec<[f32; 2]> {
    let mut anchors = Vec::with_capacity(config.anchors());
    for (cells, boxes) in config.grids().into_iter().zip(config.boxes_per_cell) {
        let step = config.input_size as f32 / cells as f32;
        for row in 0..cells {
            for column in 0..cells {
                let centre = [(column as f32 + 0.5) * step, (row as f32 + 0.5) * step];
                anchors.extend(std::iter::repeat_n(centre, boxes));
            }
        }
    }
    anchors
}

/// Boxes with a score of at least `score_threshold`, in pixels of the input.
pub(super) fn candidates(outputs: &[f32], anchors: &[[f32; 2]], score_threshold: f32) -> Vec<Face> {
    let (rows, _) = outputs.as_chunks::<OUTPUTS>();
    rows.iter()
        .zip(anchors)
        .filter_map(|(row, anchor)| decode(row, *anchor))
        .filter(|face| face.score >= score_threshold)
        .collect()
}

/// One box; none where its numbers describe no box.
fn decode(row: &[f32; OUTPUTS], [anchor_x, anchor_y]: [f32; 2]) -> Option<Face> {
    let [logit, x, y, width, height, points @ ..] = row;
    let score = 1.0 / (1.0 + (-logit.clamp(-SCORE_LIMIT, SCORE_LIMIT)).exp());
    // A NaN is no box either: every comparison with it is false.
    let is_box = *width > 0.0 && *height > 0.0 && row.iter().all(|value| value.is_finite());
    if !is_box {
        return None;
    }
    let (x, y) = (x + anchor_x, y + anchor_y);
    let (points, _) = points.as_chunks::<2>();
    let mut key_points = [[0.0; 2]; 6];
    for (point, [x, y]) in key_points.iter_mut().zip(points) {
        *point = [x + anchor_x, y + anchor_y];
    }
    Some(Face {
        bounds: Bounds {
            x1: x - width / 2.0,
            y1: y - height / 2.0,
            x2: x + width / 2.0,
            y2: y + height / 2.0,
        },
        key_points: KeyPoints::from(key_points),
        score,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::BlazeBlockConfig;

    fn config() -> BlazeFaceConfig {
        let block = |channels, stride| BlazeBlockConfig {
            channels,
            stride,
            residual: true,
        };
        BlazeFaceConfig {
            input_size: 256,
            stem_channels: 8,
            blocks: vec![block(8, 2), block(8, 2), block(8, 2), block(8, 2)],
            fine_blocks: 3,
            boxes_per_cell: [2, 6],
        }
    }

    /// A logit and a box of 40 × 20 pixels, 3 right of and 2 above its anchor.
    fn row(logit: f32) -> [f32; OUTPUTS] {
        let mut row = [1.0; OUTPUTS];
        row[..5].copy_from_slice(&[logit, 3.0, -2.0, 40.0, 20.0]);
        row
    }

    #[test]
    fn anchors_are_the_centres_of_cells_in_reading_order() {
        let anchors = anchors(&config());
        assert_eq!(anchors.len(), 896);
        assert_eq!(
            anchors[..4],
            [[8.0, 8.0], [8.0, 8.0], [24.0, 8.0], [24.0, 8.0]]
        );
        assert_eq!(anchors[2 * 16], [8.0, 24.0]);
        assert_eq!(anchors[511], [248.0, 248.0]);
        assert_eq!(anchors[512..518], [[16.0, 16.0]; 6]);
        assert_eq!(anchors[895], [240.0, 240.0]);
    }

    #[test]
    fn boxes_and_key_points_are_relative_to_their_anchor() {
        let faces = candidates(&row(0.0), &[[100.0, 50.0]], 0.5);
        let [face] = faces[..] else {
            panic!("{faces:?}")
        };
        let Bounds { x1, y1, x2, y2 } = face.bounds;
        assert_eq!([x1, y1, x2, y2], [83.0, 38.0, 123.0, 58.0]);
        assert_eq!(face.key_points.left_ear, [101.0, 51.0]);
        assert_eq!(face.score, 0.5);
    }

    #[test]
    fn extreme_logits_become_scores_and_nonsense_becomes_nothing() {
        let score = |logit| candidates(&row(logit), &[[0.0; 2]], 0.0)[0].score;
        assert_eq!(score(1e30), 1.0);
        let lowest = score(-1e30);
        // e^−100 = 3.7e−44, which f32 holds as a subnormal number.
        assert!((0.0..1e-43).contains(&lowest), "{lowest}");
        let mut rows = Vec::new();
        for (place, value) in [(0, f32::NAN), (1, f32::NAN), (3, -40.0), (7, f32::INFINITY)] {
            let mut broken = row(5.0);
            broken[place] = value;
            rows.extend(broken);
        }
        assert!(candidates(&rows, &[[0.0; 2]; 4], 0.0).is_empty());
    }
}
