//! The one recipe that all variants are trained by, and how the weights come about that they start
//! from.

use std::path::PathBuf;

use emotionclip::config::{PatchStem, StemNorm, SubjectEncoding};
use emotionclip::optim::Schedule;
use emotionclip_data::faces::FacePart;
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

/// The built-in recipe at `nano`'s width and depth: words, single figures or faces, several of them,
/// clips.
///
/// It must carry variants with β = 0, where texts of the same emotion count as negatives and the
/// gradient is weak at first: texts and pictures that learn together from the start become
/// constants (on drawn figures the loss stayed at ln 32 for 170 steps, and words alone on real
/// utterances at ln 64 for 120). So the texts learn alone until they fall into groups, in all
/// variants with the same guidance, for partners are chosen by sentiment there anyway; and they
/// stay as they are while pictures find the groups. What a variant's β decides is the loss between
/// pictures and texts, as in the paper. Of real faces, the texts stay as they are from then on:
/// learning along with faces, they became constants. And between faces that fill the frame and
/// several of them stands one face of any size anywhere in it: in company a face is smaller than it
/// was learned at.
pub fn built_in(kind: CorpusKind, corpus: CorpusConfig) -> RunConfig {
    use FigureCount::{Mixed, Placed, Single};
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
    let alone = |name, figures, steps, course| Stage {
        freeze_text: true,
        ..stage(name, Peak, figures, 32, steps, course)
    };
    config.stages = match kind {
        CorpusKind::Synthetic => vec![
            words(250, (2.0, 0.1)),
            alone("one figure", Single, 500, (1.0, 0.5)),
            stage("figures", Peak, Mixed, 32, 1100, (1.0, 0.1)),
            stage("clips", Clip, Mixed, 32, 60, (0.5, 0.1)),
        ],
        CorpusKind::Faces => {
            // Real faces are learned slowly: the stem takes larger steps with normalisation, and sees
            // whole faces in its last convolutions.
            let vision = &mut config.model.vision;
            vision.stem = PatchStem::Convolution {
                layers: vec![[24, 2], [48, 2], [96, 2], [96, 1], [96, 1]],
                norm: StemNorm::Batch,
            };
            // Faces in company are a third of the frame wide, and a human token finds its few patches
            // among 25 sooner than among `nano`'s 64.
            (vision.image_size, vision.patch_size) = (80, 16);
            // A way to tell the subject is learned sooner where nobody else is there.
            let told = alone("one face, told", Placed, 500, (0.5, 0.6));
            let everyone = Stage {
                freeze_text: true,
                subjects: StageSubjects::Everyone,
                ..stage("faces", Peak, Mixed, 32, 1200, (0.5, 0.03))
            };
            let clips = Stage {
                freeze_text: true,
                ..stage("clips", Clip, Mixed, 16, 30, (0.1, 0.1))
            };
            vec![
                words(600, (4.0, 0.05)),
                shared(alone("one face", Single, 4000, (0.5, 0.05))),
                shared(alone("one face, anywhere", Placed, 2500, (0.5, 0.1))),
                told,
                everyone,
                clips,
            ]
        }
    };
    config
}

