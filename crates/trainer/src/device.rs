//! Which device a run computes on.
//!
//! A software Vulkan driver (lavapipe, `SwiftShader`) offers itself like a GPU but is some 40 times
//! slower than the CPU engine on the same processor, so it is never chosen by `auto`.

use std::str::FromStr;

use burn::tensor::{Device, DeviceType};

use crate::context::OpenDevice;
use crate::failure::bad_input;

/// The value of `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best GPU, else the CPU.
    Auto,
    /// Burn's CPU engine.
    Cpu,
    /// The n-th adapter that wgpu finds, or its best.
    Wgpu(Option<usize>),
    /// The n-th CUDA device.
    Cuda(usize),
    /// The n-th Vulkan device with SPIR-V kernels, or the best.
    Vulkan(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => {
                let index = index.parse::<usize>();
                (
                    kind,
                    Some(index.map_err(|_| format!("'{text}': the part after ':' is no number"))?),
                )
            }
            None => (text, None),
        };
        match (kind, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("vulkan", index) => Ok(Self::Vulkan(index)),
            _ => Err(format!(
                "'{text}' is no device; use auto, cpu, wgpu[:n], cuda[:n] or vulkan[:n]"
            )),
        }
    }
}

/// Opens the device.
///
/// # Errors
///
/// If a GPU was asked for by name and there is none, or the build has no support for it.
pub fn open(choice: &DeviceChoice) -> anyhow::Result<OpenDevice> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu("asked for")),
        DeviceChoice::Auto => Ok(
            match adapters().into_iter().find(|adapter| !adapter.software) {
                Some(adapter) => OpenDevice {
                    device: adapter.device,
                    name: format!("wgpu ({})", adapter.name),
                    reason: "a hardware adapter was found".to_owned(),
                },
                None => cpu("no hardware adapter was found"),
            },
        ),
        DeviceChoice::Wgpu(index) => open_wgpu(*index),
        DeviceChoice::Cuda(index) => open_cuda(*index),
        DeviceChoice::Vulkan(index) => open_vulkan(*index),
    }
}

fn cpu(reason: &str) -> OpenDevice {
    OpenDevice {
        device: Device::flex(),
        name: "cpu (flex)".to_owned(),
        reason: reason.to_owned(),
    }
}

fn open_wgpu(index: Option<usize>) -> anyhow::Result<OpenDevice> {
    let adapters = adapters();
    let position = index.unwrap_or(0);
    let Some(adapter) = adapters.get(position) else {
        let list: Vec<&str> = adapters
            .iter()
            .map(|adapter| adapter.name.as_str())
            .collect();
        return Err(bad_input(format!(
            "--device wgpu:{position}: {} adapters found [{}]; use --device cpu",
            list.len(),
            list.join(", ")
        )));
    };
    Ok(OpenDevice {
        device: adapter.device.clone(),
        name: format!("wgpu ({})", adapter.name),
        reason: "asked for".to_owned(),
    })
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> anyhow::Result<OpenDevice> {
    Ok(OpenDevice {
        device: Device::cuda(index),
        name: format!("cuda:{index}"),
        reason: "asked for".to_owned(),
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize) -> anyhow::Result<OpenDevice> {
    Err(bad_input(format!(
        "--device cuda:{index}: this build has no CUDA; build with `--features cuda`, or use wgpu"
    )))
}

#[cfg(feature = "vulkan")]
fn open_vulkan(index: Option<usize>) -> anyhow::Result<OpenDevice> {
    let kind = index.map_or(
        burn::tensor::DeviceKind::DefaultDevice,
        burn::tensor::DeviceKind::DiscreteGpu,
    );
    Ok(OpenDevice {
        device: Device::vulkan(kind),
        name: "vulkan".to_owned(),
        reason: "asked for".to_owned(),
    })
}

#[cfg(not(feature = "vulkan"))]
fn open_vulkan(_: Option<usize>) -> anyhow::Result<OpenDevice> {
    Err(bad_input(
        "--device vulkan: this build has no SPIR-V kernels; build with `--features vulkan`, or use wgpu",
    ))
}

/// A graphics adapter as wgpu lists it.
struct Adapter {
    name: String,
    device: Device,
    software: bool,
}

/// Names of software rasterisers that report themselves as adapters.
const SOFTWARE_NAMES: [&str; 5] = [
    "llvmpipe",
    "lavapipe",
    "swiftshader",
    "softpipe",
    "basic render",
];

fn adapters() -> Vec<Adapter> {
    Device::enumerate(DeviceType::Wgpu)
        .into_vec()
        .into_iter()
        .map(|device| {
            let name = device.identity().map(|identity| identity.name);
            let kind = format!("{device:?}");
            let name = name.unwrap_or_else(|| kind.clone());
            let lower = name.to_lowercase();
            let software = kind.contains("Cpu")
                || SOFTWARE_NAMES
                    .iter()
                    .any(|software| lower.contains(software));
            Adapter {
                name,
                device,
                software,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_with_and_without_an_index() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("wgpu".parse(), Ok(DeviceChoice::Wgpu(None)));
        assert_eq!("wgpu:2".parse(), Ok(DeviceChoice::Wgpu(Some(2))));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["gpu", "cpu:1", "wgpu:x", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn auto_never_takes_a_software_adapter() {
        let hardware = adapters().iter().any(|adapter| !adapter.software);
        let opened = open(&DeviceChoice::Auto).unwrap();
        assert_eq!(opened.name.starts_with("wgpu"), hardware, "{}", opened.name);
    }
}
