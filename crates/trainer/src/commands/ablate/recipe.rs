//! The one recipe that all variants are trained by, and how the weights come about that they start
//! from.

use std::path::PathBuf;

use emotionclip::config::{PatchStem, StemNorm, SubjectEncoding};
use emotionclip::optim::Schedule;
use emotionclip_data::faces::{Augmentation, FacePart};
use emotionclip_data::synthetic::FigureCount;

use super::options::CorpusKind;
use super::variants::Variant;
use crate::pretrain::{
    CorpusConfig, RunConfig, Stage, StageInput, StageSubjects, StageTexts, TowerMode, Towers,
};

/// Scenes for learning from descriptions come from the seed of the variants' scenes plus this.
const DISJOINT_SEED: u64 = 1 << 32;

/// Steps of learning from descriptions at a budget of 1: frames, then clips.
const DESCRIBED_FRAMES: usize = 400;
const DESCRIBED_CLIPS: usize = 60;

/// Pairs a step of learning from descriptions.
const DESCRIBED_BATCH: usize = 32;

fn stage(
    name: &str,
    input: StageInput,
    figures: FigureCount,
    batch_size: usize,
    steps: usize,
    (rate_factor, final_fraction): (f64, f64),
) -> Stage {
    Stage {
        name: name.to_owned(),
        input,
        texts: StageTexts::Utterances,
        figures,
        subjects: StageSubjects::One,
        freeze_text: false,
        anew: Vec::new(),
        beta: None,
        alone_every: None,
        augmentation: None,
        batch_size,
        steps,
        rate_factor,
        schedule: Schedule::Cosine {
            warmup_steps: steps / 20,
            final_fraction,
        },
    }
}

/// The built-in recipe at `nano` size: words, single figures or faces, several of them, clips.
///
/// It must carry variants with β = 0, where texts of the same emotion count as negatives and the
/// gradient is weak at first: texts and pictures that learn together from the start become
/// constants (on drawn figures the loss stayed at ln 32 for 170 steps, and words alone on real
/// utterances at ln 64 for 120). So the texts learn alone until they fall into groups, in all
/// variants with the same guidance, for partners are chosen by sentiment there anyway; and they
/// stay as they are while pictures find the groups. What a variant's β decides is the loss between
/// pictures and texts, as in the paper. Of real faces, the texts stay as they are from then on:
/// learning along with faces, they became constants. And between faces that fill the frame and
/// several of them stands one face of any size anywhere in it: in company a face is half as wide as
/// the frame at most, which is no size that it was learned at.
pub fn built_in(kind: CorpusKind, corpus: CorpusConfig) -> RunConfig {
    use FigureCount::{Mixed, Single};
    use StageInput::{Clip, Peak, Utterances};
    let mut config = RunConfig::nano();
    config.corpus = corpus;
    config.validate_every_steps = 0;
    config.checkpoints.keep = 1;
    config.checkpoints.every_minutes = 0.5;
    // With a β of its own a stage is the same whatever a variant's.
    let beta = Some(config.loss.beta);
    let shared = |stage| Stage { beta, ..stage };
    let words = |steps, course| shared(stage("words", Utterances, Single, 64, steps, course));
    let alone = |name, steps, course| Stage {
        freeze_text: true,
        ..stage(name, Peak, Single, 32, steps, course)
    };
    config.stages = match kind {
        CorpusKind::Synthetic => vec![
            words(250, (2.0, 0.1)),
            alone("one figure", 500, (1.0, 0.5)),
            stage("figures", Peak, Mixed, 32, 1100, (1.0, 0.1)),
            stage("clips", Clip, Mixed, 32, 60, (0.5, 0.1)),
        ],
        CorpusKind::Faces => {
            // Real faces are learned slowly: the stem takes larger steps with normalisation, and sees
            // whole faces in its last convolutions.
            config.model.vision.stem = PatchStem::Convolution {
                layers: vec![[24, 2], [48, 2], [96, 2], [96, 1], [96, 1]],
                norm: StemNorm::Batch,
            };
            vec![
                words(600, (4.0, 0.05)),
                shared(alone("one face", 3000, (0.5, 0.05))),
                Stage {
                    augmentation: Some(Augmentation {
                        shift: 0.3,
                        scale: 0.1,
                        shrink: 0.9,
                        rotation_degrees: 8.0,
                        flip: 0.5,
                        contrast: 0.15,
                        tint: 0.5,
                        ..Augmentation::NONE
                    }),
                    ..shared(alone("one face, of any size", 5000, (0.5, 0.1)))
                },
                Stage {
                    freeze_text: true,
                    subjects: StageSubjects::Everyone,
                    ..stage("faces", Peak, Mixed, 32, 1300, (0.5, 0.03))
                },
                Stage {
                    freeze_text: true,
                    ..stage("clips", Clip, Mixed, 16, 30, (0.1, 0.1))
                },
            ]
        }
    };
    config
}

