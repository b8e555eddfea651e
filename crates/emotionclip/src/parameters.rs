//! A model's parameters under the release's own keys, out of and into a model.
//!
//! Burn names a parameter by its path through the structs (`visual.transformer.resblocks.0.attn`);
//! the release by its path through the PyTorch modules. This module is the one place that knows
//! both, and that PyTorch stores a linear weight as `[out, in]` where burn stores `[in, out]`.

use std::collections::BTreeMap;

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

/// Path through the module tree, and whether the innermost module is a linear map.
#[derive(Default)]
struct Location {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Location {
    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The release's key and whether its tensor is transposed against burn's.
    fn key(&self) -> (String, bool) {
        let leaf = self.path.last().map_or("", String::as_str);
        let linear = self
            .containers
            .iter()
            .any(|container| container == "Struct:Linear");
        (
            release_key(&self.path.join(".")),
            linear && leaf == "weight",
        )
    }
}

/// Translates burn's dotted path to the release's key.
fn release_key(path: &str) -> String {
    let renamed = path
        .replace(".in_proj.weight", ".in_proj_weight")
        .replace(".in_proj.bias", ".in_proj_bias")
        .replace(".gamma", ".weight")
        .replace(".beta", ".bias");
    let (tower, rest) = renamed.split_once('.').unwrap_or((renamed.as_str(), ""));
    match (tower, rest) {
        ("visual", "conv1") => "backbone.visual.conv1.weight".to_owned(),
        ("visual", rest) => format!("backbone.visual.{rest}"),
        ("text", "token_embedding") => "backbone.token_embedding.weight".to_owned(),
        ("text", rest) => format!("backbone.{rest}"),
        ("temporal", "frame_position_embedding") => {
            "visual_head.frame_position_embedding.weight".to_owned()
        }
        ("temporal", "convolution") => "visual_head.fusion_layer.weight".to_owned(),
        ("temporal", rest) => {
            let rest = rest.strip_prefix("transformer.").unwrap_or(rest);
            format!("visual_head.fusion_layer.{rest}")
        }
        _ => renamed,
    }
}

/// Lists a model's parameters in the order of construction, without reading any value.
pub fn parameters(model: &EmotionClip) -> Vec<ParameterInfo> {
    #[derive(Default)]
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
            if key == LOGIT_SCALE {
                shape.clear();
            }
            self.found.push(ParameterInfo {
                key,
                shape,
                id: param.id,
            });
        }
    }
    let mut lister = Lister::default();
    model.visit(&mut lister);
    lister.found
}

/// Number of trainable scalars.
pub fn parameter_count(model: &EmotionClip) -> usize {
    parameters(model)
        .iter()
        .map(|info| info.shape.iter().product::<usize>())
        .sum()
}

/// The model's parameters as f32 tensors under the release's keys.
///
/// Holds what `torch.save` of the release's model holds: the logit scale stands under both its keys
/// and a transformer head carries its `position_ids`.
///
/// # Errors
///
/// If the device fails to give a tensor back.
pub fn to_state_dict(model: &EmotionClip) -> Result<StateDict, CheckpointError> {
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
            let shape: Vec<usize> = if key == LOGIT_SCALE {
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
        location: Location::default(),
        tensors: BTreeMap::new(),
        failed: None,
    };
    model.visit(&mut reader);
    if let Some(error) = reader.failed {
        return Err(error);
    }
    let mut tensors = reader.tensors;
    if let Some(scale) = tensors.get(LOGIT_SCALE).cloned() {
        tensors.insert(BACKBONE_LOGIT_SCALE.to_owned(), scale);
    }
    if model.config().temporal.fusion == TemporalFusion::Transformer {
        let frames = i64::try_from(model.config().temporal.frames).unwrap_or(i64::MAX);
        let ids: Vec<i64> = (0..frames).collect();
        tensors.insert(
            POSITION_IDS.to_owned(),
            RawTensor::from_i64(vec![ids.len()], &ids)?,
        );
    }
    Ok(tensors)
}

/// Which tensors a state dict may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every parameter must be there.
    Whole,
    /// The temporal head (and SAAM's own parameters) may be missing and stay as they are: a CLIP
    /// backbone.
    Backbone,
}

/// Puts tensors under the release's keys into a model of the same architecture.
///
/// The result keeps the model's device and its parameters' identities.
///
/// # Errors
///
/// One error lists every missing, unexpected, misshapen or non-finite tensor.
pub fn load_state_dict(
    model: EmotionClip,
    tensors: &StateDict,
    completeness: Completeness,
) -> Result<EmotionClip, CheckpointError> {
    let mut expected: Vec<(String, Vec<usize>)> = parameters(&model)
        .into_iter()
        .map(|info| (info.key, info.shape))
        .collect();
    let mut tensors = tensors.clone();
    // Copies and constants of the release's files that are not parameters of their own.
    let copy = tensors.remove(BACKBONE_LOGIT_SCALE);
    if let Some(copy) = copy {
        tensors.entry(LOGIT_SCALE.to_owned()).or_insert(copy);
    }
    tensors.remove(POSITION_IDS);
    expected.sort();
    verify(&tensors, &expected, |key| {
        completeness == Completeness::Backbone
            && (key.starts_with("visual_head.")
                || key.starts_with("backbone.visual.saam.")
                || key == "backbone.visual.human_embedding")
    })?;
    let mut loader = Loader {
        location: Location::default(),
        tensors,
    };
    Ok(model.map(&mut loader))
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
