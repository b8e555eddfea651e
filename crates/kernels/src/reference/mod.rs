//! The operations in plain tensor calls: their definition on every device.

mod attention;
mod layers;

pub use attention::masked_attention;
pub use layers::{layer_norm, linear, patch_coverage, patch_embedding};

#[cfg(any(feature = "cpu", feature = "wgpu", not(target_family = "wasm")))]
pub(crate) use attention::check_attention;
#[cfg(feature = "wgpu")]
pub(crate) use layers::check_coverage;
pub(crate) use layers::check_linear;
#[cfg(any(feature = "cpu", feature = "wgpu", not(target_family = "wasm")))]
pub(crate) use layers::check_patches;