/// The same recipe with every stage longer or shorter, so that the sum is rounded and not each; a
/// stage keeps a step at least, and a warm-up its share.
pub fn scaled(mut config: RunConfig, factor: f64) -> RunConfig {
    let scale = |steps: usize| (steps as f64 * factor).round() as usize;
    let (mut before, mut done) = (0, 0);
    for stage in &mut config.stages {
        before += stage.steps;
        stage.steps = scale(before).saturating_sub(done).max(1);
        done += stage.steps;
        if let Schedule::Cosine { warmup_steps, .. } | Schedule::Release { warmup_steps, .. } =
            &mut stage.schedule
        {
            *warmup_steps = scale(*warmup_steps);
        }
    }
    config
}

/// Learning from descriptions, with which a seed begins: the recipe's model without any way to tell
/// the subject (as the paper's CLIP has none), plain InfoNCE, scenes of another seed and, of real
/// faces, other people.
pub fn pretraining(recipe: &RunConfig, seed: u64, factor: f64) -> RunConfig {
    let mut config = recipe.clone();
    config.seed = seed;
    *config.corpus.seed_mut() = seed + DISJOINT_SEED;
    if let CorpusConfig::Faces { part, .. } = &mut config.corpus {
        *part = FacePart::SetAside;
    }
    config.start_from = None;
    config.towers = Towers::default();
    config.loss.beta = 0.0;
    config.model.vision.subject = SubjectEncoding::Vanilla;
    let described = |name: &str, input, steps, course| Stage {
        texts: StageTexts::Descriptions,
        ..stage(
            name,
            input,
            FigureCount::Mixed,
            DESCRIBED_BATCH,
            steps,
            course,
        )
    };
    config.stages = vec![
        described(
            "described frames",
            StageInput::Peak,
            DESCRIBED_FRAMES,
            (1.0, 0.3),
        ),
        described(
            "described clips",
            StageInput::Clip,
            DESCRIBED_CLIPS,
            (0.5, 0.1),
        ),
    ];
    scaled(config, factor)
}

/// What variants of a seed share, trained once: it is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groundwork {
    /// Learning from descriptions.
    Descriptions,
    /// Then the recipe's shared stages, with what happens to these encoders in them.
    Shared {
        /// The frame encoder; `Trained` where no shared stage shows pictures.
        frame: TowerMode,
        /// The text encoder.
        text: TowerMode,
    },
}

impl Groundwork {
    /// What a variant starts from.
    pub fn of(recipe: &RunConfig, variant: &Variant) -> Option<Self> {
        let shared = shared_stages(recipe);
        let shows_pictures = |stage: &Stage| stage.input != StageInput::Utterances;
        let Towers { frame, text, .. } = variant.towers;
        let frame = if shared.iter().any(shows_pictures) {
            frame
        } else {
            TowerMode::Trained
        };
        if shared.iter().any(|stage| teaches(stage, [frame, text])) {
            return Some(Self::Shared { frame, text });
        }
        variant.needs_pretraining().then_some(Self::Descriptions)
    }

    /// It, after what it starts from itself.
    pub fn with_start(self) -> impl Iterator<Item = Self> {
        let start = match self {
            Self::Descriptions => None,
            Self::Shared { .. } => Some(Self::Descriptions),
        };
        start.into_iter().chain([self])
    }

    /// Name of its folder.
    pub fn slug(self) -> String {
        let Self::Shared { frame, text } = self else {
            return "pretrained".to_owned();
        };
        let mut slug = "shared".to_owned();
        for (encoder, mode) in [("frame", frame), ("text", text)] {
            match mode {
                TowerMode::Trained => {}
                TowerMode::Frozen => slug += &format!("-{encoder}-frozen"),
                TowerMode::Random => slug += &format!("-{encoder}-random"),
            }
        }
        slug
    }
}

/// The stages at the recipe's beginning that are the same for every variant, for they have a β of
/// their own and show nobody but the subject. A variant keeps a stage at least.
pub fn shared_stages(recipe: &RunConfig) -> &[Stage] {
    let is_alone = |stage: &&Stage| {
        let shows_one = stage.input == StageInput::Utterances
            || matches!(stage.figures, FigureCount::Single | FigureCount::Placed);
        stage.beta.is_some() && shows_one
    };
    let count = recipe.stages.iter().take_while(is_alone).count();
    &recipe.stages[..count.min(recipe.stages.len().saturating_sub(1))]
}

