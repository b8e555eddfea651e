//! `ablate`: the paper's Tables 1 and 3 and Fig. 6 as one sweep that can be stopped anywhere.

mod measure;
mod options;
mod plan;
mod recipe;
mod report;
mod run;
mod sweep;
mod texts;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use emotionclip_data::faces::FaceConfig;
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use crate::context::Context;
use crate::failure::bad_input;
use crate::pretrain::{RunConfig, TextStart};
use measure::Bench;
use options::{Budget, CorpusKind};
use plan::{Plan, PlanOptions};
use sweep::Sweep;
use variants::{BETAS, Table};

const EXAMPLES: &str = "\
Examples:
  trainer ablate --corpus faces --root corpora/faces --out runs/ablate       # all tables, three seeds
  trainer ablate --corpus faces --root corpora/faces --out runs/ablate --list     # what that would run
  trainer ablate --corpus synthetic --out runs/drawn --tables 1 --seeds 1,2,3,4,5 --budget 2
  trainer ablate --corpus synthetic --out runs/drawn --tables 6 --betas 0.01,0.1,10,100
  trainer ablate --corpus synthetic --print-config > recipe.toml      # a recipe to edit, for --config

The same command goes on after an interruption: finished runs are read and not run again, the one that was
stopped goes on from its newest checkpoint. Several processes with the same command share the runs out between
them (on the CPU two with RAYON_NUM_THREADS=1 each do more than one). OUT/<variant>/<seed>/ are ordinary runs of `pretrain`;
OUT/ablation.html, .md and .json are written after every run.

All variants have one recipe: the same stages, steps, rates and scenes. They start from a model that a seed
first trains on neutral descriptions of other scenes (of real faces: of other people), which name no emotion
and no subject, with a vanilla frame encoder: as the paper's variants start from CLIP. `frozen` encoders stay
as they are in that model, `random` ones don't take anything from it.

A variant's β holds wherever the recipe's stages don't set their own. What nothing of a variant's can change is
trained once a seed, in OUT/shared*/<seed>/: leading stages that set their own β and show nobody but the subject,
for all variants with the same frame and text encoders; then stages of single frames, for those that tell the
subject in the same way and have the same β. The last stage is each variant's own.

Variants are measured on the same scenes with one to four faces (one to three drawn figures). Where a reader
sees everybody's face but not who the subject is, one of four is all there is to guess, so vanilla can be
ten points above chance only over all numbers of people; the accuracy in the fullest scenes stands beside it.";

/// Rerun the paper's ablations.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AblateArgs {
    /// The corpus to train and measure on
    #[arg(long, value_name = "CORPUS")]
    corpus: CorpusKind,
    /// Folder of the corpus of faces, made by `data build-scenes`
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Folder of the sweep
    #[arg(long, default_value = "runs/ablate", value_name = "DIR")]
    out: PathBuf,
    /// The paper's tables: 1 (subject), 3 (encoders) and 6 (for Fig. 6, β)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,3,6",
        value_name = "LIST"
    )]
    tables: Vec<Table>,
    /// Seeds of parameters, scenes and their order; three at least for intervals worth the name
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2,3",
        value_name = "LIST"
    )]
    seeds: Vec<u32>,
    /// How long each run trains: a factor on the recipe's steps, or steps such as 800steps
    #[arg(long, default_value = "1", value_name = "BUDGET")]
    budget: Budget,
    /// Recipe of all variants instead of the built-in one at `nano` size: a file as for `pretrain`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The split measured on: train, validation or test
    #[arg(long, default_value = "test", value_parser = parse_split, value_name = "SPLIT")]
    split: Split,
    /// Scenes measured on
    #[arg(long, default_value_t = 1400, value_name = "N")]
    scenes: usize,
    /// Training scenes of the linear probe
    #[arg(long, default_value_t = 2100, value_name = "N")]
    probe_scenes: usize,
    /// Depths of SAAM in Table 1; default: the first, half and all of the frame encoder's layers
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    saam_layers: Vec<usize>,
    /// Values of β in Fig. 6 besides 0 and the recipe's
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    betas: Vec<f64>,
    /// Steps between two checkpoints; default: as the recipe says
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<usize>,
    /// Print the variants and their steps, and stop
    #[arg(long)]
    list: bool,
    /// Print the recipe and stop
    #[arg(long)]
    print_config: bool,
}

