//! Which devices get the kernels, and with which tile sizes: decided here and nowhere else.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::Device;

/// What a tile set is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileSet {
    /// Graphics drivers that run on the processor: few threads that own much, no barriers.
    Software,
    /// Graphics processors: workgroups of 64 to 128 threads, tiles in workgroup memory.
    Gpu,
    /// Anything that compiles WGSL: small register tiles, next to no workgroup memory.
    Plain,
}

impl TileSet {
    /// The word that [`Choice`] knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Gpu => "gpu",
            Self::Plain => "plain",
        }
    }
}

/// What a user may ask for, by [`Kernels::choose`] or the environment variable
/// `EMOTIONCLIP_KERNELS`: `auto`, `software`, `gpu`, `plain` or `off` (also called `stock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By the adapter's limits and kind.
    Auto,
    /// One tile set on every device that compiles WGSL.
    Forced(TileSet),
    /// No kernels, neither WGSL nor the CPU's: tensor operations everywhere.
    Off,
}

/// A word that is no [`Choice`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no kernels; use auto, software, gpu, plain or off")]
pub struct UnknownChoice(String);

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "software" => Ok(Self::Forced(TileSet::Software)),
            "gpu" => Ok(Self::Forced(TileSet::Gpu)),
            "plain" => Ok(Self::Forced(TileSet::Plain)),
            "off" | "stock" => Ok(Self::Off),
            _ => Err(UnknownChoice(text.to_owned())),
        }
    }
}

/// Threads of a device's subgroups: a driver may choose any size between these, by shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubgroupSizes {
    /// The smallest size.
    pub least: u32,
    /// The largest size.
    pub most: u32,
}

impl SubgroupSizes {
    /// Of a device that compiles WGSL, if it has subgroups: those of drivers on the processor too,
    /// which [`Kernels::of`] leaves alone.
    pub fn of(device: &Device) -> Option<Self> {
        #[cfg(feature = "wgpu")]
        return crate::backend::Adapter::of(device)?.subgroups();
        #[cfg(not(feature = "wgpu"))]
        {
            let _ = device;
            None
        }
    }
}

/// The kernels of a device, whichever it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKernels {
    /// WGSL.
    Wgsl(Kernels),
    /// Vectors of the processor, for burn's CPU engine.
    #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
    Cpu,
}

impl DeviceKernels {
    /// The kernels to use on `device`, if it has any and they aren't switched off.
    pub fn of(device: &Device) -> Option<Self> {
        let choice = choice();
        #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
        if choice != Choice::Off && crate::cpu::computes_on(device) {
            return Some(Self::Cpu);
        }
        Kernels::with_choice(device, choice).map(Self::Wgsl)
    }

    /// The word for them: `cpu`, else the tile set's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wgsl(kernels) => kernels.tiles.name(),
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => "cpu",
        }
    }
}

/// The WGSL kernels of a device: tile set and variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// The tile set.
    pub tiles: TileSet,
    /// Whether f16 weights are read as such (WGSL's `f16`) and not unpacked from words. Set where
    /// the adapter has `shader-f16`, unless `EMOTIONCLIP_KERNELS_HALF=unpack`.
    pub native_half: bool,
    /// Sizes of the subgroups that the tile set `gpu` takes its sums by, where there are any. Set
    /// where a native adapter offers them, unless `EMOTIONCLIP_KERNELS_SUBGROUPS=off`; for drivers on
    /// the processor only with `on`.
    pub subgroups: Option<SubgroupSizes>,
    /// Whether SAAM takes two dispatches even where its first product fits the workgroup memory. By
    /// `EMOTIONCLIP_KERNELS_SUBJECT=split`.
    pub split_subject: bool,
    /// Whether products of the tile set `software` keep their sums in memory. Set for SwiftShader, the
    /// software adapter of Chromium's pages; lavapipe compiles such shaders for minutes.
    /// `EMOTIONCLIP_KERNELS_PRODUCTS=memory` or `registers` forces either.
    pub products_in_memory: bool,
    /// Fills every output with NaN before its kernel runs, so that an element left out is seen. For
    /// tests.
    pub poison: bool,
}

