//! Storages and tensors as pickles describe them.

use super::machine::Machine;
use super::value::{Callable, Storage, TensorView, Value, ValueId};
use crate::checkpoint::error::Fault;

impl<'a> Machine<'a> {
    pub(super) fn pairs(&self, pairs: &[ValueId]) -> Result<Vec<(ValueId, ValueId)>, Fault> {
        let pair = |&pair: &ValueId| match self.value(pair) {
            Value::Tuple(items) | Value::List(items) => <[ValueId; 2]>::try_from(items.as_slice())
                .ok()
                .map(Into::into),
            _ => None,
        };
        pairs
            .iter()
            .map(pair)
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::damaged("an ordered dict made of no pairs"))
    }

    /// `("storage", storage type, key, location, element count[, None])`.
    pub(super) fn storage(&self, id: ValueId) -> Result<Storage<'a>, Fault> {
        let fault = || Fault::damaged("a storage reference of unknown form");
        let Value::Tuple(items) = self.value(id) else {
            return Err(fault());
        };
        let (fields, view) = items.split_first_chunk::<5>().ok_or_else(fault)?;
        let [kind, dtype, key, _location, elements] = fields.map(|field| self.value(field));
        if !view
            .iter()
            .all(|&field| matches!(self.value(field), Value::Opaque))
        {
            return Err(Fault::unsupported(
                "it holds views of storages, as PyTorch before 0.4 wrote them; save it again with \
                 a newer one",
            ));
        }
        match (kind, dtype, key, elements) {
            (
                Value::Str("storage"),
                &Value::Callable(Callable::StorageType(dtype)),
                &Value::Str(key),
                &Value::Int(elements),
            ) => {
                let elements = usize::try_from(elements).map_err(|_| fault())?;
                Ok(Storage {
                    key,
                    dtype,
                    elements,
                })
            }
            _ => Err(fault()),
        }
    }

    /// `(storage, offset, shape, strides, ...)`; whether it takes gradients does not matter here.
    pub(super) fn tensor(&self, arguments: &[ValueId]) -> Result<TensorView<'a>, Fault> {
        let fault = || Fault::damaged("a tensor of unknown form");
        let fields = arguments.first_chunk::<4>().ok_or_else(fault)?;
        let [storage, offset, shape, strides] = fields.map(|field| self.value(field));
        match (storage, offset, shape, strides) {
            (
                &Value::Storage(storage),
                &Value::Int(offset),
                Value::Tuple(shape) | Value::List(shape),
                Value::Tuple(strides) | Value::List(strides),
            ) if shape.len() == strides.len() => Ok(TensorView {
                storage,
                offset: usize::try_from(offset).map_err(|_| fault())?,
                shape: self.sizes(shape).ok_or_else(fault)?,
                strides: self.sizes(strides).ok_or_else(fault)?,
            }),
            _ => Err(fault()),
        }
    }

    pub(super) fn sizes(&self, items: &[ValueId]) -> Option<Vec<usize>> {
        let size = |&item: &ValueId| match self.value(item) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        items.iter().map(size).collect()
    }
}
