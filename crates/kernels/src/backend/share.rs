//! A tensor's memory for others who use the same graphics processor.

use burn::tensor::{Int, Tensor};
use burn_cubecl::CubeBackend;
use cubecl::wgpu::wgpu::Buffer;
use cubecl::wgpu::{AutoCompiler, WgpuServer};

/// The buffer that holds a tensor, and where in it the tensor begins. All that was asked of the device
/// before has been submitted when this returns. `None` where the device doesn't answer.
pub(crate) fn buffer(words: Tensor<1, Int>) -> Option<(Buffer, u64)> {
    let tensor = words.try_into_primitive::<CubeBackend>().ok()?;
    let resource = tensor
        .client
        .get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())
        .ok()?;
    tensor.client.flush().ok()?;
    let resource = resource.resource();
    Some((resource.buffer.clone(), resource.offset))
}
