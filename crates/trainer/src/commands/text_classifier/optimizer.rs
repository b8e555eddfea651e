//! AdamW with a running mean of the parameters, over the classifier's keys.
//!
//! The core's AdamW knows the seven groups of an EmotionCLIP; here one rate serves all, and the
//! mean of the parameters over the last steps is what is tried and kept: it does better than any
//! single step on labels as noisy as these.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use emotionclip::checkpoint::{RawTensor, StateDict};
use emotionclip::text_classifier::TextClassifier;

use crate::failure::bad_input;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.98;
const EPSILON: f64 = 1e-8;

/// What is remembered of one parameter, flat, in burn's layout.
#[derive(Clone, Debug)]
struct Memory {
    first: Tensor<1>,
    second: Tensor<1>,
    average: Tensor<1>,
}

impl Memory {
    fn parts(&self) -> [(&'static str, &Tensor<1>); 3] {
        [
            ("first", &self.first),
            ("second", &self.second),
            ("average", &self.average),
        ]
    }
}

/// A parameter's key, and whether it decays.
#[derive(Clone, Debug)]
struct Place {
    key: String,
    decays: bool,
    count: usize,
}

/// The optimizer and its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    weight_decay: f64,
    average_decay: f64,
    places: HashMap<ParamId, Place>,
    memories: BTreeMap<String, Memory>,
}

impl Optimizer {
    /// An optimizer without history for `model`.
    pub fn new(weight_decay: f64, average_decay: f64, model: &TextClassifier) -> Self {
        let places = model.parameters().into_iter().map(|info| {
            let place = Place {
                decays: info.shape.len() > 1,
                count: info.shape.iter().product(),
                key: info.key,
            };
            (info.id, place)
        });
        Self {
            weight_decay,
            average_decay,
            places: places.collect(),
            memories: BTreeMap::new(),
        }
    }

    /// One update at this rate; `step` counts from 0.
    #[must_use]
    pub fn step(
        &mut self,
        model: TextClassifier,
        gradients: &mut Gradients,
        rate: f64,
        step: usize,
    ) -> TextClassifier {
        model.map(&mut Updater {
            optimizer: self,
            gradients,
            rate,
            step,
        })
    }

    /// `model`, which must be on the plain device, with the running means in place of its
    /// parameters.
    pub fn averaged(&self, model: TextClassifier) -> TextClassifier {
        model.map(&mut Averager(self))
    }

    /// The state, for a checkpoint: `<key>#first`, `<key>#second` and `<key>#average`.
    ///
    /// # Errors
    /// If the device fails to give a tensor back.
    pub fn state(&self) -> anyhow::Result<StateDict> {
        let mut state = StateDict::new();
        for (key, memory) in &self.memories {
            for (name, tensor) in memory.parts() {
                let values = tensor
                    .try_to_vec_as::<f32>()
                    .map_err(|error| anyhow::anyhow!("optimizer state of {key}: {error}"))?;
                let raw = RawTensor::from_f32(vec![values.len()], &values)?;
                state.insert(format!("{key}#{name}"), raw);
            }
        }
        Ok(state)
    }

    /// Replaces the state with that of a checkpoint.
    ///
    /// # Errors
    /// Bad input if it belongs to another model.
    pub fn load_state(&mut self, state: &StateDict, device: &Device) -> anyhow::Result<()> {
        let mut memories = BTreeMap::new();
        for Place { key, count, .. } in self.places.values() {
            let part = |name: &str| {
                let values = state
                    .get(&format!("{key}#{name}"))
                    .map(RawTensor::to_f32)
                    .filter(|values| values.len() == *count)
                    .ok_or_else(|| {
                        bad_input(format!(
                            "the checkpoint lacks the optimizer's {name} moment of {key}; resume \
                             with the run's own configuration"
                        ))
                    })?;
                let data = TensorData::new(values, [*count]);
                anyhow::Ok(Tensor::<1>::from_data(data, (device, DType::F32)))
            };
            let memory = Memory {
                first: part("first")?,
                second: part("second")?,
                average: part("average")?,
            };
            memories.insert(key.clone(), memory);
        }
        self.memories = memories;
        Ok(())
    }
}

