//! Turns a strided view of a storage into contiguous bytes.

use bytes::Bytes;

use super::value::TensorView;
use crate::checkpoint::RawTensor;
use crate::checkpoint::error::{Fault, shorten};
use crate::checkpoint::tensor::byte_length;

/// The view's elements in row-major order: a slice of the storage when it is contiguous, else a
/// copy. `copy_budget` is how many bytes may still be copied for the file, and is reduced by each
/// copy.
pub(super) fn materialise(
    view: &TensorView,
    storage: &Bytes,
    copy_budget: &mut usize,
) -> Result<RawTensor, Fault> {
    let size = view.storage.dtype.size();
    let stored = view
        .storage
        .elements
        .checked_mul(size)
        .ok_or_else(overflow)?;
    if stored > storage.len() {
        return Err(Fault::damaged(format!(
            "storage {} holds {} bytes, its tensors need {stored}",
            shorten(view.storage.key),
            storage.len()
        )));
    }
    let length = byte_length(view.storage.dtype, &view.shape).ok_or_else(overflow)?;
    if length == 0 {
        return new(view, Bytes::new());
    }
    let last = last_index(view).ok_or_else(overflow)?;
    if last >= view.storage.elements {
        return Err(Fault::damaged(format!(
            "it reaches element {last} of storage {}, which has {}",
            shorten(view.storage.key),
            view.storage.elements
        )));
    }
    if is_contiguous(view) {
        let start = view.offset * size;
        return new(view, storage.slice(start..start + length));
    }
    *copy_budget = copy_budget.checked_sub(length).ok_or_else(|| {
        Fault::unsupported(
            "its tensors repeat stored elements beyond the size of the file; \
             call `.contiguous()` on expanded tensors before saving",
        )
    })?;
    new(view, copy(view, storage, length).into())
}

fn new(view: &TensorView, bytes: Bytes) -> Result<RawTensor, Fault> {
    RawTensor::new(view.storage.dtype, view.shape.clone(), bytes)
        .map_err(|error| Fault::damaged(error.to_string()))
}

fn overflow() -> Fault {
    Fault::damaged("a tensor's shape or strides overflow")
}

/// The largest storage index the view touches. The view is not empty.
fn last_index(view: &TensorView) -> Option<usize> {
    view.shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |last, (&dim, &stride)| {
            last.checked_add(stride.checked_mul(dim.checked_sub(1)?)?)
        })
}

fn is_contiguous(view: &TensorView) -> bool {
    let mut expected = 1;
    view.shape
        .iter()
        .zip(&view.strides)
        .rev()
        .all(|(&dim, &stride)| {
            let fits = dim == 1 || stride == expected;
            expected *= dim;
            fits
        })
}

/// Walks the indices like an odometer, the last dimension fastest. Only the position between two
/// steps can leave the storage, by a stride that is then taken back, so it may wrap.
fn copy(view: &TensorView, storage: &Bytes, length: usize) -> Vec<u8> {
    let size = view.storage.dtype.size();
    let mut index = vec![0; view.shape.len()];
    let mut element = view.offset;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend_from_slice(&storage[element * size..(element + 1) * size]);
        for (axis, position) in index.iter_mut().enumerate().rev() {
            *position += 1;
            element = element.wrapping_add(view.strides[axis]);
            if *position < view.shape[axis] {
                break;
            }
            element = element.wrapping_sub(view.strides[axis].wrapping_mul(view.shape[axis]));
            *position = 0;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::checkpoint::torch::value::Storage;

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> Result<Vec<f32>, Fault> {
        let storage = Storage {
            key: "0",
            dtype: Dtype::U8,
            elements: 12,
        };
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        let bytes = Bytes::from_iter(0..12);
        materialise(
            &TensorView {
                storage,
                offset,
                shape,
                strides,
            },
            &bytes,
            &mut 24,
        )
        .map(|tensor| tensor.to_f32())
    }

    #[test]
    fn contiguous_transposed_and_stepped_views_read_in_row_major_order() {
        assert_eq!(view(2, &[2, 2], &[2, 1]).unwrap(), [2., 3., 4., 5.]);
        assert_eq!(view(0, &[2, 3], &[1, 2]).unwrap(), [0., 2., 4., 1., 3., 5.]);
        assert_eq!(view(1, &[2, 2], &[6, 3]).unwrap(), [1., 4., 7., 10.]);
        assert_eq!(view(5, &[], &[]).unwrap(), [5.]);
        assert_eq!(view(0, &[1, 3], &[0, 1]).unwrap(), [0., 1., 2.]);
        assert_eq!(
            view(0, &[2, 1, 2], &[1, usize::MAX, 2]).unwrap(),
            [0., 2., 1., 3.]
        );
        assert_eq!(view(11, &[0, 4], &[4, 1]).unwrap(), [0.0f32; 0]);
    }

    #[test]
    fn a_view_past_its_storage_is_damage() {
        for (offset, shape, strides) in [
            (11, &[2][..], &[1][..]),
            (12, &[1], &[1]),
            (0, &[3, 5], &[5, 1]),
            (usize::MAX, &[2], &[1]),
            (0, &[2, 2], &[usize::MAX, 1]),
            (0, &[usize::MAX, 4], &[0, 0]),
        ] {
            assert!(
                matches!(view(offset, shape, strides), Err(Fault::Damaged(_))),
                "{shape:?}"
            );
        }
    }

    #[test]
    fn repeating_elements_beyond_the_budget_is_refused() {
        assert!(view(0, &[2, 12], &[0, 1]).is_ok());
        assert!(matches!(
            view(0, &[3, 12], &[0, 1]),
            Err(Fault::Unsupported(_))
        ));
    }
}
