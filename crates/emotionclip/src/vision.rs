//! The subject-aware frame encoder: a CLIP ViT with a human token (paper, section 3.2).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use crate::config::{Activation, SapWeight, SubjectEncoding, VisionConfig, VisionInit};
use crate::nn::{
    Init, ParameterInit, ResidualAttentionBlock, SubjectAttentionGate, SubjectStream, normalise,
    patch_coverage, patch_embedding,
};
use crate::stem::{self, StemConvolution, StemStatistics};

/// Masked scores; its exponential is exactly 0 in f32 beside any score a network can produce.
const MASKED: f64 = -1e9;

/// The blocks of a transformer, under the key that the release gives them.
#[derive(Module, Debug)]
pub struct Transformer {
    pub(crate) resblocks: Vec<ResidualAttentionBlock>,
}

/// The frame encoder.
///
/// Tokens are the class token, the patches in row order, and (unless
/// [`SubjectEncoding::Vanilla`]) the human token last.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    stem: Vec<StemConvolution>,
    conv1: Param<Tensor<4>>,
    class_embedding: Param<Tensor<1>>,
    positional_embedding: Param<Tensor<2>>,
    human_embedding: Option<Param<Tensor<1>>>,
    ln_pre: LayerNorm,
    transformer: Transformer,
    saam: Vec<SubjectAttentionGate>,
    ln_post: LayerNorm,
    proj: Param<Tensor<2>>,
    #[module(skip)]
    config: VisionConfig,
}

/// What [`VisionTransformer::forward_with_maps`] gives.
#[derive(Clone, Debug)]
pub struct FrameEncoding {
    /// Frame features `[N, embed_dim]`, not normalised.
    pub features: Tensor<2>,
    /// Attention probabilities of every layer, `[N, heads, tokens, tokens]` each.
    pub maps: Vec<Tensor<4>>,
}

impl VisionConfig {
    /// Creates the encoder with fresh parameters.
    pub fn init(
        &self,
        embed_dim: usize,
        activation: Activation,
        init: &mut ParameterInit,
    ) -> VisionTransformer {
        let width = self.width;
        let deviation = (width as f64).powf(-0.5);
        let (stem, channels, kernel) = stem::init(&self.stem, self.patch_size, init);
        let fan_in = channels * kernel * kernel;
        let conv_bound = 1.0 / (fan_in as f64).sqrt();
        let (class_token, positions) = match self.init {
            VisionInit::Random => (Init::Normal(deviation), Init::Normal(deviation)),
            VisionInit::Mimetic => {
                let grid = self.grid();
                (Init::Constant(0.0), Init::Sinusoids { grid, width })
            }
        };
        let saam_layers = match self.subject {
            SubjectEncoding::Saam { layers } => layers,
            SubjectEncoding::Vanilla | SubjectEncoding::Sap => 0,
        };
        VisionTransformer {
            stem,
            conv1: init.parameter([width, channels, kernel, kernel], Init::Uniform(conv_bound)),
            class_embedding: init.parameter([width], class_token),
            positional_embedding: init.parameter([self.patches() + 1, width], positions),
            human_embedding: (saam_layers > 0)
                .then(|| init.parameter([width], Init::Normal(deviation))),
            ln_pre: init.layer_norm(width),
            transformer: Transformer {
                resblocks: (0..self.layers)
                    .map(|_| {
                        ResidualAttentionBlock::new(
                            width,
                            self.heads,
                            self.mlp_ratio,
                            activation,
                            self.init,
                            init,
                        )
                    })
                    .collect(),
            },
            saam: (0..saam_layers)
                .map(|_| SubjectAttentionGate::new(self.heads, self.tokens(), init))
                .collect(),
            ln_post: init.layer_norm(width),
            proj: init.parameter([width, embed_dim], Init::Normal(deviation)),
            config: self.clone(),
        }
    }
}