/// The choice of [`Kernels::choose`]; 0 is "nobody chose".
static CHOSEN: AtomicU8 = AtomicU8::new(0);

impl Kernels {
    /// Overrides the environment variable for this process; a page has no environment.
    pub fn choose(choice: Choice) {
        let code = match choice {
            Choice::Auto => 1,
            Choice::Off => 2,
            Choice::Forced(TileSet::Software) => 3,
            Choice::Forced(TileSet::Gpu) => 4,
            Choice::Forced(TileSet::Plain) => 5,
        };
        CHOSEN.store(code, Ordering::Relaxed);
    }

    /// The kernels to use on `device`, if it compiles WGSL and they aren't switched off.
    pub fn of(device: &Device) -> Option<Self> {
        Self::with_choice(device, choice())
    }

    /// As [`of`](Self::of), for a given choice.
    #[cfg(feature = "wgpu")]
    pub fn with_choice(device: &Device, choice: Choice) -> Option<Self> {
        let tiles = match choice {
            Choice::Off => return None,
            Choice::Auto => None,
            Choice::Forced(tiles) => Some(tiles),
        };
        let adapter = crate::backend::Adapter::of(device)?;
        let is_set = |name, word| std::env::var(name).is_ok_and(|value| value == word);
        let subgroups = if is_set("EMOTIONCLIP_KERNELS_SUBGROUPS", "off") {
            None
        } else if is_set("EMOTIONCLIP_KERNELS_SUBGROUPS", "on") {
            adapter.subgroups()
        } else {
            adapter.fast_subgroups()
        };
        Some(Self {
            tiles: tiles.unwrap_or_else(|| adapter.tile_set()),
            native_half: adapter.has_half && !is_set("EMOTIONCLIP_KERNELS_HALF", "unpack"),
            subgroups,
            split_subject: is_set("EMOTIONCLIP_KERNELS_SUBJECT", "split"),
            products_in_memory: is_set("EMOTIONCLIP_KERNELS_PRODUCTS", "memory")
                || adapter.is_swiftshader && !is_set("EMOTIONCLIP_KERNELS_PRODUCTS", "registers"),
            poison: false,
        })
    }

    /// As [`of`](Self::of), for a given choice: a build without wgpu has no kernels.
    #[cfg(not(feature = "wgpu"))]
    pub fn with_choice(_: &Device, _: Choice) -> Option<Self> {
        None
    }
}

/// [`Kernels::choose`]'s, else the environment's; a word it doesn't know counts as `auto`.
pub(crate) fn choice() -> Choice {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Choice::Auto,
        2 => Choice::Off,
        3 => Choice::Forced(TileSet::Software),
        4 => Choice::Forced(TileSet::Gpu),
        5 => Choice::Forced(TileSet::Plain),
        _ => std::env::var("EMOTIONCLIP_KERNELS")
            .ok()
            .and_then(|word| word.parse().ok())
            .unwrap_or(Choice::Auto),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_and_others_are_named() {
        for tiles in [TileSet::Software, TileSet::Gpu, TileSet::Plain] {
            assert_eq!(tiles.name().parse(), Ok(Choice::Forced(tiles)));
        }
        assert_eq!("off".parse(), Ok(Choice::Off));
        assert_eq!("stock".parse(), Ok(Choice::Off));
        let error = "fast".parse::<Choice>().unwrap_err().to_string();
        assert!(error.contains("'fast'"), "{error}");
    }

    #[test]
    fn the_cpu_engine_has_its_own_kernels_but_for_gradients() {
        let (device, forced) = (Device::flex(), Choice::Forced(TileSet::Plain));
        assert_eq!(Kernels::with_choice(&device, forced), None);
        assert_eq!(DeviceKernels::of(&device), Some(DeviceKernels::Cpu));
        assert_eq!(DeviceKernels::of(&device.autodiff()), None);
    }
}
