//! A running mean of the trained parameters.
//!
//! On labels as noisy as these the mean over the last steps does better than any single step, so it
//! is what is tried and kept.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use emotionclip::text_classifier::TextClassifier;

/// The mean, as a classifier on the plain device.
#[derive(Clone, Debug)]
pub struct Average {
    /// The classifier with the means as its parameters.
    pub model: TextClassifier,
    decay: f64,
}

impl Average {
    /// A mean that so far is `model`, which is on the autodiff device, and forgets with this decay a
    /// step.
    pub fn new(model: &TextClassifier, decay: f64) -> Self {
        Self {
            model: model.valid(),
            decay,
        }
    }

    /// Takes the parameters after an update; `step` counts from 0.
    pub fn update(&mut self, trained: &TextClassifier, step: usize) {
        let updates = step as f64 + 1.0;
        // The first steps are forgotten faster: the mean starts at random parameters.
        let past = self.decay.min(updates / (updates + 9.0));
        let mut newest = Newest(HashMap::new());
        trained.valid().visit(&mut newest);
        self.model = self.model.clone().map(&mut Mixer {
            past,
            newest: newest.0,
        });
    }
}

/// Each parameter, flat.
struct Newest(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Newest {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let count = value.dims().iter().product::<usize>();
        self.0.insert(param.id, value.reshape([count]));
    }
}

struct Mixer {
    past: f64,
    newest: HashMap<ParamId, Tensor<1>>,
}

impl ModuleMapper for Mixer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(newest) = self.newest.remove(&param.id) else {
            return param;
        };
        let past = self.past;
        param.map(|mean| {
            let shape = mean.dims();
            mean * past + newest.reshape(shape) * (1.0 - past)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
    use emotionclip::text_classifier::TextClassifierConfig;

    #[test]
    fn the_mean_forgets_its_random_start_faster_than_later_steps() {
        let device = Device::flex().autodiff();
        let mut config = TextClassifierConfig::small();
        config.text.vocab_size = 600;
        config.text.width = 8;
        let mut model = config.init(1, &device).unwrap();
        let value = |model: &TextClassifier| to_state_dict(model).unwrap()["head.bias"].to_f32()[1];
        let mut average = Average::new(&model, 0.2);
        let mut expected = value(&model);
        // min(0.2, n / (n + 9)) for n = 1, 2, 3: 1/10, 2/11, 0.2.
        for (step, past) in [0.1, 2.0 / 11.0, 0.2].into_iter().enumerate() {
            let other = config.init(2 + step as u64, &device).unwrap();
            let state = to_state_dict(&other).unwrap();
            model = load_state_dict(model, &state, Completeness::Whole).unwrap();
            average.update(&model, step);
            expected = expected * past + value(&model) * (1.0 - past);
            assert!((value(&average.model) - expected).abs() < 1e-6, "{step}");
        }
    }
}
