//! The convolutions in front of the patch embedding, and the batch normalisation that they may be
//! trained with.
//!
//! Normalised channels let a stem that is trained from scratch take larger rates (Ioffe & Szegedy,
//! 2015). Once a model is trained its statistics are constants, so
//! [`Pretrained::folded`](crate::Pretrained::folded) makes the normalisation part of the convolution: a
//! published model has none and costs nothing for it.

use burn::module::{Module, Param};
use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation};
use emotionclip_kernels::TrainingKernels;

use crate::checkpoint::{CheckpointError, RawTensor, StateDict};
use crate::config::{EmotionClipConfig, PatchStem, StemNorm};
use crate::nn::{Init, ParameterInit, stem_kernels};

/// PyTorch's, for variance and for how fast running statistics follow those of the batches.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Keys of a normalisation's tensors after `stem.N.norm.`.
const NORM_KEYS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// One 3×3 convolution in front of the patch embedding, with ReLU behind it.
#[derive(Module, Debug)]
pub(crate) struct StemConvolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    norm: Option<BatchNorm>,
    stride: usize,
}

/// Batch normalisation whose statistics are kept by the training loop.
///
/// Burn's own keeps them per thread and averages what came since it was last asked, which is another
/// number with every number of threads; a run must give the same model wherever it is resumed.
#[derive(Module, Debug)]
struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
}

/// What a stem saw of one batch: mean and (biased) variance of every normalised layer's channels.
#[derive(Clone, Debug, Default)]
pub struct StemStatistics(Vec<[Tensor<1>; 2]>);

impl StemStatistics {
    /// Takes the statistics of a layer, off the graph: what is computed with them must not be recorded,
    /// because no backward pass would ever clear it away.
    fn push(&mut self, mean: Tensor<1>, variance: Tensor<1>) {
        self.0.push([mean.inner(), variance.inner()]);
    }

    /// The mean over several parts of a batch, in their order; parts of equal size have equal weight.
    fn mean(parts: &[Self]) -> Self {
        let Some((first, rest)) = parts.split_first() else {
            return Self::default();
        };
        let mut sum = first.clone();
        for part in rest {
            for (sum, own) in sum.0.iter_mut().zip(&part.0) {
                let [mean, variance] = own.clone();
                *sum = [sum[0].clone() + mean, sum[1].clone() + variance];
            }
        }
        let share = 1.0 / parts.len() as f64;
        Self(
            sum.0
                .into_iter()
                .map(|sum| sum.map(|sum| sum * share))
                .collect(),
        )
    }
}

/// The stem's convolutions in order; none for [`PatchStem::Linear`].
///
/// Returns them with the channels that they end with and the patch size that is left.
pub(crate) fn init(
    stem: &PatchStem,
    patch_size: usize,
    init: &mut ParameterInit,
) -> (Vec<StemConvolution>, usize, usize) {
    let PatchStem::Convolution { layers, norm } = stem else {
        return (Vec::new(), 3, patch_size);
    };
    let mut input = 3;
    let mut kernel = patch_size;
    let convolutions = layers
        .iter()
        .map(|&[output, stride]| {
            // He et al. (2015): ReLU halves the variance, hence the 2.
            let deviation = (2.0 / (9 * input) as f64).sqrt();
            let weight = init.parameter([output, input, 3, 3], Init::Normal(deviation));
            let bias = init.parameter([output], Init::Constant(0.0));
            input = output;
            kernel /= stride;
            let mut constant = |value| init.parameter([output], Init::Constant(value));
            let norm = (*norm == StemNorm::Batch).then(|| BatchNorm {
                gamma: constant(1.0),
                beta: constant(0.0),
                running_mean: constant(0.0).set_require_grad(false),
                running_var: constant(1.0).set_require_grad(false),
            });
            StemConvolution {
                weight,
                bias,
                norm,
                stride,
            }
        })
        .collect();
    (convolutions, input, kernel)
}

/// `[N, 3, S, S]` through the stem, normalised by the batch itself where `seen` takes what it was,
/// else by the running statistics.
pub(crate) fn forward(
    stem: &[StemConvolution],
    frames: Tensor<4>,
    mut seen: Option<&mut StemStatistics>,
) -> Tensor<4> {
    if let Some(kernels) = stem_kernels(&frames).filter(|_| !stem.is_empty()) {
        let channels_last = frames.permute([0, 2, 3, 1]);
        return stem
            .iter()
            .fold(channels_last, |input, convolution| {
                convolution.forward_with(kernels, input, seen.as_deref_mut())
            })
            .permute([0, 3, 1, 2]);
    }
    stem.iter().fold(frames, |input, convolution| {
        let options = ConvOptions::new([convolution.stride; 2], [1, 1], [1, 1], 1);
        let weight = convolution.weight.val();
        let output = conv2d(input, weight, Some(convolution.bias.val()), options);
        let output = match &convolution.norm {
            Some(norm) => norm.forward(output, seen.as_deref_mut()),
            None => output,
        };
        activation::relu(output)
    })
}

