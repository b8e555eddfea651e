//! One dispatch of a shader through CubeCL.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::features::TypeUsage;
use cubecl::ir::metadata::Info;
use cubecl::ir::{ElemType, FloatKind, UIntKind};
use cubecl::prelude::{
    AddressType, CubeCount, CubeDim, CubeKernel, ExecutionMode, KernelDefinition, KernelId,
    KernelMetadata, KernelSettings, PrecompiledSource, Scope,
};
use cubecl::server::{KernelArguments, MetadataBindingInfo};

use crate::choice::{Kernels, TileSet};
use crate::shader::Shader;

/// How CubeCL names a client whose shaders are WGSL text; Vulkan's SPIR-V and Metal have others.
const WGSL_CLIENT: &str = "wgpu<wgsl>";

/// Workgroups along one axis that every WebGPU device has.
const GROUPS: usize = 65_535;

/// Parts of the names of graphics drivers that run on the processor.
const SOFTWARE_NAMES: [&str; 5] = [
    "llvmpipe",
    "lavapipe",
    "swiftshader",
    "softpipe",
    "basic render",
];

/// What the choice of kernels depends on.
pub(crate) struct Adapter {
    software: bool,
    threads: u32,
    workgroup_memory: usize,
    /// Whether WGSL's `f16` may be used.
    pub has_half: bool,
}

impl Adapter {
    /// The adapter of a device that compiles WGSL.
    pub(crate) fn of(device: &Device) -> Option<Self> {
        let device = match device.as_dispatch() {
            // Gradients are left out there, so tensor operations give them.
            DispatchDevice::Autodiff(_) if cfg!(target_family = "wasm") => return None,
            DispatchDevice::Autodiff(device) => device.clone().inner(),
            device => device.clone(),
        };
        let DispatchDevice::Cube(device) = device else {
            return None;
        };
        let client = device.client();
        if client.name() != WGSL_CLIENT {
            return None;
        }
        let properties = client.properties();
        let name = properties.identity.name.to_lowercase();
        let half = properties.type_usage(ElemType::Float(FloatKind::F16));
        Some(Self {
            software: SOFTWARE_NAMES
                .iter()
                .any(|software| name.contains(software)),
            threads: properties.hardware.max_units_per_cube,
            workgroup_memory: properties.hardware.max_shared_memory_size,
            has_half: half.contains(TypeUsage::Buffer),
        })
    }

    pub(crate) fn tile_set(&self) -> TileSet {
        if self.software {
            TileSet::Software
        } else if self.threads >= 256 && self.workgroup_memory >= 16 * 1024 {
            TileSet::Gpu
        } else {
            TileSet::Plain
        }
    }
}

/// A shader as CubeCL takes it.
#[derive(Debug)]
struct WgslKernel {
    shader: Shader,
    dim: CubeDim,
}

impl KernelMetadata for WgslKernel {
    fn id(&self) -> KernelId {
        // The shaders guard every access themselves; "checked" would only add a counter to every
        // loop, the innermost ones too.
        KernelId::new::<Self>()
            .info(self.shader.clone())
            .cube_dim(self.dim.0)
            .mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for WgslKernel {
    /// Empty: the text below is all there is to compile.
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(self.dim.0, ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition {
            body: Scope::root(settings.clone()),
            settings,
            info: Info::default(),
        }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        // A shader file with a mistake doesn't compile, and its message says why.
        let source = self.shader.source();
        Some(PrecompiledSource {
            source: source.unwrap_or_else(|error| format!("error: {error}")),
            entrypoint_name: "main".to_owned(),
            lang: "wgsl",
        })
    }
}

/// An f32 tensor for a kernel to write, beside `like` on its device.
pub(super) fn output<const D: usize>(
    like: &CubeTensor,
    shape: [usize; D],
    kernels: Kernels,
) -> CubeTensor {
    let shape = Shape::from(shape);
    let elements = shape.num_elements();
    let handle = if kernels.poison {
        let poison: Vec<u8> = f32::NAN.to_ne_bytes().repeat(elements);
        like.client.create_from_slice(&poison)
    } else {
        like.client.empty(4 * elements)
    };
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, shape, handle, DType::F32)
}

/// Runs `shader` on buffers in the order of its bindings, then `info`.
pub(super) fn run(
    shader: Shader,
    threads: usize,
    groups: [usize; 3],
    buffers: &[&CubeTensor],
    info: &[u32],
) {
    let Some(first) = buffers.first() else { return };
    let words = info
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32)
        .collect();
    let bindings = buffers
        .iter()
        .map(|tensor| tensor.handle.clone().binding())
        .collect();
    let [x, y, z] = groups.map(|count| count as u32);
    first.client.launch(
        Box::new(WgslKernel {
            shader,
            dim: CubeDim::new_1d(threads as u32),
        }),
        CubeCount::Static(x, y, z),
        KernelArguments::new()
            .with_buffers(bindings)
            .with_info(MetadataBindingInfo::custom(words)),
    );
}

/// `groups` workgroups in a row, folded where one axis can't hold them; the shaders count
/// `y * groups along x + x`.
pub(super) fn folded(groups: usize) -> [usize; 3] {
    let rows = groups.div_ceil(GROUPS).max(1);
    [groups.div_ceil(rows), rows, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_loses_no_workgroup_and_fits_an_axis() {
        for groups in [1, 65_535, 65_536, 131_071, 1_000_003] {
            let [x, y, _] = folded(groups);
            assert!(x * y >= groups && x <= GROUPS, "{groups}: {x} x {y}");
        }
    }
}
