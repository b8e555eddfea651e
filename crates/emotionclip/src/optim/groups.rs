//! The seven parameter groups of the release's recipe.

use serde::{Deserialize, Serialize};

/// The encoder that a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tower {
    /// The frame encoder.
    Frame,
    /// The text encoder.
    Text,
    /// The temporal encoder.
    Temporal,
}

/// One of the seven groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParameterGroup {
    /// Gains and biases of a tower: no weight decay.
    GainOrBias(Tower),
    /// All other parameters of a tower.
    Rest(Tower),
    /// The logit scale.
    LogitScale,
}

impl ParameterGroup {
    /// All groups in the release's order.
    pub const ALL: [Self; 7] = [
        Self::GainOrBias(Tower::Frame),
        Self::Rest(Tower::Frame),
        Self::GainOrBias(Tower::Text),
        Self::Rest(Tower::Text),
        Self::GainOrBias(Tower::Temporal),
        Self::Rest(Tower::Temporal),
        Self::LogitScale,
    ];

    /// The group of the parameter with the release's `key` and `rank` dimensions.
    ///
    /// As in the release, a parameter is a gain or bias if it has fewer than two dimensions or its
    /// key contains `bn`, `ln` or `bias`.
    pub fn of(key: &str, rank: usize) -> Self {
        if key.contains("logit_scale") {
            return Self::LogitScale;
        }
        let tower = if key.starts_with("visual_head") {
            Tower::Temporal
        } else if key.contains("visual") {
            Tower::Frame
        } else {
            Tower::Text
        };
        if rank < 2 || ["bn", "ln", "bias"].iter().any(|part| key.contains(part)) {
            Self::GainOrBias(tower)
        } else {
            Self::Rest(tower)
        }
    }

    /// Name used in logs, e.g. `frame/rest`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GainOrBias(Tower::Frame) => "frame/gain_bias",
            Self::Rest(Tower::Frame) => "frame/rest",
            Self::GainOrBias(Tower::Text) => "text/gain_bias",
            Self::Rest(Tower::Text) => "text/rest",
            Self::GainOrBias(Tower::Temporal) => "temporal/gain_bias",
            Self::Rest(Tower::Temporal) => "temporal/rest",
            Self::LogitScale => "logit_scale",
        }
    }
}

/// Learning rate and weight decay of a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Base learning rate, before the schedule.
    pub learning_rate: f64,
    /// Weight decay; decoupled in [`AdamW`](super::AdamW), as the method has it elsewhere.
    pub weight_decay: f64,
}

/// Base rates of all groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRates {
    /// Gains and biases of the frame encoder.
    pub frame_gain_bias: Rate,
    /// The frame encoder's other parameters.
    pub frame_rest: Rate,
    /// Gains and biases of the text encoder.
    pub text_gain_bias: Rate,
    /// The text encoder's other parameters.
    pub text_rest: Rate,
    /// Gains and biases of the temporal encoder.
    pub temporal_gain_bias: Rate,
    /// The temporal encoder's other parameters.
    pub temporal_rest: Rate,
    /// The logit scale.
    pub logit_scale: Rate,
}

impl GroupRates {
    /// The release's rates: fine-tuning from a pretrained CLIP.
    pub const fn release() -> Self {
        let gain_bias = Rate {
            learning_rate: 5e-5,
            weight_decay: 0.0,
        };
        let rest = Rate {
            learning_rate: 1e-8,
            weight_decay: 0.1,
        };
        Self {
            frame_gain_bias: gain_bias,
            frame_rest: rest,
            text_gain_bias: gain_bias,
            text_rest: rest,
            temporal_gain_bias: gain_bias,
            temporal_rest: rest,
            logit_scale: Rate {
                learning_rate: 1e-8,
                weight_decay: 0.0,
            },
        }
    }

    /// One learning rate for everything, decay on matrices only: training from scratch.
    pub const fn uniform(learning_rate: f64, weight_decay: f64) -> Self {
        let gain_bias = Rate {
            learning_rate,
            weight_decay: 0.0,
        };
        let rest = Rate {
            learning_rate,
            weight_decay,
        };
        Self {
            frame_gain_bias: gain_bias,
            frame_rest: rest,
            text_gain_bias: gain_bias,
            text_rest: rest,
            temporal_gain_bias: gain_bias,
            temporal_rest: rest,
            logit_scale: gain_bias,
        }
    }

    /// The rate of one group.
    pub const fn rate(&self, group: ParameterGroup) -> Rate {
        match group {
            ParameterGroup::GainOrBias(Tower::Frame) => self.frame_gain_bias,
            ParameterGroup::Rest(Tower::Frame) => self.frame_rest,
            ParameterGroup::GainOrBias(Tower::Text) => self.text_gain_bias,
            ParameterGroup::Rest(Tower::Text) => self.text_rest,
            ParameterGroup::GainOrBias(Tower::Temporal) => self.temporal_gain_bias,
            ParameterGroup::Rest(Tower::Temporal) => self.temporal_rest,
            ParameterGroup::LogitScale => self.logit_scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_the_release() {
        let cases = [
            (
                "backbone.visual.conv1.weight",
                4,
                ParameterGroup::Rest(Tower::Frame),
            ),
            (
                "backbone.visual.class_embedding",
                1,
                ParameterGroup::GainOrBias(Tower::Frame),
            ),
            (
                "backbone.visual.positional_embedding",
                2,
                ParameterGroup::Rest(Tower::Frame),
            ),
            (
                "backbone.text_projection",
                2,
                ParameterGroup::Rest(Tower::Text),
            ),
            (
                "backbone.ln_final.weight",
                1,
                ParameterGroup::GainOrBias(Tower::Text),
            ),
            (
                "visual_head.fusion_layer.layers.0.norm1.weight",
                1,
                ParameterGroup::GainOrBias(Tower::Temporal),
            ),
            (
                "visual_head.fusion_layer.layers.0.self_attn.in_proj_weight",
                2,
                ParameterGroup::Rest(Tower::Temporal),
            ),
            ("logit_scale", 0, ParameterGroup::LogitScale),
        ];
        for (key, rank, group) in cases {
            assert_eq!(ParameterGroup::of(key, rank), group, "{key}");
        }
    }
}
