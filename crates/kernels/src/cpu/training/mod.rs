//! Operations of training, for burn's CPU engine, with their gradients.
//!
//! What makes them worth having beside the engine's own is memory and vectors: a batch of a stem's
//! pictures is larger than any cache, so each operation goes over it as seldom as it can, and
//! activations are taken a vector at a time.

mod attention;
mod layers;
mod stem;

pub(crate) use layers::{layer_norm, linear};
pub(crate) use stem::{convolve, norm_relu};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, DispatchDevice};
use burn::tensor::Device;

/// Whether these operations compute on a device: burn's CPU engine, with gradients or without.
pub(crate) fn computes_on(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        device => matches!(device, DispatchDevice::Flex(_)),
    }
}

/// A tensor of the inner back end, without its history.
fn inner<B: Backend, C: CheckpointStrategy>(tensor: FloatTensor<Autodiff<B, C>>) -> FloatTensor<B> {
    tensor.into_primitive()
}

/// A tensor of the inner back end as one that has no history.
fn untracked<B: Backend, C: CheckpointStrategy>(
    tensor: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(tensor)
}
