//! What a pickle builds, held in an arena: indices instead of references, so shared and even cyclic
//! values need no reference counting and nothing recursive ever has to be dropped.

use crate::checkpoint::Dtype;

/// Index of a [`Value`] in its arena.
pub(super) type ValueId = u32;

/// A value of the pickle. What no checkpoint reader needs to look at is `Opaque`.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// None, a float, bytes, an integer beyond 64 bits.
    Opaque,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    Tuple(Vec<ValueId>),
    /// A list or a set.
    List(Vec<ValueId>),
    /// A dict or an ordered dict, in insertion order; a repeated key counts the last time.
    Dict(Vec<(ValueId, ValueId)>),
    Callable(Callable),
    Storage(Storage<'a>),
    Tensor(Box<TensorView<'a>>),
    /// A TorchScript module and the dict of its attributes.
    Module(Option<ValueId>),
}

/// The few names a pickle may use, by what calling them means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callable {
    /// A typed storage class.
    StorageType(Dtype),
    /// `torch._utils._rebuild_tensor_v2` and its predecessor.
    RebuildTensor,
    /// Gives back its first argument: a parameter of a tensor, a set of a list, a type tag.
    Wrap,
    /// An ordered dict.
    Dict,
    /// A class of a TorchScript archive.
    ModuleClass,
}

/// A reference to a block of elements stored beside the pickle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    /// Number of elements.
    pub(super) elements: usize,
}

/// A tensor as a strided view of a storage. Offset and strides count elements.
#[derive(Debug)]
pub(super) struct TensorView<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A parsed pickle: an arena and its root.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(super) root: ValueId,
    /// Bytes of the input that the pickle took.
    pub(super) consumed: usize,
}

impl<'a> Pickle<'a> {
    /// The value at an index that this pickle handed out.
    pub(super) fn get(&self, id: ValueId) -> &Value<'a> {
        static OPAQUE: Value<'static> = Value::Opaque;
        self.values.get(id as usize).unwrap_or(&OPAQUE)
    }

    /// The root value.
    pub(super) fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// The string-keyed entries of a dict; other keys are skipped.
    pub(super) fn entries(
        &self,
        dict: &[(ValueId, ValueId)],
    ) -> impl Iterator<Item = (&'a str, ValueId)> {
        dict.iter().filter_map(|&(key, value)| match self.get(key) {
            Value::Str(key) => Some((*key, value)),
            _ => None,
        })
    }
}
