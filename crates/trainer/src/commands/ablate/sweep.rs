//! All runs of a sweep in order, with the time that is left.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emotionclip_data::synthetic::Split;
use indicatif::{ProgressBar, ProgressStyle};

use super::measure::{Bench, Interrupted};
use super::plan::Plan;
use super::recipe::{self, Groundwork, cost};
use super::run::{Measured, Trained, Unit};
use crate::context::Context;
use crate::failure::{BadInput, bad_input};
use crate::pretrain::{MODEL, RunConfig, interrupt_flag};
use crate::run_folder::InUse;

/// A frame that is only encoded, in units of one that is trained on too.
const MEASURED_FRAME: f64 = 0.35;

/// Time between two looks at what another process trains.
const PATIENCE: Duration = Duration::from_secs(2);

/// A sweep: what is trained on which seeds and measured how.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Folder of everything.
    pub out: PathBuf,
    /// The recipe of all variants at a budget of 1.
    pub recipe: RunConfig,
    /// Factor on its steps.
    pub factor: f64,
    /// The variants.
    pub plan: Plan,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// The split measured on.
    pub split: Split,
    /// Scenes measured on, and training scenes of the probe.
    pub counts: [usize; 2],
}

/// A variant's run and what is known of it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The variant's place in the plan.
    pub variant: usize,
    /// Seed.
    pub seed: u64,
    /// What training gave.
    pub trained: Trained,
    /// What was measured.
    pub measured: Measured,
}

/// What a sweep has so far.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Finished runs, by seed and variant.
    pub runs: Vec<Finished>,
    /// What variants share: seed, which, and what it gave.
    pub groundwork: Vec<(u64, Groundwork, Trained)>,
}

impl Sweep {
    /// What variants of a seed share.
    pub fn groundwork(&self, work: Groundwork, seed: u64) -> Unit {
        let slug = work.slug();
        let before = work.before(&self.recipe);
        let start = before.map(|before| self.folder(&before.slug(), seed).join(MODEL));
        Unit {
            name: format!("{slug}, seed {seed}"),
            folder: self.folder(&slug, seed),
            config: recipe::groundwork(&self.recipe, work, seed, self.factor, start),
        }
    }

    /// What this sweep's variants share, each after what it starts from.
    pub fn needed(&self) -> Vec<Groundwork> {
        let mut needed = Vec::new();
        for variant in &self.plan.variants {
            for work in Groundwork::chain(&self.recipe, variant) {
                if !needed.contains(&work) {
                    needed.push(work);
                }
            }
        }
        needed
    }

    /// A variant on a seed.
    pub fn unit(&self, variant: usize, seed: u64) -> Unit {
        let variant = &self.plan.variants[variant];
        let chain = Groundwork::chain(&self.recipe, variant);
        let start = chain
            .last()
            .map(|work| self.folder(&work.slug(), seed).join(MODEL));
        Unit {
            name: format!("{}, seed {seed}", variant.slug),
            folder: self.folder(&variant.slug, seed),
            config: recipe::variant(&self.recipe, variant, seed, self.factor, start),
        }
    }

    /// Steps from the descriptions on: of what a variant shares with others, and its own.
    pub fn steps(&self, variant: usize, seed: u64) -> [usize; 2] {
        let chain = Groundwork::chain(&self.recipe, &self.plan.variants[variant]);
        let shared = chain
            .into_iter()
            .filter(|work| *work != Groundwork::Descriptions);
        let shared = shared.map(|work| self.groundwork(work, seed).config.total_steps());
        [shared.sum(), self.unit(variant, seed).config.total_steps()]
    }

    fn folder(&self, slug: &str, seed: u64) -> PathBuf {
        self.out.join(slug).join(seed.to_string())
    }

    /// Runs of the whole sweep.
    pub fn planned(&self) -> usize {
        self.seeds.len() * self.plan.variants.len()
    }

    /// Seeds and variants in the order they are run: a seed's report is whole before the next one
    /// begins.
    fn order(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let variants = 0..self.plan.variants.len();
        let seeds = self.seeds.iter();
        seeds.flat_map(move |seed| variants.clone().map(move |variant| (*seed, variant)))
    }

    /// What is finished on disk.
    ///
    /// # Errors
    ///
    /// Bad input if the folder holds runs of other settings, or damaged results.
    pub fn results(&self) -> anyhow::Result<Results> {
        let mut results = Results::default();
        for seed in &self.seeds {
            for work in self.needed() {
                let unit = self.groundwork(work, *seed);
                unit.check()?;
                let trained = unit.trained()?;
                let found = trained.map(|trained| (*seed, work, trained));
                results.groundwork.extend(found);
            }
        }
        for (seed, variant) in self.order() {
            let unit = self.unit(variant, seed);
            unit.check()?;
            let measured = unit.measured(self.split, self.counts)?;
            if let (Some(trained), Some(measured)) = (unit.trained()?, measured) {
                results.runs.push(Finished {
                    variant,
                    seed,
                    trained,
                    measured,
                });
            }
        }
        Ok(results)
    }

    /// Runs what isn't finished; `after` is called with all results whenever one is added. Processes that
    /// run the same sweep share its runs out: what another one trains is left to it, and waited for at
    /// the end.
    ///
    /// # Errors
    ///
    /// A run that failed or was interrupted, named.
    pub fn run(
        &self,
        bench: &dyn Fn() -> anyhow::Result<Bench>,
        context: &Context,
        after: &mut dyn FnMut(&Results, &Bench) -> anyhow::Result<()>,
    ) -> anyhow::Result<Results> {
        let interrupted = interrupt_flag();
        let mut results = self.results()?;
        let bench = bench()?;
        let bar = self.bar(context);
        let mut said = BTreeSet::new();
        while let Some(awaited) =
            self.pass(&mut results, (&bench, &bar), context, &mut said, after)?
        {
            let message = format!("waiting for another process: {awaited}");
            if said.insert(message.clone()) {
                context.say(|| tracing::info!("{message}"));
            }
            if interrupted.load(Ordering::SeqCst) {
                return Err(explain(anyhow::Error::new(Interrupted), &awaited));
            }
            std::thread::sleep(PATIENCE);
            results = self.results()?;
        }
        bar.finish_and_clear();
        let results = self.results()?;
        after(&results, &bench)?;
        Ok(results)
    }

