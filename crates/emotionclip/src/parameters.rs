//! A model's parameters under the release's own keys, out of and into a model.
//!
//! Burn names a parameter by its path through the structs (`visual.transformer.resblocks.0.attn`);
//! the release by its path through the PyTorch modules. A model says through [`Keyed`] how one
//! becomes the other; what is the same for all of them stands here, such as that PyTorch stores a
//! linear weight as `[out, in]` where burn stores `[in, out]`.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Tensor, TensorData};

use crate::checkpoint::{CheckpointError, RawTensor, StateDict, verify};
use crate::config::TemporalFusion;
use crate::model::EmotionClip;

/// Key of the logit scale beside its copy in the backbone.
const LOGIT_SCALE: &str = "logit_scale";
const BACKBONE_LOGIT_SCALE: &str = "backbone.logit_scale";
const POSITION_IDS: &str = "visual_head.position_ids";

/// One trainable tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// The release's key, e.g. `backbone.visual.conv1.weight`.
    pub key: String,
    /// Shape under that key (linear weights are `[out, in]`; the logit scale is a scalar, `[]`).
    pub shape: Vec<usize>,
    /// Burn's identity of the parameter.
    pub id: ParamId,
}

/// A model whose parameters have keys in files.
pub trait Keyed: Module {
    /// The key of the parameter at burn's dotted path, e.g. of `visual.ln_pre.gamma`.
    fn key(path: &str) -> String;

    /// Adds what the model's files hold beside its parameters: copies and constants.
    ///
    /// # Errors
    ///
    /// If such a tensor can't be built.
    fn add_buffers(&self, tensors: &mut StateDict) -> Result<(), CheckpointError> {
        let _ = tensors;
        Ok(())
    }

    /// Brings a file's tensors to one for each parameter: takes the buffers away, and completes
    /// what a file of that completeness only implies.
    fn prepare(tensors: &mut StateDict, completeness: Completeness) {
        let _ = (tensors, completeness);
    }

    /// Whether a file that holds the [`Completeness::Backbone`] only may lack the key.
    fn is_beyond_backbone(key: &str) -> bool {
        let _ = key;
        false
    }
}

/// Path through the module tree, and whether the innermost module is a linear map.
struct Location {
    path: Vec<String>,
    containers: Vec<String>,
    key_of: fn(&str) -> String,
}

impl Location {
    fn root<M: Keyed>() -> Self {
        Self {
            path: Vec::new(),
            containers: Vec::new(),
            key_of: M::key,
        }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The parameter's key and whether its tensor is transposed against burn's.
    fn key(&self) -> (String, bool) {
        let leaf = self.path.last().map_or("", String::as_str);
        let linear = self
            .containers
            .iter()
            .any(|container| container == "Struct:Linear");
        (
            (self.key_of)(&self.path.join(".")),
            linear && leaf == "weight",
        )
    }
}

/// Burn's path with the last names spelled as PyTorch's modules spell them.
pub(crate) fn torch_spelling(path: &str) -> String {
    path.replace(".in_proj.weight", ".in_proj_weight")
        .replace(".in_proj.bias", ".in_proj_bias")
        .replace(".gamma", ".weight")
        .replace(".beta", ".bias")
}

/// The key of a parameter of CLIP's two towers, given its PyTorch spelling below `visual` or
/// `text`; `None` for a parameter outside them.
pub(crate) fn clip_key(path: &str) -> Option<String> {
    let (tower, rest) = path.split_once('.')?;
    match (tower, rest) {
        ("visual", "conv1") => Some("backbone.visual.conv1.weight".to_owned()),
        ("visual", rest) => Some(format!("backbone.visual.{rest}")),
        ("text", "token_embedding") => Some("backbone.token_embedding.weight".to_owned()),
        ("text", rest) => Some(format!("backbone.{rest}")),
        _ => None,
    }
}

/// Whether files hold the parameter as a scalar where burn has one element.
fn is_scalar(key: &str) -> bool {
    key == LOGIT_SCALE || key == BACKBONE_LOGIT_SCALE
}

impl Keyed for EmotionClip {
    fn key(path: &str) -> String {
        let path = torch_spelling(path);
        if let Some(key) = clip_key(&path) {
            return key;
        }
        match path.strip_prefix("temporal.") {
            Some("frame_position_embedding") => {
                "visual_head.frame_position_embedding.weight".to_owned()
            }
            Some("convolution") => "visual_head.fusion_layer.weight".to_owned(),
            Some(rest) => {
                let rest = rest.strip_prefix("transformer.").unwrap_or(rest);
                format!("visual_head.fusion_layer.{rest}")
            }
            None => path,
        }
    }

