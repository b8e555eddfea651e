//! What the numbers of a YOLO's output mean.

/// The forms in which exports give their boxes. `[1, rows, columns]` is the output's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A row a candidate: centre, size, how sure it is an object, each class's share of that. `YOLOv5`, v6
    /// and v7.
    Objectness,
    /// A row a candidate: centre, size, each class's score.
    Scores,
    /// The same with a column a candidate. `YOLOv8`, v9, 11 and 12.
    ScoresFirst,
    /// A row a box: edges, score, class; nothing left to suppress. `YOLOv10` and 26.
    EndToEnd,
}

/// A box on the canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Left, top, right and bottom.
    pub edges: [f32; 4],
    pub score: f32,
}

/// End-to-end heads give at most so many boxes; grids of candidates are larger but for tiny inputs,
/// which their number tells.
const MOST_BOXES: usize = 1000;

impl Layout {
    /// The layout of an output `[1, rows, columns]` for an input `[width, height]`, with the number of
    /// classes where the file says it.
    pub(super) fn of(
        [rows, columns]: [usize; 2],
        input: [usize; 2],
        classes: Option<usize>,
    ) -> Option<Self> {
        if rows < columns {
            return (rows >= 4 + classes.unwrap_or(1)).then_some(Self::ScoresFirst);
        }
        let is_grid =
            rows > MOST_BOXES || grids(input).any(|cells| rows == cells || rows == 3 * cells);
        match (is_grid, classes) {
            (false, _) => (columns >= 6).then_some(Self::EndToEnd),
            (true, Some(classes)) if columns == 4 + classes => Some(Self::Scores),
            (true, classes) => (columns >= 5 + classes.unwrap_or(1)).then_some(Self::Objectness),
        }
    }

    /// Classes that the output has room for.
    pub(super) fn classes(self, [rows, columns]: [usize; 2]) -> Option<usize> {
        match self {
            Self::Objectness => Some(columns - 5),
            Self::Scores => Some(columns - 4),
            Self::ScoresFirst => Some(rows - 4),
            Self::EndToEnd => None,
        }
    }

    /// The boxes of a class whose score is above `confidence`.
    pub(super) fn candidates(
        self,
        values: &[f32],
        [rows, columns]: [usize; 2],
        class: usize,
        confidence: f32,
    ) -> Vec<Candidate> {
        let is_first = self == Self::ScoresFirst;
        let count = if is_first { columns } else { rows };
        let at = |number: usize, attribute: usize| {
            let place = if is_first {
                attribute * columns + number
            } else {
                number * columns + attribute
            };
            values.get(place).copied().unwrap_or(f32::NAN)
        };
        let candidate = |number: usize| {
            let numbers = [0, 1, 2, 3].map(|attribute| at(number, attribute));
            let (edges, score) = match self {
                Self::EndToEnd => {
                    let is_class = at(number, 5).round() == class as f32;
                    (numbers, if is_class { at(number, 4) } else { 0.0 })
                }
                Self::Objectness => (of_centre(numbers), at(number, 4) * at(number, 5 + class)),
                Self::Scores | Self::ScoresFirst => (of_centre(numbers), at(number, 4 + class)),
            };
            // A NaN isn't above anything.
            (score > confidence).then_some(Candidate { edges, score })
        };
        (0..count).filter_map(candidate).collect()
    }
}

fn of_centre([x, y, width, height]: [f32; 4]) -> [f32; 4] {
    let half = [width / 2.0, height / 2.0];
    [x - half[0], y - half[1], x + half[0], y + half[1]]
}

/// Cells of the grids that YOLOs look at an input in: strides 8 to 32, and with a finer or coarser one.
fn grids([width, height]: [usize; 2]) -> impl Iterator<Item = usize> {
    let strides: [&[usize]; 3] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32]];
    strides.into_iter().map(move |strides| {
        strides
            .iter()
            .map(|stride| width.div_ceil(*stride) * height.div_ceil(*stride))
            .sum()
    })
}

/// Keeps the best of boxes that share more than `overlap` of their union, best first.
pub(super) fn suppress(mut candidates: Vec<Candidate>, overlap: f32) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept
            .iter()
            .all(|better| iou(better.edges, candidate.edges) <= overlap)
        {
            kept.push(candidate);
        }
    }
    kept
}

/// Intersection over union.
fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[x1, y1, x2, y2]: [f32; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let shared = area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_outputs_are_told_apart() {
        let full = [640, 640];
        let coco = Some(80);
        for (shape, classes, layout) in [
            ([25200, 85], coco, Layout::Objectness),
            ([25200, 85], None, Layout::Objectness),
            // One class, masks of segments, the larger models' fourth grid.
            ([25200, 6], Some(1), Layout::Objectness),
            ([25200, 117], coco, Layout::Objectness),
            ([102_000, 85], coco, Layout::Objectness),
            ([84, 8400], coco, Layout::ScoresFirst),
            ([84, 8400], None, Layout::ScoresFirst),
            ([5, 8400], Some(1), Layout::ScoresFirst),
            ([116, 8400], coco, Layout::ScoresFirst),
            ([8400, 84], coco, Layout::Scores),
            ([8400, 85], coco, Layout::Objectness),
            ([300, 6], coco, Layout::EndToEnd),
            ([300, 38], coco, Layout::EndToEnd),
        ] {
            assert_eq!(
                Layout::of(shape, full, classes),
                Some(layout),
                "{shape:?} {classes:?}"
            );
        }
        // A tiny input has few candidates, and they are no boxes.
        assert_eq!(
            Layout::of([252, 6], [64, 64], None),
            Some(Layout::Objectness)
        );
        for shape in [[300, 5], [4, 8400], [25200, 5], [1, 1000]] {
            assert_eq!(Layout::of(shape, full, None), None, "{shape:?}");
        }
        assert_eq!(
            Layout::of([40, 8400], full, coco),
            None,
            "too few for 80 classes"
        );
    }

    #[test]
    fn the_best_of_overlapping_boxes_stays() {
        let candidate = |x: f32, score: f32| Candidate {
            edges: [x, 0.0, x + 10.0, 10.0],
            score,
        };
        // Shares with the first: 8 of 12, 5 of 15.
        let kept = suppress(
            vec![
                candidate(2.0, 0.6),
                candidate(0.0, 0.9),
                candidate(5.0, 0.5),
            ],
            0.45,
        );
        let scores: Vec<f32> = kept.iter().map(|one| one.score).collect();
        assert_eq!(scores, [0.9, 0.5]);
        assert_eq!(suppress(vec![candidate(0.0, 0.5); 3], 1.0).len(), 3);
    }

    #[test]
    fn numbers_that_are_none_are_no_boxes() {
        let values = [f32::NAN; 12];
        for layout in [Layout::Objectness, Layout::EndToEnd, Layout::ScoresFirst] {
            assert!(layout.candidates(&values, [2, 6], 0, 0.25).is_empty());
        }
    }
}
