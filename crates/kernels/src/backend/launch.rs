//! One dispatch of a shader through CubeCL.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::features::{Plane, TypeUsage};
use cubecl::ir::metadata::Info;
use cubecl::ir::{ElemType, FloatKind, UIntKind};
use cubecl::prelude::{
    AddressType, CubeCount, CubeDim, CubeKernel, ExecutionMode, KernelDefinition, KernelId,
    KernelMetadata, KernelSettings, PrecompiledSource, Scope,
};
use cubecl::server::{KernelArguments, MetadataBindingInfo};

use crate::choice::{Kernels, SubgroupSizes, TileSet};
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
    /// Whether it is SwiftShader.
    pub is_swiftshader: bool,
    threads: u32,
    workgroup_memory: usize,
    /// Whether WGSL's `f16` may be used.
    pub has_half: bool,
    has_subgroups: bool,
    subgroup_sizes: SubgroupSizes,
}

impl Adapter {
    /// The adapter of a device that compiles WGSL.
    pub(crate) fn of(device: &Device) -> Option<Self> {
        let device = match device.as_dispatch() {
            // For wasm32 gradients are left out, so tensor operations give them.
            #[cfg(not(target_family = "wasm"))]
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
        let subgroup_sizes = SubgroupSizes {
            least: properties.hardware.plane_size_min,
            most: properties.hardware.plane_size_max,
        };
        // In a page the adapter has no name, but SwiftShader tells of its subgroups of four; other
        // drivers on the processor have eight or, like other browsers, don't say.
        let is_swiftshader = name.contains("swiftshader")
            || cfg!(target_family = "wasm") && subgroup_sizes.most == 4;
        Some(Self {
            software: SOFTWARE_NAMES
                .iter()
                .any(|software| name.contains(software)),
            threads: properties.hardware.max_units_per_cube,
            workgroup_memory: properties.hardware.max_shared_memory_size,
            has_half: half.contains(TypeUsage::Buffer),
            has_subgroups: properties.features.plane.contains(Plane::Ops),
            is_swiftshader,
            subgroup_sizes,
        })
    }

    /// Subgroups that sums over lanes gain by: CubeCL speaks of graphics processors' only. Not in a
    /// page: browsers want `enable subgroups;`, and hide the sizes.
    pub(crate) fn fast_subgroups(&self) -> Option<SubgroupSizes> {
        let natively = !cfg!(target_family = "wasm");
        (natively && self.has_subgroups).then_some(self.subgroup_sizes)
    }

    /// Those and the subgroups of drivers on the processor, which CubeCL doesn't tell of although its
    /// devices have every feature of their adapter.
    pub(crate) fn subgroups(&self) -> Option<SubgroupSizes> {
        let natively = !cfg!(target_family = "wasm");
        let there = self.has_subgroups || self.software;
        (natively && there).then_some(self.subgroup_sizes)
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
    #[cfg(test)]
    tests::LAUNCHES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
#[allow(clippy::unwrap_used, reason = "a test should stop right there")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::tensor::Tensor;

    use super::*;
    use crate::{AttentionMask, Choice};

    /// Dispatches since the start of the process.
    pub(super) static LAUNCHES: AtomicUsize = AtomicUsize::new(0);

    mod needs_wgsl {
        use super::*;

        /// All that launches in this crate's unit tests is here: the count belongs to the process.
        #[test]
        fn attention_is_one_dispatch_and_a_subject_too_where_it_fits() {
            let device = Device::wgpu(Default::default());
            let launches = |tiles, split_subject, tokens: usize, subject: bool| {
                let kernels = Kernels::with_choice(&device, Choice::Forced(tiles)).unwrap();
                let kernels = Kernels {
                    split_subject,
                    ..kernels
                };
                let mask = if subject {
                    AttentionMask::Subject {
                        outside: Tensor::ones([1, tokens - 2], &device),
                        gate: Tensor::zeros([12, tokens, tokens], &device),
                    }
                } else {
                    AttentionMask::None
                };
                let qkv = Tensor::ones([1, tokens, 3 * 12 * 64], &device);
                device.sync().unwrap();
                let before = LAUNCHES.load(Ordering::Relaxed);
                let mixed = kernels.masked_attention(qkv, 12, mask).into_data();
                let mixed = mixed.try_to_vec::<f32>().unwrap();
                // Whatever the weights, a mean of ones.
                assert!(mixed.iter().all(|value| (value - 1.0).abs() < 1e-5));
                LAUNCHES.load(Ordering::Relaxed) - before
            };
            for tiles in [TileSet::Software, TileSet::Gpu, TileSet::Plain] {
                assert_eq!(launches(tiles, false, 51, false), 1, "{tiles:?}");
                assert_eq!(launches(tiles, false, 51, true), 1, "{tiles:?}");
                assert_eq!(launches(tiles, true, 51, true), 2, "{tiles:?}");
            }
            // 77 tokens of 64 don't fit.
            assert_eq!(launches(TileSet::Plain, false, 77, true), 2);
        }
    }

    #[test]
    fn folding_loses_no_workgroup_and_fits_an_axis() {
        for groups in [1, 65_535, 65_536, 131_071, 1_000_003] {
            let [x, y, _] = folded(groups);
            assert!(x * y >= groups && x <= GROUPS, "{groups}: {x} x {y}");
        }
    }
}