    /// The logit scale under its second key, and a transformer head's `position_ids`.
    fn add_buffers(&self, tensors: &mut StateDict) -> Result<(), CheckpointError> {
        if let Some(scale) = tensors.get(LOGIT_SCALE).cloned() {
            tensors.insert(BACKBONE_LOGIT_SCALE.to_owned(), scale);
        }
        if self.config().temporal.fusion == TemporalFusion::Transformer {
            let frames = i64::try_from(self.config().temporal.frames).unwrap_or(i64::MAX);
            let ids: Vec<i64> = (0..frames).collect();
            tensors.insert(
                POSITION_IDS.to_owned(),
                RawTensor::from_i64(vec![ids.len()], &ids)?,
            );
        }
        Ok(())
    }

    fn prepare(tensors: &mut StateDict, _: Completeness) {
        if let Some(copy) = tensors.remove(BACKBONE_LOGIT_SCALE) {
            tensors.entry(LOGIT_SCALE.to_owned()).or_insert(copy);
        }
        tensors.remove(POSITION_IDS);
    }

    fn is_beyond_backbone(key: &str) -> bool {
        key.starts_with("visual_head.")
            || key.starts_with("backbone.visual.saam.")
            || key == "backbone.visual.human_embedding"
    }
}

/// Lists a model's parameters in the order of construction, without reading any value.
pub fn parameters<M: Keyed>(model: &M) -> Vec<ParameterInfo> {
    struct Lister {
        location: Location,
        found: Vec<ParameterInfo>,
    }
    impl ModuleVisitor for Lister {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.location.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.location.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let (key, transposed) = self.location.key();
            let mut shape = param.lazy_shape().to_vec();
            if transposed {
                shape.reverse();
            }
            if is_scalar(&key) {
                shape.clear();
            }
            self.found.push(ParameterInfo {
                key,
                shape,
                id: param.id,
            });
        }
    }
    let mut lister = Lister {
        location: Location::root::<M>(),
        found: Vec::new(),
    };
    model.visit(&mut lister);
    lister.found
}

/// Number of trainable scalars.
pub fn parameter_count<M: Keyed>(model: &M) -> usize {
    parameters(model)
        .iter()
        .map(|info| info.shape.iter().product::<usize>())
        .sum()
}

/// The model's parameters as f32 tensors under the release's keys.
///
/// Holds what `torch.save` of the release's model holds, [buffers](Keyed::add_buffers) included.
///
/// # Errors
///
/// If the device fails to give a tensor back.
pub fn to_state_dict<M: Keyed>(model: &M) -> Result<StateDict, CheckpointError> {
    struct Reader {
        location: Location,
        tensors: StateDict,
        failed: Option<CheckpointError>,
    }
    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.location.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.location.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let (key, transposed) = self.location.key();
            let value = param.val();
            let value = if transposed { value.transpose() } else { value };
            let shape: Vec<usize> = if is_scalar(&key) {
                Vec::new()
            } else {
                value.dims().to_vec()
            };
            let raw = value
                .try_into_vec_as::<f32>()
                .map_err(|error| CheckpointError::Device(format!("{key}: {error}")))
                .and_then(|values| RawTensor::from_f32(shape, &values));
            match raw {
                Ok(raw) => {
                    self.tensors.insert(key, raw);
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }
    let mut reader = Reader {
        location: Location::root::<M>(),
        tensors: BTreeMap::new(),
        failed: None,
    };
    model.visit(&mut reader);
    if let Some(error) = reader.failed {
        return Err(error);
    }
    let mut tensors = reader.tensors;
    model.add_buffers(&mut tensors)?;
    Ok(tensors)
}

/// Which tensors a state dict may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every parameter must be there.
    Whole,
    /// What the model has beyond its backbone may be missing and stays as it is: the temporal
    /// encoder (and SAAM's own parameters), the head of a downstream model.
    Backbone,
}

