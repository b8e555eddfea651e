//! An optimizer for any model of the crate, a rate of its own for each parameter.
//!
//! [`AdamW`](super::AdamW) knows EmotionCLIP's seven groups. Here the caller says by key which
//! parameter moves at which rate, so that EmoCLIP's towers can follow at a thousandth or stay where
//! they are. What is remembered stands under the parameters' keys, so that a run can be resumed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::{ModuleMapper, Param, ParamId};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

use super::method::Memory;
use super::{Method, OptimizerState, ParameterGradients, Rate};
use crate::checkpoint::{CheckpointError, RawTensor};
use crate::parameters::{Keyed, ParameterInfo, parameters};

/// What separates a parameter's key from the name of what is remembered of it.
const SEPARATOR: char = '#';
const STEPS: &str = "steps";

/// SGD or Adam over the parameters of a [`Keyed`] model.
#[derive(Clone, Debug)]
pub struct KeyedOptimizer {
    method: Method,
    trained: HashMap<ParamId, Trained>,
    memory: BTreeMap<String, Memory>,
}

/// A parameter that is trained.
#[derive(Clone, Debug)]
struct Trained {
    key: String,
    count: usize,
    rate: Rate,
}

impl KeyedOptimizer {
    /// An optimizer without history. `rate` gives each parameter's base rate and weight decay, or
    /// `None` for one that stays as it is.
    pub fn new<M: Keyed>(
        method: Method,
        model: &M,
        rate: impl Fn(&ParameterInfo) -> Option<Rate>,
    ) -> Self {
        let trained = parameters(model).into_iter().filter_map(|info| {
            let rate = rate(&info)?;
            let count = info.shape.iter().product();
            let key = info.key;
            Some((info.id, Trained { key, count, rate }))
        });
        Self {
            method,
            trained: trained.collect(),
            memory: BTreeMap::new(),
        }
    }

    /// One update of every trained parameter that has a gradient; `schedule` is the factor on all
    /// base rates at this step.
    #[must_use]
    pub fn step<M: Keyed>(&mut self, schedule: f64, model: M, gradients: &mut Gradients) -> M {
        let gradients = ParameterGradients::take(gradients, &model);
        self.step_with(schedule, model, gradients)
    }

    /// As [`step`](Self::step), with gradients gathered from several backward passes.
    #[must_use]
    pub fn step_with<M: Keyed>(
        &mut self,
        schedule: f64,
        model: M,
        gradients: ParameterGradients,
    ) -> M {
        model.map(&mut Updater {
            optimizer: self,
            schedule,
            gradients,
        })
    }

    /// What is remembered of the parameters, for a checkpoint: `<key>#momentum` or `<key>#first`
    /// and `<key>#second`, flat, and the number of updates as `<key>#steps`.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn state(&self) -> Result<OptimizerState, CheckpointError> {
        let mut state = OptimizerState::new();
        for (key, memory) in &self.memory {
            for (name, tensor) in self.method.memory_names().iter().zip(&memory.tensors) {
                let values = tensor.try_to_vec_as::<f32>().map_err(|error| {
                    CheckpointError::Device(format!("optimizer state of {key}: {error}"))
                })?;
                let raw = RawTensor::from_f32(vec![values.len()], &values)?;
                state.insert(format!("{key}{SEPARATOR}{name}"), raw);
            }
            let steps = RawTensor::from_i64(vec![1], &[i64::from(memory.steps)])?;
            state.insert(format!("{key}{SEPARATOR}{STEPS}"), steps);
        }
        Ok(state)
    }

    /// Replaces what is remembered with a checkpoint's. A parameter of which it has nothing starts
    /// anew.
    ///
    /// # Errors
    ///
    /// If the state belongs to another model, another method or other trained parameters, or is
    /// not finite. The optimizer is then as it was.
    pub fn load_state(
        &mut self,
        state: &OptimizerState,
        device: &Device,
    ) -> Result<(), CheckpointError> {
        // What is remembered meets gradients, which carry no graph of their own.
        let device = &device.clone().without_autodiff();
        let mut memory = BTreeMap::new();
        let mut read = BTreeSet::new();
        for Trained { key, count, .. } in self.trained.values() {
            let names = self.method.memory_names().iter().chain([&STEPS]);
            let keys: Vec<String> = names
                .map(|name| format!("{key}{SEPARATOR}{name}"))
                .collect();
            let found: Vec<&RawTensor> = keys.iter().filter_map(|key| state.get(key)).collect();
            if found.is_empty() {
                continue;
            }
            let fault = |problem: &str| CheckpointError::Optimizer(format!("{key} {problem}"));
            let Some((steps, tensors)) = found.split_last() else {
                continue;
            };
            if found.len() != keys.len() {
                return Err(fault("lacks a part"));
            }
            if tensors.iter().any(|tensor| tensor.len() != *count) {
                let expected = format!("is of another size than the model's {count}");
                return Err(fault(&expected));
            }
            if !tensors.iter().all(|tensor| tensor.is_finite()) {
                return Err(fault("is not finite"));
            }
            let steps = steps.to_f32().first().map_or(0, |steps| *steps as u32);
            let tensors = tensors.iter().map(|tensor| {
                let data = TensorData::new(tensor.to_f32(), [*count]);
                Tensor::<1>::from_data(data, (device, DType::F32))
            });
            let tensors = tensors.collect();
            memory.insert(key.clone(), Memory { tensors, steps });
            read.extend(keys);
        }
        if let Some(stranger) = state.keys().find(|key| !read.contains(*key)) {
            return Err(CheckpointError::Optimizer(format!(
                "`{}` is of no parameter that this run trains",
                stranger.escape_debug()
            )));
        }
        self.memory = memory;
        Ok(())
    }
}

struct Updater<'a> {
    optimizer: &'a mut KeyedOptimizer,
    schedule: f64,
    gradients: ParameterGradients,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(Trained { key, rate, .. }) = self.optimizer.trained.get(&param.id).cloned() else {
            return param;
        };
        let Some(gradient) = self.gradients.remove(param.id) else {
            return param;
        };
        let rate = Rate {
            learning_rate: rate.learning_rate * self.schedule,
            ..rate
        };
        let method = self.optimizer.method;
        let memory = self.optimizer.memory.remove(&key);
        let mut remembered = None;
        let param = param.map(|tensor| {
            let require_grad = tensor.is_require_grad();
            let shape = tensor.dims();
            let flat = tensor.inner().reshape(gradient.dims());
            let (value, memory) = method.update(flat, gradient, memory, rate);
            remembered = Some(memory);
            Tensor::from_inner(value.reshape(shape)).set_require_grad(require_grad)
        });
        if let Some(memory) = remembered {
            self.optimizer.memory.insert(key, memory);
        }
        param
    }
}
