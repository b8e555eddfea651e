//! CLIP's text encoder.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::module::embedding;
use burn::tensor::{Int, Tensor};

use crate::config::{Activation, TextConfig};
use crate::nn::{Init, ParameterInit, ResidualAttentionBlock, ScoreMask};
use crate::vision::Transformer;

/// Scores of later tokens; its exponential is exactly 0 in f32 beside any score.
const FUTURE: f64 = -1e9;

/// A causal transformer whose feature is read at the end-of-text token.
#[derive(Module, Debug)]
pub struct TextTransformer {
    token_embedding: Param<Tensor<2>>,
    positional_embedding: Param<Tensor<2>>,
    transformer: Transformer,
    ln_final: LayerNorm,
    text_projection: Param<Tensor<2>>,
}

impl TextConfig {
    /// Creates the encoder with fresh parameters.
    pub fn init(
        &self,
        embed_dim: usize,
        activation: Activation,
        init: &mut ParameterInit,
    ) -> TextTransformer {
        let width = self.width;
        TextTransformer {
            token_embedding: init.parameter([self.vocab_size, width], Init::Normal(0.02)),
            positional_embedding: init.parameter([self.context_length, width], Init::Normal(0.01)),
            transformer: Transformer {
                resblocks: (0..self.layers)
                    .map(|_| {
                        ResidualAttentionBlock::new_text(
                            width,
                            self.heads,
                            self.layers,
                            activation,
                            init,
                        )
                    })
                    .collect(),
            },
            ln_final: init.layer_norm(width),
            text_projection: init
                .parameter([width, embed_dim], Init::Normal((width as f64).powf(-0.5))),
        }
    }
}

impl TextTransformer {
    /// Encodes token ids `[B, L]` to `[B, embed_dim]`, not normalised.
    ///
    /// `L` may be anything up to the context length: attention is causal, so padding behind the
    /// end-of-text token changes nothing and can be cut. The feature is read at the position of
    /// the largest id, which is the end-of-text token's.
    ///
    /// # Panics
    ///
    /// If `L` exceeds the context length or an id the vocabulary.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let end = tokens.clone().argmax(1);
        let positional = self.positional_embedding.val().narrow(0, 0, length);
        let mut hidden =
            embedding(self.token_embedding.val(), tokens) + positional.unsqueeze_dim::<3>(0);
        let [_, _, width] = hidden.dims();
        let causal = Tensor::<2>::full([length, length], FUTURE, &hidden.device())
            .triu(1)
            .reshape([1, 1, length, length]);
        let causal = ScoreMask::Causal(causal);
        for block in &self.transformer.resblocks {
            hidden = block.forward(hidden, Some(&causal), None, None);
        }
        let end = end.reshape([batch, 1, 1]).expand([batch, 1, width]);
        let feature = hidden.gather(1, end).reshape([batch, width]);
        // LayerNorm works on each token alone, so normalising only the one that is read is the same.
        self.ln_final
            .forward(feature)
            .matmul(self.text_projection.val())
    }
}