/// Whether an encoder learns anything in a shared stage.
fn teaches(stage: &Stage, [frame, text]: [TowerMode; 2]) -> bool {
    let frame_learns = frame != TowerMode::Frozen && stage.input != StageInput::Utterances;
    let text_learns = text != TowerMode::Frozen && !stage.freeze_text;
    frame_learns || text_learns
}

/// The shared stages of a seed that teach these frame and text encoders anything; `start` is the
/// pretrained model.
pub fn shared(
    recipe: &RunConfig,
    encoders: [TowerMode; 2],
    seed: u64,
    factor: f64,
    start: PathBuf,
) -> RunConfig {
    let mut config = scaled(recipe.clone(), factor);
    config.seed = seed;
    *config.corpus.seed_mut() = seed;
    config.stages.truncate(shared_stages(recipe).len());
    config.stages.retain(|stage| teaches(stage, encoders));
    config.start_from = Some(start);
    let [frame, text] = encoders;
    config.towers = Towers {
        frame,
        text,
        ..Towers::default()
    };
    // How a subject enters is the variants'.
    config.model.vision.subject = SubjectEncoding::Vanilla;
    config
}

/// One variant on one seed; `start` is the model of what it shares with others.
pub fn variant(
    recipe: &RunConfig,
    variant: &Variant,
    seed: u64,
    factor: f64,
    start: Option<PathBuf>,
) -> RunConfig {
    let mut config = scaled(recipe.clone(), factor);
    config.seed = seed;
    *config.corpus.seed_mut() = seed;
    config.stages.drain(..shared_stages(recipe).len());
    variant.apply(&mut config);
    if let Some(Groundwork::Shared { frame, text }) = Groundwork::of(recipe, variant) {
        // These were random before they learned what is shared.
        for (mode, before) in [
            (&mut config.towers.frame, frame),
            (&mut config.towers.text, text),
        ] {
            if before == TowerMode::Random {
                *mode = TowerMode::Trained;
            }
        }
    }
    config.start_from = start;
    config
}

/// What decides a run's result: everything but where its start lies and when it is saved.
pub fn essence(mut config: RunConfig) -> RunConfig {
    config.start_from = config.start_from.map(|_| PathBuf::new());
    config.checkpoints = RunConfig::nano().checkpoints;
    config.validate_every_steps = 0;
    if let CorpusConfig::Faces { root, .. } = &mut config.corpus {
        *root = PathBuf::new();
    }
    config
}

