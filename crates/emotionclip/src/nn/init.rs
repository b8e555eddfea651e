//! Initial parameters drawn on the host from one seed.
//!
//! A device's own generator gives other numbers on every back end, and a run could not be repeated
//! elsewhere. Here each parameter gets a sub-seed in the order of construction and is drawn only
//! when it is first read, so loading a checkpoint into a fresh model allocates nothing twice.

use burn::module::{Param, ParamId};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, StandardNormal, Uniform};

use super::LAYER_NORM_EPSILON;

/// How one parameter is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal around zero with this standard deviation.
    Normal(f64),
    /// Uniform in `[-bound, bound]`.
    Uniform(f64),
    /// A joint projection `[width, 3·width]`: equal columns for query and key, Xavier for value.
    TiedQueryKey { width: usize },
    /// A positional table `[1 + grid², width]`: 2-D sinusoids, a zero row for the class token.
    Sinusoids { grid: usize, width: usize },
}

impl Init {
    fn draw(self, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Constant(value) => vec![value; count],
            Self::Normal(deviation) => match Normal::new(0.0, deviation) {
                Ok(normal) => fill(count, &mut rng, &normal),
                Err(_) => vec![0.0; count],
            },
            Self::Uniform(bound) => match Uniform::new_inclusive(-bound, bound) {
                Ok(uniform) => fill(count, &mut rng, &uniform),
                Err(_) => vec![0.0; count],
            },
            Self::TiedQueryKey { width } => tied_query_key(width, &mut rng),
            Self::Sinusoids { grid, width } => sinusoids(grid, width),
        }
    }
}

fn tied_query_key(width: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    // A normalised token has squared length `width`, so its query's elements get unit variance.
    let deviation = (width as f64).powf(-0.5);
    let bound = (6.0 / (4.0 * width as f64)).sqrt();
    let mut weight = Vec::with_capacity(3 * width * width);
    for _ in 0..width {
        let query: Vec<f32> = (0..width)
            .map(|_| (rng.sample::<f64, _>(StandardNormal) * deviation) as f32)
            .collect();
        weight.extend_from_slice(&query);
        weight.extend_from_slice(&query);
        weight.extend((0..width).map(|_| rng.random_range(-bound..=bound) as f32));
    }
    weight
}

/// Half of the features encode the row, half the column, each as sines and cosines.
///
/// Angular frequencies run geometrically from 1.5 to 0.15 a patch: neighbours differ clearly and
/// opposite edges of a small grid are no aliases of each other.
fn sinusoids(grid: usize, width: usize) -> Vec<f32> {
    let (fastest, slowest) = (1.5_f64, 0.15_f64);
    let frequencies = (width / 4).max(1);
    let axis = |position: usize, feature: usize| {
        let step = (feature / 2) as f64 / (frequencies - 1).max(1) as f64;
        let angle = position as f64 * fastest * (slowest / fastest).powf(step);
        if feature.is_multiple_of(2) {
            angle.sin() as f32
        } else {
            angle.cos() as f32
        }
    };
    let half = width / 2;
    let mut table = vec![0.0; width];
    for patch in 0..grid * grid {
        let (row, column) = (patch / grid, patch % grid);
        table.extend((0..half).map(|feature| axis(row, feature)));
        table.extend((0..width - half).map(|feature| axis(column, feature)));
    }
    table
}

fn fill(count: usize, rng: &mut impl Rng, distribution: &impl Distribution<f64>) -> Vec<f32> {
    (0..count)
        .map(|_| distribution.sample(rng) as f32)
        .collect()
}

/// Creates the parameters of a new model on a device, the same for the same seed on every device.
#[derive(Debug)]
pub struct ParameterInit {
    seeds: ChaCha8Rng,
    device: Device,
}

impl ParameterInit {
    /// Parameters for `device`, drawn from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self {
            seeds: ChaCha8Rng::seed_from_u64(seed),
            device: device.clone(),
        }
    }

    /// The device on which parameters are created.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        init: Init,
    ) -> Param<Tensor<D>> {
        let seed = self.seeds.next_u64();
        Param::uninitialized(
            ParamId::new(),
            move |device, require_grad| {
                let values = init.draw(shape.iter().product(), seed);
                let tensor = Tensor::from_data(TensorData::new(values, shape), device);
                if require_grad {
                    tensor.require_grad()
                } else {
                    tensor
                }
            },
            self.device.clone(),
            true,
            Shape::from(shape),
        )
    }

    /// A linear map `[.., input] → [.., output]` as PyTorch initialises it: weight and bias uniform
    /// in ±1/√input.
    pub(crate) fn linear(&mut self, input: usize, output: usize) -> Linear {
        let bound = 1.0 / (input as f64).sqrt();
        self.linear_with(input, output, Init::Uniform(bound), Init::Uniform(bound))
    }

    pub(crate) fn linear_with(
        &mut self,
        input: usize,
        output: usize,
        weight: Init,
        bias: Init,
    ) -> Linear {
        Linear {
            weight: self.parameter([input, output], weight),
            bias: Some(self.parameter([output], bias)),
        }
    }

    /// A LayerNorm over `width` features with gain 1 and bias 0.
    pub(crate) fn layer_norm(&mut self, width: usize) -> LayerNorm {
        LayerNormConfig::new(width)
            .with_epsilon(LAYER_NORM_EPSILON)
            .init(&self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_parameters_in_any_order_of_reading() {
        let device = Device::flex();
        let draw = |reverse: bool| {
            let mut init = ParameterInit::new(7, &device);
            let first = init.parameter([3, 2], Init::Normal(0.02));
            let second = init.parameter([4], Init::Uniform(0.5));
            if reverse {
                let second = second.val().into_data();
                (first.val().into_data(), second)
            } else {
                (first.val().into_data(), second.val().into_data())
            }
        };
        assert_eq!(draw(false), draw(true));
    }
}
