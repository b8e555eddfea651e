//! AdamW with a rate for each parameter group and a state that a checkpoint can hold.
//!
//! Burn's `ModuleOptimizer` takes one learning rate unless its own schedulers drive it, and keys its
//! state by a parameter identity that changes with every start. The release's recipe needs seven
//! rates, and a resumed run must find the moments again, so here they stand under the parameters'
//! checkpoint keys.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{GroupRates, ParameterGradients, ParameterGroup};
use crate::checkpoint::{CheckpointError, RawTensor, StateDict};
use crate::model::EmotionClip;
use crate::parameters::{ParameterInfo, parameters};

/// AdamW's constants; the default is the release's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta_1: 0.98,
            beta_2: 0.9,
            epsilon: 1e-6,
        }
    }
}

/// Moments of one parameter, flat, in burn's layout.
#[derive(Clone, Debug)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
    steps: u32,
}

/// The optimizer's state as tensors, to be stored beside the model's.
///
/// `<key>#first` and `<key>#second` hold the moments, `<key>#steps` the number of updates.
pub type OptimizerState = StateDict;

/// AdamW over the seven groups of an [`EmotionClip`].
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    groups: HashMap<ParamId, (String, ParameterGroup)>,
    moments: BTreeMap<String, Moments>,
}

impl AdamW {
    /// An optimizer without history for `model`.
    pub fn new(config: AdamWConfig, model: &EmotionClip) -> Self {
        let groups = parameters(model)
            .into_iter()
            .map(|ParameterInfo { key, shape, id }| {
                let group = ParameterGroup::of(&key, shape.len());
                (id, (key, group))
            })
            .collect();
        Self {
            config,
            groups,
            moments: BTreeMap::new(),
        }
    }

    /// One update of every parameter that has a gradient.
    ///
    /// `rates` are the rates of this very step, the schedule applied. The logit scale is not
    /// clamped here: see [`EmotionClip::clamp_logit_scale`].
    #[must_use]
    pub fn step(
        &mut self,
        rates: &GroupRates,
        model: EmotionClip,
        gradients: &mut Gradients,
    ) -> EmotionClip {
        let gradients = ParameterGradients::take(gradients, &model);
        self.step_with(rates, model, gradients)
    }

    /// As [`step`](Self::step), with gradients gathered from several backward passes.
    #[must_use]
    pub fn step_with(
        &mut self,
        rates: &GroupRates,
        model: EmotionClip,
        gradients: ParameterGradients,
    ) -> EmotionClip {
        model.map(&mut Updater {
            optimizer: self,
            rates,
            gradients,
        })
    }

    /// The moments, for a checkpoint.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn state(&self) -> Result<OptimizerState, CheckpointError> {
        let mut state = OptimizerState::new();
        for (key, moments) in &self.moments {
            for (name, tensor) in [("first", &moments.first), ("second", &moments.second)] {
                let values = tensor.try_to_vec_as::<f32>().map_err(|error| {
                    CheckpointError::Device(format!("optimizer state of {key}: {error}"))
                })?;
                let raw = RawTensor::from_f32(vec![values.len()], &values)?;
                state.insert(format!("{key}#{name}"), raw);
            }
            let steps = [i64::from(moments.steps)];
            state.insert(
                format!("{key}#steps"),
                RawTensor::from_i64(vec![1], &steps)?,
            );
        }
        Ok(state)
    }

    /// Replaces the moments with those of a checkpoint.
    ///
    /// # Errors
    ///
    /// If the state belongs to another model.
    pub fn load_state(
        &mut self,
        model: &EmotionClip,
        state: &OptimizerState,
        device: &Device,
    ) -> Result<(), CheckpointError> {
        // The moments meet gradients, which carry no graph of their own.
        let device = &device.clone().without_autodiff();
        let mut moments = BTreeMap::new();
        for ParameterInfo { key, shape, .. } in parameters(model) {
            let Some(first) = state.get(&format!("{key}#first")) else {
                continue;
            };
            let (Some(second), Some(steps)) = (
                state.get(&format!("{key}#second")),
                state.get(&format!("{key}#steps")),
            ) else {
                return Err(CheckpointError::Optimizer(format!("{key} lacks a moment")));
            };
            let count = shape.iter().product::<usize>();
            let values = [first.to_f32(), second.to_f32()];
            if values.iter().any(|values| values.len() != count) {
                return Err(CheckpointError::Optimizer(format!(
                    "{key} has moments of another size than the model's {count}"
                )));
            }
            let [first, second] = values.map(|values| {
                let data = TensorData::new(values, [count]);
                Tensor::<1>::from_data(data, (device, DType::F32))
            });
            let steps = steps.to_f32().first().map_or(0, |steps| *steps as u32);
            moments.insert(
                key,
                Moments {
                    first,
                    second,
                    steps,
                },
            );
        }
        self.moments = moments;
        Ok(())
    }
}

struct Updater<'a> {
    optimizer: &'a mut AdamW,
    rates: &'a GroupRates,
    gradients: ParameterGradients,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((key, group)) = self.optimizer.groups.get(&param.id).cloned() else {
            return param;
        };
        let Some(gradient) = self.gradients.remove(param.id) else {
            return param;
        };
        let AdamWConfig {
            beta_1,
            beta_2,
            epsilon,
        } = self.optimizer.config;
        let rate = self.rates.rate(group);
        let moments = self.optimizer.moments.remove(&key);
        let (first, second, steps) = match moments {
            Some(Moments {
                first,
                second,
                steps,
            }) => (
                first * beta_1 + gradient.clone() * (1.0 - beta_1),
                second * beta_2 + gradient.square() * (1.0 - beta_2),
                steps + 1,
            ),
            None => (
                gradient.clone() * (1.0 - beta_1),
                gradient.square() * (1.0 - beta_2),
                1,
            ),
        };
        let correction_1 = 1.0 - beta_1.powi(steps as i32);
        let correction_2 = 1.0 - beta_2.powi(steps as i32);
        let root = (second.clone() * (1.0 / correction_2)).sqrt() + epsilon;
        let update = (first.clone() * (rate.learning_rate / correction_1)) / root;
        self.optimizer.moments.insert(
            key,
            Moments {
                first,
                second,
                steps,
            },
        );
        let keep = 1.0 - rate.learning_rate * rate.weight_decay;
        param.map(|tensor| {
            let require_grad = tensor.is_require_grad();
            let shape = tensor.dims();
            let decayed = tensor.inner() * keep;
            Tensor::from_inner(decayed - update.reshape(shape)).set_require_grad(require_grad)
        })
    }
}