/// The same recipe with every stage longer or shorter, so that the sum is rounded and not each; a
/// stage keeps a step at least, and its schedule its share.
pub fn scaled(mut config: RunConfig, factor: f64) -> RunConfig {
    let scale = |steps: usize| (steps as f64 * factor).round() as usize;
    let (mut before, mut done) = (0, 0);
    for stage in &mut config.stages {
        before += stage.steps;
        stage.scale(factor);
        stage.steps = scale(before).saturating_sub(done).max(1);
        done += stage.steps;
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

/// How much of a variant decides what a stage teaches; each level is the ones before and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What happens to its frame and text encoders: a stage with a β of its own that shows nobody but
    /// the subject.
    Encoders,
    /// How it tells the subject and its β, too: a stage of single frames or of words, which the
    /// temporal encoder never sees.
    Frames,
    /// Everything.
    Whole,
}

impl Level {
    fn of(stage: &Stage) -> Self {
        let shows_one = stage.input == StageInput::Utterances
            || matches!(stage.figures, FigureCount::Single | FigureCount::Placed);
        if stage.input == StageInput::Clip {
            Self::Whole
        } else if stage.beta.is_some() && shows_one {
            Self::Encoders
        } else {
            Self::Frames
        }
    }
}

/// The level of each of a recipe's stages. It never falls, for a later stage goes on from what an
/// earlier one taught; and the last stage is each variant's own.
pub fn levels(recipe: &RunConfig) -> Vec<Level> {
    let mut highest = Level::Encoders;
    let mut levels: Vec<Level> = recipe
        .stages
        .iter()
        .map(|stage| {
            highest = highest.max(Level::of(stage));
            highest
        })
        .collect();
    if let Some(last) = levels.last_mut() {
        *last = Level::Whole;
    }
    levels
}

/// A recipe's stages of a level.
pub fn stages_of(recipe: &RunConfig, level: Level) -> Vec<Stage> {
    let stages = recipe.stages.iter().zip(levels(recipe));
    stages
        .filter(|(_, of)| *of == level)
        .map(|(stage, _)| stage.clone())
        .collect()
}

/// What variants of a seed share, trained once: it is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Groundwork {
    /// Learning from descriptions.
    Descriptions,
    /// Then the recipe's stages of [`Level::Encoders`]; or after them those of [`Level::Frames`].
    Stages {
        /// What happens to the frame encoder; `Trained` until a stage shows pictures.
        frame: TowerMode,
        /// What happens to the text encoder.
        text: TowerMode,
        /// How the subject is told, and β, which make it [`Level::Frames`].
        told: Option<(SubjectEncoding, f64)>,
    },
}

impl Groundwork {
    /// What a variant starts from, each after the one before.
    pub fn chain(recipe: &RunConfig, variant: &Variant) -> Vec<Self> {
        let Towers { frame, text, .. } = variant.towers;
        let mut chain: Vec<Self> = [None, Some((variant.subject, variant.beta))]
            .into_iter()
            .filter_map(|told| Self::stages(recipe, [frame, text], told))
            .collect();
        if !chain.is_empty() || variant.needs_pretraining() {
            chain.insert(0, Self::Descriptions);
        }
        chain
    }

    /// What comes before it.
    pub fn before(self, recipe: &RunConfig) -> Option<Self> {
        let Self::Stages { frame, text, told } = self else {
            return None;
        };
        let below = told.and_then(|_| Self::stages(recipe, [frame, text], None));
        Some(below.unwrap_or(Self::Descriptions))
    }

    /// The stages that teach such encoders anything, if there are any.
    fn stages(
        recipe: &RunConfig,
        [frame, text]: [TowerMode; 2],
        told: Option<(SubjectEncoding, f64)>,
    ) -> Option<Self> {
        let level = level_of(told);
        let stages = stages_of(recipe, level);
        if !stages.iter().any(|stage| teaches(stage, [frame, text])) {
            return None;
        }
        let mut until_here = recipe.stages.iter().zip(levels(recipe));
        let shows_pictures =
            until_here.any(|(stage, of)| of <= level && stage.input != StageInput::Utterances);
        Some(Self::Stages {
            frame: match shows_pictures {
                true => frame,
                false => TowerMode::Trained,
            },
            text,
            told,
        })
    }

    /// Whether the frame and the text encoder began at random and have learned.
    fn was_random(self) -> [bool; 2] {
        match self {
            Self::Descriptions => [false; 2],
            Self::Stages { frame, text, .. } => [frame, text].map(|mode| mode == TowerMode::Random),
        }
    }

