//! One run of a sweep: train, measure, and keep what was found, so that no second call does either
//! again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use emotionclip::Pretrained;
use emotionclip_data::synthetic::Split;
use emotionclip_eval::report::AblationScores;
use serde::{Deserialize, Serialize};

use super::measure::{Bench, Interrupted};
use super::recipe::essence;
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::pretrain::{MODEL, Run, RunConfig};
use crate::run_folder::{CONFIG, RunLock};

/// What training gave, written when it is finished.
const TRAINED: &str = "trained.json";

/// What training gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// Steps.
    pub steps: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// Loss of the last step; not known when only the measuring was left to do.
    pub final_loss: Option<f64>,
    /// What the run measured on validation scenes.
    pub validation_accuracy: f64,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Name of the device.
    pub device: String,
}

/// What was measured, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The model measured.
    pub model_sha256: String,
    /// Scenes measured on.
    pub scenes: usize,
    /// Training scenes of the probe.
    pub probe_scenes: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// The scores.
    pub scores: AblationScores,
}

/// A run's folder and its configuration.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Name for people: variant and seed.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: RunConfig,
}

impl Unit {
    /// Makes sure that what lies in the folder is a run of this configuration.
    ///
    /// # Errors
    ///
    /// Bad input if it is another one.
    pub fn check(&self) -> anyhow::Result<()> {
        let path = self.folder.join(CONFIG);
        if !path.exists() {
            return Ok(());
        }
        let found = RunConfig::read(&path)?;
        if essence(found) == essence(self.config.clone()) {
            return Ok(());
        }
        Err(bad_input(format!(
            "{}: a run with other settings (recipe, budget or corpus) than this sweep's; name another --out, or \
             give the settings it was made with",
            path.display()
        )))
    }

    /// What training gave, if it is finished.
    ///
    /// # Errors
    ///
    /// Bad input for a damaged file.
    pub fn trained(&self) -> anyhow::Result<Option<Trained>> {
        let trained: Option<Trained> = read_json(&self.folder.join(TRAINED))?;
        Ok(trained.filter(|_| self.model_path().is_file()))
    }

    /// What was measured on as many scenes of the split, if it was.
    ///
    /// # Errors
    ///
    /// Bad input for a damaged file.
    pub fn measured(&self, split: Split, counts: [usize; 2]) -> anyhow::Result<Option<Measured>> {
        let Some(trained) = self.trained()? else {
            return Ok(None);
        };
        let measured: Option<Measured> = read_json(&self.result_path(split))?;
        Ok(measured.filter(|found| {
            [found.scenes, found.probe_scenes] == counts
                && found.model_sha256 == trained.model_sha256
        }))
    }