impl VisionTransformer {
    /// The configuration that the encoder was built from.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// Encodes frames `[N, 3, S, S]` with subject masks `[N, S, S]` in `[0, 1]` to `[N, embed_dim]`.
    ///
    /// # Panics
    ///
    /// If the shapes disagree with the configuration; callers check what users supply.
    pub fn forward(&self, frames: Tensor<4>, masks: Tensor<3>) -> Tensor<2> {
        self.forward_shared(frames, masks, None)
    }

    /// As [`forward`](Self::forward), with several masks on a frame: `owners` has the frame of each
    /// mask, and there is a row of features a mask. The patches of a frame are embedded once.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward), and if an owner is no frame.
    pub fn forward_shared(
        &self,
        frames: Tensor<4>,
        masks: Tensor<3>,
        owners: Option<&[usize]>,
    ) -> Tensor<2> {
        self.encode((frames, owners), self.coverage(masks), None, None)
    }

    /// As [`forward_shared`](Self::forward_shared), for a training step: a normalised stem goes by
    /// the batch, and what it saw is for [`follow`](Self::follow).
    pub fn forward_training(
        &self,
        frames: Tensor<4>,
        masks: Tensor<3>,
        owners: Option<&[usize]>,
    ) -> (Tensor<2>, StemStatistics) {
        let mut seen = StemStatistics::default();
        let coverage = self.coverage(masks);
        let features = self.encode((frames, owners), coverage, Some(&mut seen), None);
        (features, seen)
    }

    /// Moves the stem's running statistics towards those of a batch, which came in `parts` of equal
    /// size; does nothing without normalisation.
    #[must_use]
    pub fn follow(mut self, parts: &[StemStatistics]) -> Self {
        self.stem = stem::follow(self.stem, parts);
        self
    }

    /// As [`forward`](Self::forward), with the attention probabilities of every layer.
    pub fn forward_with_maps(&self, frames: Tensor<4>, masks: Tensor<3>) -> FrameEncoding {
        let mut maps = Vec::with_capacity(self.config.layers);
        let features = self.encode((frames, None), self.coverage(masks), None, Some(&mut maps));
        FrameEncoding { features, maps }
    }

    /// Fraction of each patch that the mask covers: `[N, S, S]` to `[N, m]`.
    pub fn coverage(&self, masks: Tensor<3>) -> Tensor<2> {
        let [frames, _, _] = masks.dims();
        let (grid, patch) = (self.config.grid(), self.config.patch_size);
        if let Some(coverage) = patch_coverage(&masks, patch) {
            return coverage;
        }
        let pixels = (patch * patch) as f64;
        masks
            .reshape([frames, grid, patch, grid, patch])
            .sum_dim(4)
            .sum_dim(2)
            .reshape([frames, grid * grid])
            / pixels
    }