    /// Name of its folder.
    pub fn slug(self) -> String {
        let Self::Stages { frame, text, told } = self else {
            return "pretrained".to_owned();
        };
        let mut slug = "shared".to_owned();
        if let Some((subject, beta)) = told {
            slug += &match subject {
                SubjectEncoding::Vanilla => "-vanilla".to_owned(),
                SubjectEncoding::Sap => "-sap".to_owned(),
                SubjectEncoding::Saam { layers } => format!("-saam-{layers}"),
            };
            slug += &format!("-beta-{beta}");
        }
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

/// The level of stages that know so much of a variant.
fn level_of(told: Option<(SubjectEncoding, f64)>) -> Level {
    match told {
        None => Level::Encoders,
        Some(_) => Level::Frames,
    }
}

/// Whether an encoder learns anything in a shared stage.
fn teaches(stage: &Stage, [frame, text]: [TowerMode; 2]) -> bool {
    let frame_learns = frame != TowerMode::Frozen && stage.input != StageInput::Utterances;
    let text_learns = text != TowerMode::Frozen && !stage.freeze_text;
    frame_learns || text_learns
}

/// `modes` where an encoder that was random has learned since: it goes on from there.
fn going_on(modes: [TowerMode; 2], before: Option<Groundwork>) -> [TowerMode; 2] {
    let was_random = before.map_or([false; 2], Groundwork::was_random);
    let [frame, text] = modes;
    [(frame, was_random[0]), (text, was_random[1])].map(|(mode, was_random)| {
        if was_random { TowerMode::Trained } else { mode }
    })
}

/// What variants of a seed share; `start` is the model of what comes before.
pub fn groundwork(
    recipe: &RunConfig,
    work: Groundwork,
    seed: u64,
    factor: f64,
    start: Option<PathBuf>,
) -> RunConfig {
    let Groundwork::Stages { frame, text, told } = work else {
        return pretraining(recipe, seed, factor);
    };
    let mut config = scaled(recipe.clone(), factor);
    config.seed = seed;
    *config.corpus.seed_mut() = seed;
    config.stages = stages_of(&config, level_of(told));
    config.stages.retain(|stage| teaches(stage, [frame, text]));
    config.start_from = start;
    let [frame, text] = going_on([frame, text], work.before(recipe));
    config.towers = Towers {
        frame,
        text,
        ..Towers::default()
    };
    config.model.vision.subject = SubjectEncoding::Vanilla;
    if let Some((subject, beta)) = told {
        config.model.vision.subject = subject;
        config.loss.beta = beta;
    }
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
    config.stages = stages_of(&config, Level::Whole);
    variant.apply(&mut config);
    let before = Groundwork::chain(recipe, variant).last().copied();
    let Towers { frame, text, .. } = variant.towers;
    [config.towers.frame, config.towers.text] = going_on([frame, text], before);
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
                for one in &all_tables().variants {
                    for work in Groundwork::chain(&recipe, one) {
                        let start = Some(PathBuf::from("start"));
                        let shared = groundwork(&recipe, work, 3, factor, start);
                        shared.validate().unwrap();
                    }
                }
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

    fn all_tables() -> Plan {
        Plan::new(&PlanOptions {
            tables: Table::ALL.to_vec(),
            saam_layers: vec![1],
            betas: vec![3.0],
            beta: 1.0,
        })
    }

    fn chain(recipe: &RunConfig, slug: &str) -> Vec<Groundwork> {
        let plan = all_tables();
        let variant = plan.variants.iter().find(|one| one.slug == slug).unwrap();
        Groundwork::chain(recipe, variant)
    }

    fn slugs(recipe: &RunConfig, slug: &str) -> Vec<String> {
        let chain = chain(recipe, slug).into_iter();
        chain.map(Groundwork::slug).collect()
    }

    #[test]
    fn variants_share_what_nothing_of_theirs_decides() {
        let mut recipe = recipe();
        let [one, two, last] = [Level::Encoders, Level::Frames, Level::Whole];
        assert_eq!(levels(&recipe), [one, one, one, two, two, last]);
        let sap = ["pretrained", "shared", "shared-sap-beta-1"];
        for slug in [
            "sap-snce",
            "temporal-frozen",
            "temporal-random",
            "temporal-mean",
        ] {
            assert_eq!(slugs(&recipe, slug), sap, "{slug}");
        }
        let vanilla = ["pretrained", "shared", "shared-vanilla-beta-0"];
        assert_eq!(slugs(&recipe, "vanilla"), vanilla);
        assert_eq!(slugs(&recipe, "saam-1")[2], "shared-saam-1-beta-0");
        assert_eq!(slugs(&recipe, "beta-3")[2], "shared-sap-beta-3");
        // Texts learn nothing among faces.
        let frozen = ["pretrained", "shared-frame-frozen"];
        assert_eq!(slugs(&recipe, "frame-frozen"), frozen);
        assert_eq!(slugs(&recipe, "frame-text-frozen"), ["pretrained"]);
        let text = [
            "pretrained",
            "shared-text-frozen",
            "shared-sap-beta-1-text-frozen",
        ];
        assert_eq!(slugs(&recipe, "text-frozen"), text);
        let random = [
            "pretrained",
            "shared-frame-random-text-random",
            "shared-sap-beta-1-frame-random-text-random",
        ];
        assert_eq!(slugs(&recipe, "all-random"), random);
        for one in &all_tables().variants {
            let chain = Groundwork::chain(&recipe, one);
            for pair in chain.windows(2) {
                assert_eq!(pair[1].before(&recipe), Some(pair[0]), "{}", one.slug);
            }
        }

        // Words alone are shared: the frame encoder has learned nothing yet.
        recipe.stages.truncate(1);
        recipe.stages.push(Stage {
            beta: None,
            ..recipe.stages[0].clone()
        });
        assert_eq!(slugs(&recipe, "frame-random"), ["pretrained", "shared"]);
        // The last stage is each variant's own, whatever it is; and nothing is shared of one.
        recipe.stages[1].beta = Some(1.0);
        assert_eq!(levels(&recipe), [one, last]);
        recipe.stages.truncate(1);
        assert_eq!(slugs(&recipe, "all-random"), [""; 0]);
        assert_eq!(slugs(&recipe, "sap"), ["pretrained"]);
    }

    #[test]
    fn an_encoder_is_made_random_once() {
        use TowerMode::{Frozen, Random, Trained};
        let recipe = recipe();
        let towers = |slug: &str| -> Vec<[TowerMode; 3]> {
            let plan = all_tables();
            let chain = chain(&recipe, slug).into_iter();
            let last = plan.variants.iter().find(|one| one.slug == slug).unwrap();
            let shared = chain.map(|work| groundwork(&recipe, work, 1, 1.0, None));
            let configs = shared.chain([variant(&recipe, last, 1, 1.0, None)]);
            configs
                .map(|config| config.towers)
                .map(|towers| [towers.frame, towers.text, towers.temporal])
                .collect()
        };
        let all = [Trained; 3];
        assert_eq!(towers("sap"), [all; 4]);
        assert_eq!(
            towers("all-random"),
            [
                all,
                [Random, Random, Trained],
                all,
                [Trained, Trained, Random]
            ]
        );
        assert_eq!(
            towers("text-frozen"),
            [
                all,
                [Trained, Frozen, Trained],
                [Trained, Frozen, Trained],
                [Trained, Frozen, Trained]
            ]
        );
        assert_eq!(
            towers("frame-frozen"),
            [all, [Frozen, Trained, Trained], [Frozen, Trained, Trained]]
        );
        let temporal = [all, all, all, [Trained, Trained, Frozen]];
        assert_eq!(towers("temporal-frozen"), temporal);
    }

    #[test]
    fn a_stage_is_in_one_place_of_a_chain_and_left_out_where_it_teaches_nothing() {
        let recipe = recipe();
        let stages = |slug: &str| -> Vec<Stage> {
            let chain = chain(&recipe, slug).into_iter().skip(1);
            let plan = all_tables();
            let last = plan.variants.iter().find(|one| one.slug == slug).unwrap();
            let shared = chain.map(|work| groundwork(&recipe, work, 1, 1.0, None));
            shared
                .chain([variant(&recipe, last, 1, 1.0, None)])
                .flat_map(|config| config.stages)
                .collect()
        };
        assert_eq!(stages("sap"), recipe.stages);
        assert_eq!(stages("text-frozen"), recipe.stages[1..]);
        let frozen = [recipe.stages[0].clone(), recipe.stages[5].clone()];
        assert_eq!(stages("frame-frozen"), frozen);
        // Before anybody is told apart, there is no way to.
        let start = groundwork(&recipe, chain(&recipe, "sap")[1], 1, 1.0, None);
        assert_eq!(start.model.vision.subject, SubjectEncoding::Vanilla);
        let faces = groundwork(&recipe, chain(&recipe, "sap")[2], 1, 1.0, None);
        assert_eq!(faces.model.vision.subject, SubjectEncoding::Sap);
        assert_eq!(faces.loss.beta, 0.0);
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
