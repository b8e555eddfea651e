//! Positional embeddings for another grid of patches.
//!
//! A ViT's table has one row for the class token and one per patch, row by row. For another image
//! or patch size the release resamples the patches' rows as a picture:
//! `F.interpolate(mode="bicubic", align_corners=True)`, whose kernel is Keys' cubic convolution
//! with a = −0.75, its borders repeated.

use super::{CheckpointError, RawTensor, StateDict};

/// Where the frame encoder's table is.
const VISUAL_POSITIONS: &str = "backbone.visual.positional_embedding";

/// Keys' parameter as PyTorch sets it.
const A: f64 = -0.75;

/// Resamples a table `[1 + g², D]` to `[1 + grid², D]` in f32; the class token's row is kept.
///
/// # Errors
/// [`CheckpointError::Tensor`] when the table is not a matrix of one row more than a square, or the
/// grid is zero.
pub fn resize_positional_embedding(
    table: &RawTensor,
    grid: usize,
) -> Result<RawTensor, CheckpointError> {
    let fault = |detail: String| CheckpointError::Tensor {
        name: VISUAL_POSITIONS.into(),
        detail,
    };
    let &[rows, width] = table.shape() else {
        return Err(fault(format!(
            "shape {:?} is not [1 + patches, width]",
            table.shape()
        )));
    };
    let patches = rows.saturating_sub(1);
    let old_grid = patches.isqrt();
    if patches == 0 || old_grid * old_grid != patches || grid == 0 {
        return Err(fault(format!(
            "{patches} patches cannot become {grid} × {grid}: only square grids are supported"
        )));
    }
    if grid == old_grid {
        return Ok(table.clone().into_f32());
    }

    let values = table.to_f32();
    let (class, image) = values.split_at(width);
    let taps: Vec<_> = (0..grid).map(|i| taps(i, old_grid, grid)).collect();
    let mut resized = class.to_vec();
    resized.reserve(grid * grid * width);
    for row_taps in &taps {
        for column_taps in &taps {
            for channel in 0..width {
                let value: f64 = row_taps
                    .iter()
                    .flat_map(|row| column_taps.iter().map(move |column| (row, column)))
                    .map(|((y, weight_y), (x, weight_x))| {
                        let value = image[(y * old_grid + x) * width + channel];
                        weight_y * weight_x * f64::from(value)
                    })
                    .sum();
                resized.push(value as f32);
            }
        }
    }
    RawTensor::from_f32(vec![1 + grid * grid, width], &resized)
}

/// Resizes the frame encoder's table within a state dict of the release's keys, if it has one and
/// the grid differs. `grid` is the model's patches per side: image size over patch size.
///
/// # Errors
/// As [`resize_positional_embedding`].
pub fn resize_visual_positions(state: &mut StateDict, grid: usize) -> Result<(), CheckpointError> {
    match state.get_mut(VISUAL_POSITIONS) {
        Some(table) if table.shape().first() != Some(&(1 + grid * grid)) => {
            *table = resize_positional_embedding(table, grid)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The four source positions and weights of one target position.
fn taps(target: usize, old: usize, new: usize) -> [(usize, f64); 4] {
    let position = if new > 1 {
        target as f64 * (old - 1) as f64 / (new - 1) as f64
    } else {
        0.0
    };
    let base = position.floor();
    let t = position - base;
    let weights = [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)];
    std::array::from_fn(|i| {
        let source = (base as usize + i).saturating_sub(1).min(old - 1);
        (source, weights[i])
    })
}

/// The kernel for distances up to 1.
fn inner(x: f64) -> f64 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The kernel for distances from 1 to 2.
fn outer(x: f64) -> f64 {
    A * (((x - 5.0) * x + 8.0) * x - 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_everywhere() {
        for target in 0..7 {
            let sum: f64 = taps(target, 3, 7).iter().map(|(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{target}: {sum}");
        }
    }

    #[test]
    fn corners_stay_where_they_are() {
        let values: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let table = RawTensor::from_f32(vec![10, 1], &values).unwrap();
        let resized = resize_positional_embedding(&table, 5).unwrap().to_f32();
        assert_eq!([resized[0], resized[1], resized[5]], [0.0, 1.0, 3.0]);
        assert_eq!([resized[21], resized[25]], [7.0, 9.0]);
    }

    #[test]
    fn a_table_that_is_no_square_grid_is_an_error() {
        for shape in [vec![9, 1], vec![1, 9], vec![9], vec![0, 0]] {
            let length: usize = shape.iter().product();
            let table = RawTensor::from_f32(shape, &vec![0.0; length]).unwrap();
            assert!(
                resize_positional_embedding(&table, 2).is_err(),
                "{:?}",
                table.shape()
            );
        }
    }

    #[test]
    fn a_state_dict_without_a_table_is_left_alone() {
        let mut state = StateDict::new();
        resize_visual_positions(&mut state, 7).unwrap();
        assert!(state.is_empty());
    }
}