impl StemConvolution {
    /// The layer on channels-last pictures `[N, H, W, C]`, by the device's own kernels.
    fn forward_with(
        &self,
        kernels: TrainingKernels,
        input: Tensor<4>,
        seen: Option<&mut StemStatistics>,
    ) -> Tensor<4> {
        let [output, channels, _, _] = self.weight.dims();
        let weight = self.weight.val().permute([2, 3, 1, 0]);
        let weight = weight.reshape([9 * channels, output]);
        let convolved = kernels.convolution(input, weight, self.stride);
        let bias = self.bias.val();
        let (gain, shift) = match (&self.norm, seen) {
            (Some(norm), Some(seen)) => {
                let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
                let normalised = kernels.batch_norm_relu(convolved, gamma, beta, EPSILON);
                // Whatever the bias, the normalisation takes it off again; it shows in the mean only.
                seen.push(normalised.mean.inner() + bias.inner(), normalised.variance);
                return normalised.output;
            }
            (Some(norm), None) => {
                let (scale, shift) = norm.affine();
                let shift = bias * scale.clone() + shift;
                (Some(scale), shift)
            }
            (None, _) => (None, bias),
        };
        let last = |vector: Tensor<1>| vector.reshape([1, 1, 1, output]);
        let scaled = match gain {
            Some(gain) => convolved * last(gain),
            None => convolved,
        };
        activation::relu(scaled + last(shift))
    }
}

impl BatchNorm {
    fn forward(&self, input: Tensor<4>, seen: Option<&mut StemStatistics>) -> Tensor<4> {
        if let Some(seen) = seen {
            let (gamma, beta) = (self.gamma.val(), self.beta.val());
            let normalised = batch_norm_train(input, gamma, beta, EPSILON);
            seen.push(normalised.mean, normalised.variance);
            return normalised.output;
        }
        let (scale, shift) = self.affine();
        let channels = |vector: Tensor<1>| {
            let [count] = vector.dims();
            vector.reshape([1, count, 1, 1])
        };
        input * channels(scale) + channels(shift)
    }

    /// The normalisation by running statistics as a factor and a summand a channel.
    fn affine(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.gamma.val() / (self.running_var.val() + EPSILON).sqrt();
        let shift = self.beta.val() - self.running_mean.val() * scale.clone();
        (scale, shift)
    }

    fn follow(mut self, [mean, variance]: [Tensor<1>; 2]) -> Self {
        let follow = |running: Param<Tensor<1>>, batch: Tensor<1>| {
            running.map(|old| {
                let new = old.inner() * (1.0 - MOMENTUM) + batch * MOMENTUM;
                Tensor::from_inner(new).set_require_grad(false)
            })
        };
        self.running_mean = follow(self.running_mean, mean);
        self.running_var = follow(self.running_var, variance);
        self
    }
}

/// Moves the running statistics towards those of one batch, which came in `parts`.
pub(crate) fn follow(stem: Vec<StemConvolution>, parts: &[StemStatistics]) -> Vec<StemConvolution> {
    let mut seen = StemStatistics::mean(parts).0.into_iter();
    stem.into_iter()
        .map(|mut convolution| {
            if let Some(norm) = convolution.norm.take() {
                convolution.norm = Some(match seen.next() {
                    Some(statistics) => norm.follow(statistics),
                    None => norm,
                });
            }
            convolution
        })
        .collect()
}

/// Whether the stem is trained with batch normalisation.
pub(crate) fn is_normalised(config: &EmotionClipConfig) -> bool {
    matches!(&config.vision.stem, PatchStem::Convolution { norm, .. } if *norm == StemNorm::Batch)
}

/// Makes batch normalisations part of the convolutions before them: takes their tensors out of
/// `tensors`, which has the release's keys, and gives the configuration that fits the rest.
///
/// # Errors
///
/// If a tensor of the stem is missing or has another shape than the configuration says.
pub(crate) fn fold(
    config: &EmotionClipConfig,
    tensors: &mut StateDict,
) -> Result<EmotionClipConfig, CheckpointError> {
    let mut folded = config.clone();
    let PatchStem::Convolution {
        layers,
        norm: norm @ StemNorm::Batch,
    } = &mut folded.vision.stem
    else {
        return Ok(folded);
    };
    *norm = StemNorm::None;
    for (index, &[channels, _]) in layers.iter().enumerate() {
        let prefix = format!("backbone.visual.stem.{index}");
        let mut take = |name: &str| -> Result<(Vec<usize>, Vec<f32>), CheckpointError> {
            let key = format!("{prefix}.{name}");
            let tensor = tensors.remove(&key);
            let tensor = tensor.filter(|tensor| tensor.shape().first() == Some(&channels));
            match tensor {
                Some(tensor) => Ok((tensor.shape().to_vec(), tensor.to_f32())),
                None => Err(CheckpointError::Damaged {
                    file: key,
                    detail: format!("not a tensor of {channels} channels"),
                }),
            }
        };
        let (shape, mut weight) = take("weight")?;
        let (_, mut bias) = take("bias")?;
        let [gamma, beta, mean, variance] = NORM_KEYS.map(|name| take(&format!("norm.{name}")));
        let (gamma, beta, mean, variance) = (gamma?.1, beta?.1, mean?.1, variance?.1);
        let per_channel = weight.len() / channels;
        for (channel, kernel) in weight.chunks_mut(per_channel).enumerate() {
            let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + EPSILON).sqrt();
            for value in kernel {
                *value = (f64::from(*value) * scale) as f32;
            }
            let centred = f64::from(bias[channel]) - f64::from(mean[channel]);
            bias[channel] = (centred * scale + f64::from(beta[channel])) as f32;
        }
        tensors.insert(
            format!("{prefix}.weight"),
            RawTensor::from_f32(shape, &weight)?,
        );
        tensors.insert(
            format!("{prefix}.bias"),
            RawTensor::from_f32(vec![channels], &bias)?,
        );
    }
    Ok(folded)
}
