//! The weights that come with the program.

/// The text classifier over the seven emotions, trained on GoEmotions, in f16.
pub const TEXT_CLASSIFIER: &[u8] = include_bytes!("../../assets/text-classifier.safetensors");

/// EmoCLIP on `mini`'s towers, trained on real faces and real utterances, in f16; see
/// `docs/model-card.md`.
pub const EMOCLIP_MINI: &[u8] = include_bytes!("../../assets/emoclip-mini.safetensors");

/// A model that comes with the program: a model file as `import` writes it, in f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Real faces and real utterances, `assets/recipes/faces.toml`; see `docs/model-card.md`.
    Mini,
    /// Drawn figures: the embedded run.
    Nano,
}

impl Builtin {
    const ALL: [Self; 2] = [Self::Mini, Self::Nano];

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mini => "mini",
            Self::Nano => "nano",
        }
    }

    /// The file's bytes.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Mini => include_bytes!("../../assets/mini.safetensors"),
            Self::Nano => include_bytes!("../../assets/nano.safetensors"),
        }
    }
}
