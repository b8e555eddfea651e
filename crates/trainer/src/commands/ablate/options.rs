//! What the command line says in one word: the corpus and the budget.

use std::path::Path;
use std::str::FromStr;

use emotionclip_data::faces::{Augmentation, FacePart, FaceSampling};

use crate::failure::bad_input;
use crate::pretrain::{CorpusConfig, RunConfig};

/// A corpus that can be named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CorpusKind {
    /// Figures drawn by code
    Synthetic,
    /// Real faces and utterances, made by `data build-scenes`
    Faces,
}

impl CorpusKind {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "drawn figures",
            Self::Faces => "real faces",
        }
    }

    /// Its settings for the variants.
    ///
    /// # Errors
    ///
    /// Bad input if the corpus needs a folder and has none, or the other way round.
    pub fn config(self, root: Option<&Path>) -> anyhow::Result<CorpusConfig> {
        match (self, root) {
            (Self::Synthetic, None) => Ok(CorpusConfig::Synthetic {
                seed: 0,
                restraint: 0.0,
                epoch_clips: 7000,
            }),
            (Self::Faces, Some(root)) => Ok(CorpusConfig::Faces {
                root: root.to_owned(),
                seed: 0,
                epoch_clips: 18_000,
                sampling: FaceSampling::default(),
                // Of faces that fill the frame, to begin with; the recipe varies them more later.
                augmentation: Augmentation {
                    shift: 0.03,
                    scale: 0.05,
                    flip: 0.5,
                    ..Augmentation::NONE
                },
                clear_utterances: true,
                alone_every: 0,
                part: FacePart::Rest,
            }),
            (Self::Synthetic, Some(_)) => Err(bad_input(
                "--root: the synthetic corpus has no folder; leave it out, or use --corpus faces",
            )),
            (Self::Faces, None) => Err(bad_input(
                "--root: give the folder that `trainer data build-scenes` made",
            )),
        }
    }
}

/// The settings of a recipe's corpus if it is of the kind that was named, with that one's folder and
/// part; else the named one's.
pub fn settled(recipe: &CorpusConfig, named: CorpusConfig) -> CorpusConfig {
    let mut settled = recipe.clone();
    match (&mut settled, &named) {
        (CorpusConfig::Synthetic { seed, .. }, CorpusConfig::Synthetic { .. }) => *seed = 0,
        (
            CorpusConfig::Faces {
                root, seed, part, ..
            },
            CorpusConfig::Faces {
                root: named_root,
                part: named_part,
                ..
            },
        ) => {
            root.clone_from(named_root);
            *part = *named_part;
            *seed = 0;
        }
        _ => return named,
    }
    settled
}

/// How long each run trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// A factor on the steps of every stage.
    Factor(f64),
    /// Steps of all stages of a variant together, shared out as the recipe does.
    Steps(usize),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("'{text}': give a factor such as 0.5, or steps such as 800steps");
        if let Some(steps) = text.strip_suffix("steps") {
            let steps: usize = steps.trim().parse().map_err(|_| fault())?;
            return (steps > 0).then_some(Self::Steps(steps)).ok_or_else(fault);
        }
        let factor: f64 = text.parse().map_err(|_| fault())?;
        let is_positive = factor.is_finite() && factor > 0.0;
        is_positive
            .then_some(Self::Factor(factor))
            .ok_or_else(fault)
    }
}

impl Budget {
    /// The factor on a recipe's steps.
    pub fn factor(self, recipe: &RunConfig) -> f64 {
        match self {
            Self::Factor(factor) => factor,
            Self::Steps(steps) => steps as f64 / recipe.total_steps().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_recipes_corpus_keeps_its_settings_but_not_its_folder() {
        let named = CorpusKind::Faces.config(Some(Path::new("here"))).unwrap();
        let own = CorpusConfig::Faces {
            root: PathBuf::from("there"),
            seed: 7,
            epoch_clips: 99,
            sampling: FaceSampling::Natural,
            augmentation: Augmentation::NONE,
            clear_utterances: false,
            alone_every: 0,
            part: FacePart::All,
        };
        let found = settled(&own, named.clone());
        assert_eq!(found.epoch_clips(), 99);
        let CorpusConfig::Faces {
            root,
            part,
            sampling,
            ..
        } = found
        else {
            panic!("another corpus");
        };
        assert_eq!((root, part), (PathBuf::from("here"), FacePart::Rest));
        assert_eq!(sampling, FaceSampling::Natural);
        let drawn = CorpusKind::Synthetic.config(None).unwrap();
        assert_eq!(settled(&drawn, named.clone()), named);
    }
}
