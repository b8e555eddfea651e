//! The weights that come with the program.

/// The nano model, pre-trained on the embedded corpus: a model file as `import` writes it, in f16.
pub const NANO: &[u8] = include_bytes!("../../assets/nano.safetensors");