struct Updater<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a mut Gradients,
    rate: f64,
    step: usize,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(Place {
            key, decays, count, ..
        }) = self.optimizer.places.get(&param.id).cloned()
        else {
            return param;
        };
        let Some(gradient) = param.val().grad_remove(self.gradients) else {
            return param;
        };
        let gradient = gradient.reshape([count]);
        let square = gradient.clone().square() * (1.0 - BETA_2);
        let gradient = gradient * (1.0 - BETA_1);
        let (first, second, average) = match self.optimizer.memories.remove(&key) {
            Some(memory) => (
                memory.first * BETA_1 + gradient,
                memory.second * BETA_2 + square,
                Some(memory.average),
            ),
            None => (gradient, square, None),
        };
        let updates = self.step as f64 + 1.0;
        let correction_1 = 1.0 - BETA_1.powf(updates);
        let correction_2 = 1.0 - BETA_2.powf(updates);
        let root = (second.clone() * (1.0 / correction_2)).sqrt() + EPSILON;
        let update = first.clone() * (self.rate / correction_1) / root;
        let decay = if decays {
            self.optimizer.weight_decay
        } else {
            0.0
        };
        let keep = 1.0 - self.rate * decay;
        // The first steps are forgotten faster: the mean starts at random parameters.
        let past = self
            .optimizer
            .average_decay
            .min(updates / (updates + 9.0));
        let memories = &mut self.optimizer.memories;
        param.map(|tensor| {
            let require_grad = tensor.is_require_grad();
            let shape = tensor.dims();
            let value = tensor.inner().reshape([count]) * keep - update;
            let average = match average {
                Some(average) => average * past + value.clone() * (1.0 - past),
                None => value.clone(),
            };
            let memory = Memory {
                first,
                second,
                average,
            };
            memories.insert(key, memory);
            Tensor::from_inner(value.reshape(shape)).set_require_grad(require_grad)
        })
    }
}

struct Averager<'a>(&'a Optimizer);

impl ModuleMapper for Averager<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let memory = self
            .0
            .places
            .get(&param.id)
            .and_then(|place| self.0.memories.get(&place.key));
        let Some(memory) = memory else {
            return param;
        };
        let average = memory.average.clone();
        param.map(|tensor| average.reshape(tensor.dims()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Int;
    use emotionclip::text_classifier::{Objective, TextClassifierConfig};

    fn model(device: &Device) -> TextClassifier {
        let mut config = TextClassifierConfig::small();
        config.text.vocab_size = 600;
        config.text.width = 8;
        config.text.heads = 2;
        config.init(1, device).unwrap()
    }

    fn gradients(model: &TextClassifier, device: &Device) -> Gradients {
        let tokens = TensorData::new(vec![598, 5, 9, 599], [1, 4]);
        let tokens = Tensor::<2, Int>::from_data(tokens, device);
        let labels = TensorData::new(vec![0_f32, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1, 7]);
        let labels = Tensor::<2>::from_data(labels, device);
        let weights = Tensor::<1>::ones([7], device);
        Objective::Softmax
            .loss(model.forward(tokens), labels, weights)
            .backward()
    }

    fn values(model: &TextClassifier, key: &str) -> Vec<f32> {
        model.to_state_dict().unwrap()[key].to_f32()
    }

    #[test]
    fn the_first_step_is_the_rate_against_the_gradient_after_the_decay() {
        let device = Device::flex().autodiff();
        let model = model(&device);
        let before = values(&model, "head.weight");
        let bias_before = values(&model, "head.bias");
        let mut optimizer = Optimizer::new(0.5, 0.0, &model);
        let mut gradients = gradients(&model, &device);
        let model = optimizer.step(model, &mut gradients, 1e-2, 0);
        // AdamW's first update is ±rate wherever the gradient is not tiny; decay takes 0.5 % first.
        let after = values(&model, "head.weight");
        let moved: Vec<f32> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| (after - before * (1.0 - 0.5e-2)).abs())
            .collect();
        let by_rate = moved.iter().filter(|by| (*by - 1e-2).abs() < 1e-4).count();
        assert!(by_rate * 10 > moved.len() * 9, "{moved:?}");
        // The bias does not decay; the gradient pulls the true class up and all others down.
        for (class, (before, after)) in bias_before.iter().zip(values(&model, "head.bias")).enumerate()
        {
            let expected = if class == 1 { 1e-2 } else { -1e-2 };
            assert!((after - before - expected).abs() < 1e-5, "{class}");
        }
    }

    #[test]
    fn the_average_follows_the_parameters_and_survives_a_checkpoint() {
        let plain = Device::flex();
        let device = plain.clone().autodiff();
        let mut trained = model(&device);
        let mut optimizer = Optimizer::new(0.0, 0.5, &trained);
        let mut steps = Vec::new();
        for step in 0..3 {
            let mut gradients = gradients(&trained, &device);
            trained = optimizer.step(trained, &mut gradients, 1e-2, step);
            steps.push(values(&trained, "head.bias")[1]);
        }
        let averaged = values(&optimizer.averaged(trained.valid()), "head.bias")[1];
        // The decay of steps 2 and 3 is min(0.5, n / (n + 9)): 2/11 and 3/12.
        let second = steps[0] * 2.0 / 11.0 + steps[1] * 9.0 / 11.0;
        let expected = second * 0.25 + steps[2] * 0.75;
        assert!((averaged - expected).abs() < 1e-6, "{averaged} {expected}");

        let state = optimizer.state().unwrap();
        let mut again = Optimizer::new(0.0, 0.5, &trained);
        again.load_state(&state, &plain).unwrap();
        let step = |mut optimizer: Optimizer| {
            let mut gradients = gradients(&trained, &device);
            let model = optimizer.step(trained.clone(), &mut gradients, 1e-2, 3);
            model.to_state_dict().unwrap()
        };
        assert_eq!(step(again.clone()), step(optimizer));
        assert!(again.load_state(&StateDict::new(), &plain).is_err());
    }
}