    /// Where the trained model lies.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    fn result_path(&self, split: Split) -> PathBuf {
        self.folder.join(format!("result-{}.json", split.name()))
    }

    /// Trains, from the newest checkpoint if there is one, unless that is done already.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] after saving; [`InUse`](crate::run_folder::InUse) while another process trains it;
    /// a run that failed.
    pub fn train(&self, context: &Context, interrupted: &AtomicBool) -> anyhow::Result<Trained> {
        self.check()?;
        if let Some(trained) = self.trained()? {
            return Ok(trained);
        }
        let resume = self.folder.join(CONFIG).exists();
        let mut run = match Run::open(&self.folder, self.config.clone(), resume, context) {
            Ok(run) => run,
            // Another process trained it in between.
            Err(error) => return self.trained()?.ok_or(error),
        };
        if let Some(trained) = self.trained()? {
            return Ok(trained);
        }
        let outcome = run.train(context).map_err(|error| {
            if interrupted.load(Ordering::SeqCst) {
                anyhow::Error::new(Interrupted)
            } else {
                error
            }
        })?;
        let trained = Trained {
            steps: outcome.steps,
            seconds: outcome.train_seconds,
            final_loss: Some(outcome.final_loss).filter(|loss| loss.is_finite()),
            validation_accuracy: outcome.validation_accuracy,
            model_sha256: outcome.model_sha256,
            device: outcome.device,
        };
        write_json(&self.folder.join(TRAINED), &trained)?;
        self.drop_checkpoints()?;
        // The folder is this process's until here.
        drop(run);
        Ok(trained)
    }

    /// A finished run needs its checkpoints no more; a sweep has many runs.
    fn drop_checkpoints(&self) -> anyhow::Result<()> {
        let checkpoints = self.folder.join("checkpoints");
        if checkpoints.is_dir() {
            std::fs::remove_dir_all(&checkpoints)
                .with_context(|| format!("{}: cannot remove", checkpoints.display()))?;
        }
        Ok(())
    }

    /// Measures the trained model, unless that is done already.
    ///
    /// # Errors
    ///
    /// [`Interrupted`]; [`InUse`](crate::run_folder::InUse) while another process measures it; a model
    /// file that was changed.
    pub fn measure(
        &self,
        trained: &Trained,
        bench: &Bench,
        (split, counts): (Split, [usize; 2]),
        context: &Context,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Measured> {
        if let Some(measured) = self.measured(split, counts)? {
            return Ok(measured);
        }
        let _lock = RunLock::take(&self.folder)?;
        if let Some(measured) = self.measured(split, counts)? {
            return Ok(measured);
        }
        let started = Instant::now();
        let path = self.model_path();
        let bytes = std::fs::read(&path).or_bad_input(path.display())?;
        if Pretrained::hash(&bytes) != trained.model_sha256 {
            return Err(bad_input(format!(
                "{}: not the model that this run trained; remove {} to train it again",
                path.display(),
                self.folder.display()
            )));
        }
        let device = context.open_device()?.device;
        let name = path.display().to_string();
        let pretrained = Pretrained::from_bytes(Bytes::from(bytes), &name, &device)
            .map_err(|error| bad_input(error.to_string()))?;
        let scores = bench.measure(&pretrained, context, interrupted)?;
        let [scenes, probe_scenes] = counts;
        let measured = Measured {
            model_sha256: trained.model_sha256.clone(),
            scenes,
            probe_scenes,
            seconds: started.elapsed().as_secs_f64(),
            scores,
        };
        write_json(&self.result_path(split), &measured)?;
        Ok(measured)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).or_bad_input(path.display())?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| anyhow::anyhow!("{error}; remove it to make it again"))
        .or_bad_input(path.display())?;
    Ok(Some(value))
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_atomically(path, &serde_json::to_vec_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(folder: &Path) -> Unit {
        Unit {
            name: "sap, seed 1".to_owned(),
            folder: folder.to_owned(),
            config: RunConfig::nano(),
        }
    }

    #[test]
    fn a_run_of_other_settings_is_not_taken_for_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let unit = unit(folder.path());
        unit.check().unwrap();
        let mut other = RunConfig::nano();
        let path = folder.path().join(CONFIG);
        other.checkpoints.every_steps = 7;
        std::fs::write(&path, other.to_toml().unwrap()).unwrap();
        unit.check().unwrap();
        other.loss.beta += 1.0;
        std::fs::write(&path, other.to_toml().unwrap()).unwrap();
        let error = unit.check().unwrap_err();
        assert!(error.to_string().contains("other settings"), "{error}");
    }

    #[test]
    fn results_count_for_their_model_and_scenes_only() {
        let folder = tempfile::tempdir().unwrap();
        let unit = unit(folder.path());
        let trained = Trained {
            steps: 3,
            seconds: 1.0,
            final_loss: None,
            validation_accuracy: 0.2,
            model_sha256: "a".to_owned(),
            device: "cpu".to_owned(),
        };
        let mut measured = Measured {
            model_sha256: "a".to_owned(),
            scenes: 70,
            probe_scenes: 35,
            seconds: 1.0,
            scores: AblationScores::default(),
        };
        let found = |counts| unit.measured(Split::Test, counts).unwrap();
        write_json(&unit.result_path(Split::Test), &measured).unwrap();
        assert_eq!(found([70, 35]), None, "nothing was trained");
        write_json(&folder.path().join(TRAINED), &trained).unwrap();
        assert_eq!(unit.trained().unwrap(), None, "there is no model");
        std::fs::write(unit.model_path(), "weights").unwrap();
        assert_eq!(unit.trained().unwrap(), Some(trained));
        assert_eq!(found([70, 35]), Some(measured.clone()));
        assert_eq!(found([700, 35]), None);
        assert_eq!(unit.measured(Split::Validation, [70, 35]).unwrap(), None);
        measured.model_sha256 = "b".to_owned();
        write_json(&unit.result_path(Split::Test), &measured).unwrap();
        assert_eq!(found([70, 35]), None);
        std::fs::write(unit.result_path(Split::Test), "{").unwrap();
        let error = unit.measured(Split::Test, [70, 35]).unwrap_err();
        assert!(error.to_string().contains("result-test.json"), "{error}");
    }
}