    /// Frames, and where they are shared the frame of each row of `coverage` `[N, m]`.
    fn encode(
        &self,
        frames: (Tensor<4>, Option<&[usize]>),
        coverage: Tensor<2>,
        seen: Option<&mut StemStatistics>,
        mut maps: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<2> {
        let [count, _] = coverage.dims();
        let width = self.config.width;
        let saam = (!self.saam.is_empty()).then(|| {
            let outside = outside(coverage.clone());
            (saam_mask(outside.clone()), outside)
        });
        let mut tokens = normalise(&self.ln_pre, self.embed(frames, coverage, seen));
        for (layer, block) in self.transformer.resblocks.iter().enumerate() {
            let subject = self.saam.get(layer).zip(saam.clone());
            let subject = subject.map(|(gate, (mask, outside))| SubjectStream {
                gate,
                mask,
                outside,
            });
            tokens = block.forward(tokens, None, subject, maps.as_deref_mut());
        }
        let class_token = tokens.narrow(1, 0, 1).reshape([count, width]);
        self.ln_post.forward(class_token).matmul(self.proj.val())
    }

    /// The input tokens `[N, tokens, W]` before `ln_pre`.
    fn embed(
        &self,
        (frames, owners): (Tensor<4>, Option<&[usize]>),
        coverage: Tensor<2>,
        seen: Option<&mut StemStatistics>,
    ) -> Tensor<3> {
        let [count, _] = coverage.dims();
        let width = self.config.width;
        let device = frames.device();
        let mut patches = self.patch_embedding(frames, seen);
        if let Some(owners) = owners {
            let owners: Vec<i32> = owners.iter().map(|frame| *frame as i32).collect();
            patches = patches.select(0, Tensor::from_data(owners.as_slice(), &device));
        }
        let class_token = self
            .class_embedding
            .val()
            .reshape([1, 1, width])
            .expand([count, 1, width]);
        let positional = self.positional_embedding.val();
        let tokens =
            Tensor::cat(vec![class_token, patches], 1) + positional.clone().unsqueeze_dim::<3>(0);
        let human = match self.config.subject {
            SubjectEncoding::Vanilla => return tokens,
            SubjectEncoding::Sap => {
                let weights = match self.config.sap_weight {
                    SapWeight::Coverage => coverage,
                    SapWeight::Indicator => coverage.greater_elem(0.0).float(),
                };
                // The class token's embedding e_0 takes no part in the sum.
                let patch_positions = positional.narrow(0, 1, self.config.patches());
                weights.matmul(patch_positions).unsqueeze_dim::<3>(1)
            }
            SubjectEncoding::Saam { .. } => match &self.human_embedding {
                Some(embedding) => embedding
                    .val()
                    .reshape([1, 1, width])
                    .expand([count, 1, width]),
                None => return tokens,
            },
        };
        Tensor::cat(vec![tokens, human], 1)
    }

    /// Patch embeddings `[N, m, W]`; a convolution whose stride is its kernel is one matrix product.
    fn patch_embedding(&self, frames: Tensor<4>, seen: Option<&mut StemStatistics>) -> Tensor<3> {
        let input = stem::forward(&self.stem, frames, seen);
        if let Some(patches) = patch_embedding(&input, self.conv1.val()) {
            return patches;
        }
        let [count, channels, _, _] = input.dims();
        let [width, _, kernel, _] = self.conv1.dims();
        let grid = self.config.grid();
        let unfolded = input
            .reshape([count, channels, grid, kernel, grid, kernel])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([count * grid * grid, channels * kernel * kernel]);
        let weight = self
            .conv1
            .val()
            .reshape([width, channels * kernel * kernel])
            .transpose();
        unfolded.matmul(weight).reshape([count, grid * grid, width])
    }
}

/// 1 for every patch that the subject does not touch, 0 for the others.
fn outside(coverage: Tensor<2>) -> Tensor<2> {
    coverage.lower_equal_elem(0.0).float()
}

/// The additive mask `M` of SAAM, `[N, 1, tokens, tokens]`, from `outside` `[N, m]` (1 where a patch
/// lies outside the subject).
///
/// Blocked are (patch, human) and (human, patch) for patches outside, and (human, class). The human
/// token always sees itself, so no row is ever fully masked.
fn saam_mask(outside: Tensor<2>) -> Tensor<4> {
    let [count, patches] = outside.dims();
    let tokens = patches + 2;
    let device = outside.device();
    let zero = Tensor::<2>::zeros([count, 1], &device);
    let one = Tensor::<2>::ones([count, 1], &device);
    let human_column =
        Tensor::cat(vec![zero.clone(), outside.clone()], 1).reshape([count, patches + 1, 1]);
    let human_row = Tensor::cat(vec![one, outside, zero], 1).reshape([count, 1, tokens]);
    let free = Tensor::<3>::zeros([count, patches + 1, patches + 1], &device);
    let blocked = Tensor::cat(vec![Tensor::cat(vec![free, human_column], 2), human_row], 1);
    (blocked * MASKED).unsqueeze_dim::<4>(1)
}