/// Frames that a run encodes, forwards and backwards, a measure of how long it takes; a text takes
/// about a third of a frame's time at the sizes of `nano`.
pub fn cost(config: &RunConfig) -> f64 {
    let stages = config.stages.iter().map(|stage| {
        let frames = match stage.input {
            StageInput::Utterances => 0.4,
            StageInput::Peak => 1.3,
            StageInput::Clip => config.model.temporal.frames as f64 + 0.3,
        };
        frames * (stage.steps * stage.batch_size) as f64
    });
    stages.sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::options::Budget;
    use super::super::plan::{Plan, PlanOptions};
    use super::super::variants::Table;
    use super::*;

    fn recipe() -> RunConfig {
        let kind = CorpusKind::Faces;
        built_in(kind, kind.config(Some(Path::new("corpus"))).unwrap())
    }

    #[test]
    fn built_in_recipes_are_valid_before_and_after() {
        let drawn = CorpusKind::Synthetic;
        for recipe in [recipe(), built_in(drawn, drawn.config(None).unwrap())] {
            recipe.validate().unwrap();
            for factor in [0.001, 1.0, 3.0] {
                scaled(recipe.clone(), factor).validate().unwrap();
                pretraining(&recipe, 3, factor).validate().unwrap();
                let modes = [TowerMode::Trained; 2];
                let shared = shared(&recipe, modes, 3, factor, PathBuf::new());
                shared.validate().unwrap();
            }
            // It must come back from its file as it was.
            let text = recipe.to_toml().unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), recipe);
        }
    }

    #[test]
    fn pretraining_shares_neither_scenes_nor_faces_with_the_variants() {
        let mut recipe = recipe();
        *recipe.corpus.seed_mut() = 3;
        let mut first = pretraining(&recipe, 3, 1.0).corpus;
        assert_ne!(first.seed_mut(), recipe.corpus.seed_mut());
        let part = |corpus: &CorpusConfig| match corpus {
            CorpusConfig::Faces { part, .. } => *part,
            CorpusConfig::Synthetic { .. } | CorpusConfig::Shards(_) => FacePart::All,
        };
        assert_eq!(part(&first), FacePart::SetAside);
        assert_eq!(part(&recipe.corpus), FacePart::Rest);
    }

    #[test]
    fn variants_share_what_nothing_of_theirs_decides() {
        use TowerMode::{Frozen, Random, Trained};
        let options = PlanOptions {
            tables: Table::ALL.to_vec(),
            saam_layers: vec![1],
            betas: vec![3.0],
            beta: 1.0,
        };
        let plan = Plan::new(&options);
        let starts = |recipe: &RunConfig, text: TowerMode| -> Vec<String> {
            let variants = plan.variants.iter().filter(|one| one.towers.text == text);
            let mut starts: Vec<String> = variants
                .map(|one| Groundwork::of(recipe, one).map_or("none".to_owned(), Groundwork::slug))
                .collect();
            starts.sort();
            starts.dedup();
            starts
        };
        let mut recipe = recipe();
        recipe.stages = vec![
            recipe.stages[0].clone(),
            recipe.stages[1].clone(),
            recipe.stages[3].clone(),
        ];
        // Words alone: the frame encoder has learned nothing yet.
        recipe.stages[1].beta = None;
        assert_eq!(shared_stages(&recipe).len(), 1);
        assert_eq!(starts(&recipe, Trained), ["shared"]);
        assert_eq!(starts(&recipe, Random), ["shared-text-random"]);
        assert_eq!(starts(&recipe, Frozen), ["pretrained"]);
        // Words, and single faces.
        recipe.stages[1].beta = Some(1.0);
        assert_eq!(shared_stages(&recipe).len(), 2);
        let found = starts(&recipe, Trained);
        assert_eq!(
            found,
            ["shared", "shared-frame-frozen", "shared-frame-random"]
        );
        let found = starts(&recipe, Random);
        assert_eq!(
            found,
            ["shared-frame-random-text-random", "shared-text-random"]
        );
        assert_eq!(
            starts(&recipe, Frozen),
            ["pretrained", "shared-text-frozen"]
        );
        // A stage that teaches an encoder nothing is left out of what it learns.
        let stages = |encoders| shared(&recipe, encoders, 1, 1.0, PathBuf::new()).stages;
        assert_eq!(stages([Trained, Trained]), recipe.stages[..2]);
        assert_eq!(stages([Frozen, Random]), recipe.stages[..1]);
        assert_eq!(stages([Random, Frozen]), recipe.stages[1..2]);
        // A variant keeps a stage at least, whatever the stages say.
        recipe.stages.truncate(2);
        assert_eq!(shared_stages(&recipe).len(), 1);
        // Nothing shared: what takes nothing from the descriptions starts from nothing.
        recipe.stages.remove(0);
        let found = starts(&recipe, Random);
        assert_eq!(found, ["none", "pretrained"]);

        // What was random and has learned is not made random again.
        let recipe = self::recipe();
        let all_random = plan
            .variants
            .iter()
            .find(|one| one.slug == "all-random")
            .unwrap();
        let config = variant(&recipe, all_random, 1, 1.0, None);
        assert_eq!(config.towers.frame, Trained);
        assert_eq!(config.towers.text, Trained);
        assert_eq!(config.towers.temporal, Random);
        assert_eq!(config.stages, recipe.stages[3..]);
    }

    #[test]
    fn a_budget_is_a_factor_or_steps() {
        assert_eq!("0.5".parse(), Ok(Budget::Factor(0.5)));
        assert_eq!("800steps".parse(), Ok(Budget::Steps(800)));
        for wrong in ["0", "-1", "nan", "0steps", "steps", "ten"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
        let recipe = recipe();
        let factor = Budget::Steps(395).factor(&recipe);
        assert_eq!(scaled(recipe, factor).total_steps(), 395);
    }

    #[test]
    fn where_a_run_lies_does_not_decide_its_result() {
        let mut moved = recipe();
        moved.checkpoints.every_steps = 3;
        if let CorpusConfig::Faces { root, .. } = &mut moved.corpus {
            *root = PathBuf::from("elsewhere");
        }
        assert_eq!(essence(moved.clone()), essence(recipe()));
        moved.seed += 1;
        assert_ne!(essence(moved), essence(recipe()));
    }
}