fn parse_split(text: &str) -> Result<Split, String> {
    let found = Split::ALL.into_iter().find(|split| split.name() == text);
    found.ok_or_else(|| format!("'{text}' is no split; use train, validation or test"))
}

impl AblateArgs {
    fn recipe(&self) -> anyhow::Result<RunConfig> {
        let corpus = self.corpus.config(self.root.as_deref())?;
        let mut recipe = match &self.config {
            None => recipe::built_in(self.corpus, corpus),
            Some(path) => {
                let mut recipe = RunConfig::read(path)?;
                recipe.corpus = options::settled(&recipe.corpus, corpus);
                recipe
            }
        };
        if recipe.start_from.is_some() {
            return Err(bad_input(
                "start_from: variants start from the sweep's own pretraining; leave it out of the recipe",
            ));
        }
        if recipe.text_start != TextStart::Random {
            return Err(bad_input(
                "text_start: the built-in text classifier knows emotions, pretraining must not; leave it \
                 out of the recipe",
            ));
        }
        if recipe.loss.beta <= 0.0 {
            return Err(bad_input(
                "loss.beta: SAP + SNCE needs a strength above 0 in the recipe",
            ));
        }
        if let Some(steps) = self.checkpoint_every {
            recipe.checkpoints.every_steps = steps;
        }
        recipe.validate()?;
        Ok(recipe)
    }

    fn sweep(&self) -> anyhow::Result<Sweep> {
        let recipe = self.recipe()?;
        let seeds: Vec<u64> = self.seeds.iter().copied().map(u64::from).collect();
        if seeds.iter().collect::<BTreeSet<_>>().len() != seeds.len() {
            return Err(bad_input("--seeds: a seed stands there twice"));
        }
        if seeds.contains(&FaceConfig::EVALUATION_SEED) {
            return Err(bad_input(format!(
                "--seeds: {} is the seed of the scenes measured on; take another",
                FaceConfig::EVALUATION_SEED
            )));
        }
        for (name, count) in [
            ("--scenes", self.scenes),
            ("--probe-scenes", self.probe_scenes),
        ] {
            if count < 28 {
                return Err(bad_input(format!(
                    "{name}: {count} scenes say nothing; give at least 28, four an emotion"
                )));
            }
        }
        let layers = recipe.model.vision.layers;
        let mut saam_layers = self.saam_layers.clone();
        if saam_layers.is_empty() {
            saam_layers = vec![1, layers.div_ceil(2), layers];
        }
        saam_layers.sort_unstable();
        saam_layers.dedup();
        if let Some(wrong) = saam_layers.iter().find(|one| !(1..=layers).contains(*one)) {
            return Err(bad_input(format!(
                "--saam-layers: {wrong}, but the frame encoder has {layers} layers; give 1 to {layers}"
            )));
        }
        let betas = if self.betas.is_empty() {
            BETAS.to_vec()
        } else {
            self.betas.clone()
        };
        if let Some(wrong) = betas
            .iter()
            .find(|beta| !(beta.is_finite() && **beta >= 0.0))
        {
            return Err(bad_input(format!(
                "--betas: {wrong} is no strength; give positive numbers"
            )));
        }
        let plan = Plan::new(&PlanOptions {
            tables: self.tables.clone(),
            saam_layers,
            betas,
            beta: recipe.loss.beta,
        });
        Ok(Sweep {
            out: self.out.clone(),
            factor: self.budget.factor(&recipe),
            recipe,
            plan,
            seeds,
            split: self.split,
            counts: [self.scenes, self.probe_scenes],
        })
    }
}

