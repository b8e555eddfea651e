//! Where the faces of a scene stand: the frame is cut into as many cells as there are faces, and
//! each face finds a place and a size in its cell. So faces hardly overlap, however many there are.

use super::scene::FacePlacement;
use crate::synthetic::draws::Draws;

/// A face may stick out of its cell, and so out of the frame or over another face, by this share of
/// the frame.
const LOOSENESS: f32 = 0.03;

/// A part of the frame, in units of its side.
#[derive(Clone, Copy, Debug)]
struct Cell {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

/// Places `count` faces.
pub(super) fn arrange(draws: &mut Draws, count: usize) -> Vec<FacePlacement> {
    let whole = Cell {
        left: 0.0,
        top: 0.0,
        width: 1.0,
        height: 1.0,
    };
    let mut cells = Vec::with_capacity(count);
    cut(draws, whole, count, &mut cells);
    let smallest = if count == 1 { 0.4 } else { 0.74 };
    cells
        .into_iter()
        .map(|cell| {
            let side = cell.width.min(cell.height) * draws.between(smallest, 1.0);
            let mut place = |start: f32, length: f32| {
                let slack = (length - side) / 2.0 + LOOSENESS;
                start + length / 2.0 + draws.between(-slack, slack)
            };
            FacePlacement {
                x: place(cell.left, cell.width),
                y: place(cell.top, cell.height),
                side,
            }
        })
        .collect()
}

fn cut(draws: &mut Draws, cell: Cell, count: usize, cells: &mut Vec<Cell>) {
    if count < 2 {
        cells.push(cell);
        return;
    }
    let first = if count == 4 && draws.chance(0.7) {
        2
    } else {
        1 + draws.below(count - 1)
    };
    // Half way between equal cells and cells by the number of faces: none gets too small.
    let share = 0.25 + 0.5 * first as f32 / count as f32 + draws.between(-0.05, 0.05);
    let upright = cell.width * draws.between(0.9, 1.1) < cell.height;
    let (one, other) = if upright {
        let height = cell.height * share;
        (
            Cell { height, ..cell },
            Cell {
                top: cell.top + height,
                height: cell.height - height,
                ..cell
            },
        )
    } else {
        let width = cell.width * share;
        (
            Cell { width, ..cell },
            Cell {
                left: cell.left + width,
                width: cell.width - width,
                ..cell
            },
        )
    };
    cut(draws, one, first, cells);
    cut(draws, other, count - first, cells);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Split;

    #[test]
    fn faces_are_large_enough_and_hardly_overlap() {
        for count in 1..=4 {
            for index in 0..2000 {
                let mut draws = Draws::numbered(1, Split::Train, index, 2000, 0);
                let placed = arrange(&mut draws, count);
                assert_eq!(placed.len(), count);
                for (number, one) in placed.iter().enumerate() {
                    assert!(one.side > 0.2 && one.side <= 1.0, "{one:?}");
                    let [left, top, right, bottom] = one.bounds();
                    assert!(left >= -0.031 && top >= -0.031);
                    assert!(right <= 1.031 && bottom <= 1.031);
                    for other in &placed[..number] {
                        // Two cells are apart, so two faces overlap by twice the looseness at most.
                        let [x0, y0, x1, y1] = other.bounds();
                        let across = right.min(x1) - left.max(x0);
                        let down = bottom.min(y1) - top.max(y0);
                        assert!(across.min(down) <= 2.0 * LOOSENESS + 1e-5);
                    }
                }
            }
        }
    }
}
