//! Encoder and heads on tensors.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor, activation};

use super::config::{RobertaConfig, RobertaTask};
use crate::nn::{Init, ParameterInit};

/// A score that loses against any other; its exponential is exactly 0 in f32 beside any score.
const UNSEEN: f64 = -1e9;

/// A post-norm layer of BERT.
#[derive(Module, Debug)]
pub struct RobertaLayer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// The encoder: token ids to features.
#[derive(Module, Debug)]
pub struct Roberta {
    word_embeddings: Param<Tensor<2>>,
    position_embeddings: Param<Tensor<2>>,
    token_type_embeddings: Param<Tensor<2>>,
    embedding_norm: LayerNorm,
    layers: Vec<RobertaLayer>,
    #[module(skip)]
    config: RobertaConfig,
}

/// The encoder with a classifier of texts or of tokens.
#[derive(Module, Debug)]
pub struct RobertaClassifier {
    roberta: Roberta,
    /// Before the output, for texts.
    dense: Option<Linear>,
    /// The output, for texts.
    out_proj: Option<Linear>,
    /// The output, for tokens.
    token_head: Option<Linear>,
}

impl RobertaConfig {
    /// Creates a classifier with fresh parameters, the same for the same seed.
    ///
    /// # Errors
    /// As [`RobertaConfig::validate`].
    pub fn init(&self, seed: u64, device: &Device) -> Result<RobertaClassifier, String> {
        self.validate()?;
        let mut init = ParameterInit::new(seed, device);
        let width = self.hidden_size;
        let classes = self.labels()?.len();
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        let table =
            |init: &mut ParameterInit, rows| init.parameter([rows, width], Init::Normal(0.02));
        let roberta = Roberta {
            word_embeddings: table(&mut init, self.vocab_size),
            position_embeddings: table(&mut init, self.max_position_embeddings),
            token_type_embeddings: table(&mut init, self.type_vocab_size),
            embedding_norm: norm(),
            layers: (0..self.num_hidden_layers)
                .map(|_| RobertaLayer {
                    query: init.linear(width, width),
                    key: init.linear(width, width),
                    value: init.linear(width, width),
                    attention_output: init.linear(width, width),
                    attention_norm: norm(),
                    intermediate: init.linear(width, self.intermediate_size),
                    output: init.linear(self.intermediate_size, width),
                    output_norm: norm(),
                })
                .collect(),
            config: self.clone(),
        };
        let is_of_texts = self.task()? == RobertaTask::Sequence;
        Ok(RobertaClassifier {
            roberta,
            dense: is_of_texts.then(|| init.linear(width, width)),
            out_proj: is_of_texts.then(|| init.linear(width, classes)),
            token_head: (!is_of_texts).then(|| init.linear(width, classes)),
        })
    }
}

impl RobertaLayer {
    /// `[B, L, W]` to `[B, L, W]`; `mask` `[B, 1, 1, L]` is added to the scores.
    fn forward(&self, input: Tensor<3>, mask: &Tensor<4>, heads: usize) -> Tensor<3> {
        let [batch, length, width] = input.dims();
        let per_head = width / heads;
        let split = |layer: &Linear| {
            let projected = layer.forward(input.clone());
            projected
                .reshape([batch, length, heads, per_head])
                .swap_dims(1, 2)
        };
        let scores = split(&self.query).matmul(split(&self.key).swap_dims(2, 3))
            / (per_head as f64).sqrt()
            + mask.clone();
        let attended = activation::softmax(scores, 3).matmul(split(&self.value));
        let attended = attended.swap_dims(1, 2).reshape([batch, length, width]);
        let hidden = self
            .attention_norm
            .forward(input + self.attention_output.forward(attended));
        let inner = activation::gelu(self.intermediate.forward(hidden.clone()));
        self.output_norm
            .forward(hidden + self.output.forward(inner))
    }
}

impl Roberta {
    /// The configuration that the encoder was built from.
    pub fn config(&self) -> &RobertaConfig {
        &self.config
    }

    /// Features `[B, L, W]` of token ids `[B, L]`, of which the first `lengths[b]` of each row are text
    /// and the others padding behind it.
    ///
    /// # Panics
    ///
    /// If `L` exceeds [`RobertaConfig::longest`] or an id the vocabulary; [`PretrainedRoberta`] makes
    /// neither.
    ///
    /// [`PretrainedRoberta`]: super::PretrainedRoberta
    pub fn forward(&self, tokens: Tensor<2, Int>, lengths: &[usize]) -> Tensor<3> {
        let [batch, length] = tokens.dims();
        let device = tokens.device();
        let width = self.config.hidden_size;
        let first = self.config.pad_token_id as usize + 1;
        // Padding has the padding's position in the original; nothing looks at it, so any will do.
        let positions = self.position_embeddings.val().narrow(0, first, length);
        let kind = self.token_type_embeddings.val().narrow(0, 0, 1);
        let embedded = embedding(self.word_embeddings.val(), tokens)
            + (positions + kind).reshape([1, length, width]);
        let mut hidden = self.embedding_norm.forward(embedded);
        let mask: Vec<f32> = lengths
            .iter()
            .flat_map(|used| {
                (0..length).map(move |place| if place < *used { 0.0 } else { UNSEEN as f32 })
            })
            .collect();
        let mask =
            Tensor::<1>::from_floats(mask.as_slice(), &device).reshape([batch, 1, 1, length]);
        for layer in &self.layers {
            hidden = layer.forward(hidden, &mask, self.config.num_attention_heads);
        }
        hidden
    }
}

impl RobertaClassifier {
    /// The encoder.
    pub fn encoder(&self) -> &Roberta {
        &self.roberta
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> Device {
        self.roberta.word_embeddings.val().device()
    }

    /// Logits `[B, 1, C]` of texts or `[B, L, C]` of tokens; arguments as [`Roberta::forward`].
    ///
    /// # Panics
    ///
    /// As [`Roberta::forward`].
    pub fn forward(&self, tokens: Tensor<2, Int>, lengths: &[usize]) -> Tensor<3> {
        let hidden = self.roberta.forward(tokens, lengths);
        let [batch, _, width] = hidden.dims();
        match (&self.dense, &self.out_proj, &self.token_head) {
            (Some(dense), Some(out_proj), _) => {
                let start = hidden.narrow(1, 0, 1).reshape([batch, 1, width]);
                out_proj.forward(dense.forward(start).tanh())
            }
            (_, _, Some(head)) => head.forward(hidden),
            // `init` makes one or the other.
            _ => hidden,
        }
    }
}