/// Puts tensors under the release's keys into a model of the same architecture.
///
/// The result keeps the model's device and its parameters' identities.
///
/// # Errors
///
/// One error lists every missing, unexpected, misshapen or non-finite tensor.
pub fn load_state_dict<M: Keyed>(
    model: M,
    tensors: &StateDict,
    completeness: Completeness,
) -> Result<M, CheckpointError> {
    let mut expected: Vec<(String, Vec<usize>)> = parameters(&model)
        .into_iter()
        .map(|info| (info.key, info.shape))
        .collect();
    let mut tensors = tensors.clone();
    M::prepare(&mut tensors, completeness);
    expected.sort();
    verify(&tensors, &expected, |key| {
        completeness == Completeness::Backbone && M::is_beyond_backbone(key)
    })?;
    let mut loader = Loader {
        location: Location::root::<M>(),
        tensors,
    };
    Ok(model.map(&mut loader))
}

/// Puts the tensors of one of several files into a model and takes their keys from `missing`, which
/// begins as the keys of all [`parameters`]: for a page that can't hold all files at once.
///
/// A key still in `missing` after the last file is one that the files lack.
///
/// # Errors
///
/// One error lists every unexpected, misshapen or non-finite tensor.
pub fn load_part<M: Keyed>(
    model: M,
    mut tensors: StateDict,
    missing: &mut BTreeSet<String>,
) -> Result<M, CheckpointError> {
    M::prepare(&mut tensors, Completeness::Whole);
    let expected: Vec<(String, Vec<usize>)> = parameters(&model)
        .into_iter()
        .filter(|info| tensors.contains_key(&info.key))
        .map(|info| (info.key, info.shape))
        .collect();
    verify(&tensors, &expected, |_| false)?;
    for key in tensors.keys() {
        missing.remove(key);
    }
    let mut loader = Loader {
        location: Location::root::<M>(),
        tensors,
    };
    Ok(model.map(&mut loader))
}

/// Sets which parameters take part in training, by key; the others get no gradient.
///
/// A lazily drawn parameter shares the setting with its clones until it is first read.
#[must_use]
pub fn train_only<M: Keyed>(model: M, trains: impl Fn(&str) -> bool) -> M {
    struct Setter<F> {
        location: Location,
        trains: F,
    }
    impl<F: Fn(&str) -> bool> ModuleMapper for Setter<F> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.location.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.location.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (key, _) = self.location.key();
            param.set_require_grad((self.trains)(&key))
        }
    }
    model.map(&mut Setter {
        location: Location::root::<M>(),
        trains,
    })
}

/// A copy whose gradients are its own: each parameter is a leaf of a new graph.
///
/// What burn's `fork` does on one device, without the operation that it records for a move to the
/// device. Nothing ever goes back through that one, so it stays in the graph of the parameter for as
/// long as the parameter lives, and every backward pass looks at all of them.
#[must_use]
pub fn branched<M: Module>(model: M) -> M {
    struct Branching;
    impl ModuleMapper for Branching {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let require_grad = tensor.is_require_grad();
                Tensor::from_inner(tensor.inner()).set_require_grad(require_grad)
            })
        }
    }
    model.map(&mut Branching)
}

struct Loader {
    location: Location,
    tensors: StateDict,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.location.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.location.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (key, transposed) = self.location.key();
        // Taken out, so that a tensor's bytes are freed as soon as it is on the device.
        let Some(raw) = self.tensors.remove(&key) else {
            return param;
        };
        let shape = param.lazy_shape().to_vec();
        let device = param.lazy_device();
        let values = raw.to_f32();
        // A page's memory holds the largest tensor twice, but not three times.
        drop(raw);
        // Transposed here and not on the device: a strided view takes other matrix kernels than the
        // contiguous tensor it stands for, and a resumed run would round differently.
        let values = match shape[..] {
            [rows, columns] if transposed => transpose(&values, rows, columns),
            _ => values,
        };
        let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), (&device, DType::F32));
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// `[columns, rows]` values as `[rows, columns]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns)
        .map(|index| values[(index % columns) * rows + index / columns])
        .collect()
}