/// What `--list` prints as JSON.
#[derive(Debug, Serialize)]
struct Listing {
    variants: Vec<ListedVariant>,
    seeds: Vec<u64>,
    /// Steps of what variants share, once a seed: learning from descriptions, and shared stages.
    shared: BTreeMap<String, usize>,
    /// Steps of everything.
    total_steps: usize,
    /// Runs that are finished already.
    finished: usize,
}

#[derive(Debug, Serialize)]
struct ListedVariant {
    variant: String,
    tables: Vec<&'static str>,
    /// Steps of its own.
    steps: usize,
    /// Steps before, shared with others.
    shared_steps: usize,
}

fn list(sweep: &Sweep, context: &Context) -> anyhow::Result<()> {
    let seed = sweep.seeds.first().copied().unwrap_or_default();
    let variants = sweep.plan.variants.iter().enumerate();
    let variants: Vec<ListedVariant> = variants
        .map(|(place, variant)| {
            let tables = sweep.plan.tables.iter();
            let [shared_steps, steps] = sweep.steps(place, seed);
            ListedVariant {
                variant: variant.slug.clone(),
                tables: tables
                    .filter(|table| table.rows.contains(&place))
                    .map(|table| table.table.name())
                    .collect(),
                steps,
                shared_steps,
            }
        })
        .collect();
    let shared: BTreeMap<String, usize> = sweep
        .needed()
        .into_iter()
        .map(|work| {
            let unit = sweep.groundwork(work, seed);
            (work.slug(), unit.config.total_steps())
        })
        .collect();
    let steps: usize = variants.iter().map(|one| one.steps).sum();
    let shared_steps: usize = shared.values().sum();
    let listing = Listing {
        total_steps: sweep.seeds.len() * (steps + shared_steps),
        seeds: sweep.seeds.clone(),
        shared,
        finished: sweep.results()?.runs.len(),
        variants,
    };
    let names = listing.variants.iter().map(|one| one.variant.as_str());
    let lengths = names.chain(listing.shared.keys().map(String::as_str));
    let width = lengths.map(str::len).max().unwrap_or_default();
    let mut text = format!("{:<width$} {:>6}  tables\n", "variant", "steps");
    for (name, steps) in &listing.shared {
        let _ = writeln!(text, "{name:<width$} {steps:>6}  once a seed");
    }
    for one in &listing.variants {
        let tables = one.tables.join(", ");
        let _ = writeln!(text, "{:<width$} {:>6}  {tables}", one.variant, one.steps);
    }
    let _ = write!(
        text,
        "\n{} variants × {} seeds = {} runs, {} finished; {} steps with what they share",
        listing.variants.len(),
        listing.seeds.len(),
        listing.variants.len() * listing.seeds.len(),
        listing.finished,
        listing.total_steps
    );
    context.finish(&listing, &text)
}

/// Runs the command.
///
/// # Errors
///
/// Bad input, or a run that failed or was interrupted; the same command goes on from there.
pub fn run(args: &AblateArgs, context: &Context) -> anyhow::Result<()> {
    if args.print_config {
        print!("{}", args.recipe()?.to_toml()?);
        return Ok(());
    }
    let sweep = args.sweep()?;
    if args.list {
        return list(&sweep, context);
    }
    let bench = || Bench::draw(&sweep.recipe, sweep.split, sweep.counts, context);
    let examples = texts::examples(&sweep)?;
    let mut summary = None;
    sweep.run(&bench, context, &mut |results, bench| {
        summary = Some(report::write(
            &sweep,
            args.corpus,
            results,
            bench,
            &examples,
        )?);
        Ok(())
    })?;
    match summary {
        Some(summary) => context.finish(&summary, &summary.text()),
        None => Err(bad_input("--tables: name at least one")),
    }
}