    /// Runs in order what isn't finished and no other process has. The name of a run that one has, if
    /// there is any. Nothing of what was `said` is said again.
    fn pass(
        &self,
        results: &mut Results,
        (bench, bar): (&Bench, &ProgressBar),
        context: &Context,
        said: &mut BTreeSet<String>,
        after: &mut dyn FnMut(&Results, &Bench) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<String>> {
        let interrupted = interrupt_flag();
        let total = self.planned();
        let mut awaited = None;
        for (seed, variant) in self.order() {
            let is_done = |run: &Finished| (run.seed, run.variant) == (seed, variant);
            if results.runs.iter().any(is_done) {
                continue;
            }
            let unit = self.unit(variant, seed);
            let left = self.time_left(results);
            let left = left.map_or_else(
                || "time unknown".to_owned(),
                |seconds| format!("about {} left", rough_duration(seconds)),
            );
            let message = format!("{} of {total} runs, {left}", results.runs.len());
            bar.set_position(results.runs.len() as u64);
            bar.set_message(message.clone());
            if said.insert(unit.name.clone()) {
                context.say(|| tracing::info!("{message}; now {}", unit.name));
            }
            let run = self.one(&unit, (seed, variant), bench, (context, &interrupted));
            let (groundwork, run) = match run {
                Ok(run) => run,
                Err(error) if error.is::<InUse>() => {
                    awaited.get_or_insert(unit.name);
                    continue;
                }
                Err(error) => return Err(explain(error, &unit.name)),
            };
            for (work, trained) in groundwork {
                let mut known = results.groundwork.iter();
                if !known.any(|known| (known.0, known.1) == (seed, work)) {
                    results.groundwork.push((seed, work, trained));
                }
            }
            results.runs.push(run);
            after(results, bench)?;
        }
        Ok(awaited)
    }

    /// One variant on one seed, after what it starts from.
    fn one(
        &self,
        unit: &Unit,
        (seed, variant): (u64, usize),
        bench: &Bench,
        (context, interrupted): (&Context, &AtomicBool),
    ) -> anyhow::Result<(Vec<(Groundwork, Trained)>, Finished)> {
        let chain = match unit.trained()? {
            Some(_) => Vec::new(),
            None => Groundwork::chain(&self.recipe, &self.plan.variants[variant]),
        };
        let mut groundwork = Vec::new();
        for work in chain {
            let trained = self.groundwork(work, seed).train(context, interrupted)?;
            groundwork.push((work, trained));
        }
        let trained = unit.train(context, interrupted)?;
        let what = (self.split, self.counts);
        let measured = unit.measure(&trained, bench, what, context, interrupted)?;
        let run = Finished {
            variant,
            seed,
            trained,
            measured,
        };
        Ok((groundwork, run))
    }

    /// Seconds that the rest will take at the speed of what is finished; nothing before that.
    fn time_left(&self, results: &Results) -> Option<f64> {
        let mut done = (0.0, 0.0);
        for run in &results.runs {
            done.0 += self.cost(run.variant, run.seed);
            done.1 += run.trained.seconds + run.measured.seconds;
        }
        for (seed, work, trained) in &results.groundwork {
            done.0 += cost(&self.groundwork(*work, *seed).config);
            done.1 += trained.seconds;
        }
        let speed = (done.0 > 0.0).then(|| done.1 / done.0)?;
        Some(speed * (self.total_cost() - done.0).max(0.0))
    }

    fn cost(&self, variant: usize, seed: u64) -> f64 {
        let config = self.unit(variant, seed).config;
        let [scenes, probe_scenes] = self.counts;
        let clips = (2 * scenes + probe_scenes) as f64;
        cost(&config) + MEASURED_FRAME * clips * config.model.temporal.frames as f64
    }

    fn total_cost(&self) -> f64 {
        let runs: f64 = self
            .order()
            .map(|(seed, variant)| self.cost(variant, seed))
            .sum();
        let needed = self.needed();
        let works = self
            .seeds
            .iter()
            .flat_map(|seed| needed.iter().map(|work| self.groundwork(*work, *seed)));
        runs + works.map(|unit| cost(&unit.config)).sum::<f64>()
    }

    fn bar(&self, context: &Context) -> ProgressBar {
        let bar = context.progress(self.planned() as u64, "sweep");
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {bar:32} {msg}") {
            bar.set_style(style);
        }
        bar
    }
}

/// Says which run an error belongs to, and how to go on.
fn explain(error: anyhow::Error, unit: &str) -> anyhow::Error {
    if error.is::<Interrupted>() {
        return anyhow::anyhow!(
            "{unit}: interrupted; what was done is saved, the same command goes on from there"
        );
    }
    if error.is::<BadInput>() {
        return bad_input(format!("{unit}: {error:#}"));
    }
    error.context(unit.to_owned())
}

/// Seconds to the minute.
pub fn rough_duration(seconds: f64) -> String {
    // The cast saturates.
    let minutes = (seconds / 60.0).ceil() as u64;
    match minutes {
        0 | 1 => "1 min".to_owned(),
        2..120 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}
