//! The update rules of EmoCLIP's training, as PyTorch defines them.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::Rate;

/// Where Adam's weight decay enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightDecay {
    /// Added to the gradient, so that the moments see it: `torch.optim.Adam`.
    #[default]
    L2,
    /// Taken off the weights beside the step: `torch.optim.AdamW`.
    Decoupled,
}

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "kind")]
pub enum Method {
    /// `torch.optim.SGD`: with g the gradient plus decay · weight, the buffer is g at first and
    /// `momentum` · buffer + g from then on; the weight loses rate · buffer.
    Sgd {
        /// What is kept of the buffer from step to step.
        momentum: f64,
    },
    /// `torch.optim.Adam`, or `AdamW` with decoupled decay.
    Adam {
        /// Decay of the first moment.
        beta_1: f64,
        /// Decay of the second moment.
        beta_2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Where weight decay enters.
        #[serde(default)]
        decay: WeightDecay,
    },
}

/// What a method remembers of one parameter, flat, in burn's layout.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// One tensor for each of [`Method::memory_names`].
    pub tensors: Vec<Tensor<1>>,
    /// Updates so far.
    pub steps: u32,
}

impl Method {
    /// EmoCLIP's default: SGD with momentum 0.9.
    pub const fn sgd() -> Self {
        Self::Sgd { momentum: 0.9 }
    }

    /// EmoCLIP's alternative: Adam with β₁ = 0.9, β₂ = 0.999, ε = 1e-6.
    pub const fn adam() -> Self {
        Self::Adam {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-6,
            decay: WeightDecay::L2,
        }
    }

    /// Names of the remembered tensors, in order.
    pub(super) const fn memory_names(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } => &["first", "second"],
        }
    }

    /// One step of a flat parameter: its new value, and what is to be remembered.
    pub(super) fn update(
        self,
        value: Tensor<1>,
        gradient: Tensor<1>,
        memory: Option<Memory>,
        rate: Rate,
    ) -> (Tensor<1>, Memory) {
        let Rate {
            learning_rate,
            weight_decay,
        } = rate;
        let steps = memory
            .as_ref()
            .map_or(1, |memory| memory.steps.saturating_add(1));
        let mut tensors = memory
            .map(|memory| memory.tensors)
            .unwrap_or_default()
            .into_iter();
        match self {
            Self::Sgd { momentum } => {
                let gradient = gradient + value.clone() * weight_decay;
                let buffer = match tensors.next() {
                    Some(buffer) => buffer * momentum + gradient,
                    None => gradient,
                };
                let value = value - buffer.clone() * learning_rate;
                let tensors = vec![buffer];
                (value, Memory { tensors, steps })
            }
            Self::Adam {
                beta_1,
                beta_2,
                epsilon,
                decay,
            } => {
                let (value, gradient) = match decay {
                    WeightDecay::L2 => {
                        let decayed = value.clone() * weight_decay;
                        (value, gradient + decayed)
                    }
                    WeightDecay::Decoupled => {
                        (value * (1.0 - learning_rate * weight_decay), gradient)
                    }
                };
                let first_share = gradient.clone() * (1.0 - beta_1);
                let second_share = gradient.square() * (1.0 - beta_2);
                let (first, second) = match (tensors.next(), tensors.next()) {
                    (Some(first), Some(second)) => {
                        (first * beta_1 + first_share, second * beta_2 + second_share)
                    }
                    _ => (first_share, second_share),
                };
                let power = i32::try_from(steps).unwrap_or(i32::MAX);
                let correction_1 = 1.0 - beta_1.powi(power);
                let correction_2 = 1.0 - beta_2.powi(power);
                let root = (second.clone() * (1.0 / correction_2)).sqrt() + epsilon;
                let value = value - first.clone() * (learning_rate / correction_1) / root;
                let tensors = vec![first, second];
                (value, Memory { tensors, steps })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_in_files_and_misspellings_refused() {
        let json = serde_json::to_string(&Method::sgd()).unwrap();
        assert_eq!(json, r#"{"kind":"sgd","momentum":0.9}"#);
        let adam: Method =
            serde_json::from_str(r#"{"kind":"adam","beta_1":0.9,"beta_2":0.999,"epsilon":1e-6}"#)
                .unwrap();
        assert_eq!(adam, Method::adam());
        let misspelt = r#"{"kind":"sgd","momentum":0.9,"nesterov":true}"#;
        assert!(serde_json::from_str::<Method>(misspelt).is_err());
    }
}
