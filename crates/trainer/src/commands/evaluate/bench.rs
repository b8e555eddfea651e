//! The measurements in their order, each embedding made once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use emotionclip_data::faces::FaceSplit;
use emotionclip_data::synthetic::Split;

use super::encoder::{Embeddings, Encoder};
use super::faces::{self, EmbeddedFaces};
use super::linear::{self, ProbeResult};
use super::precision::{self, Baseline, PrecisionResult, Task};
use super::scenes::ScenesAsked;
use super::scored::Scored;
use super::{
    CorpusFacts, EvaluateArgs, Evaluation, MeasuredSplit, Part, leaks, open, retrieval, scenes,
};
use crate::context::Context;

/// A model before the split that it is measured on.
pub(super) struct Bench<'a> {
    pub(super) args: &'a EvaluateArgs,
    pub(super) context: &'a Context,
    pub(super) wanted: Vec<Part>,
    pub(super) data: Arc<FaceSplit>,
    pub(super) encoder: Encoder,
    /// The committed label texts.
    pub(super) labels: Vec<Vec<String>>,
}

impl Bench<'_> {
    fn wants(&self, part: Part) -> bool {
        self.wanted.contains(&part)
    }

    /// Measures what is wanted.
    pub(super) fn measure(&self, device: String) -> anyhow::Result<Evaluation> {
        let mut evaluation = Evaluation {
            model: self.encoder.facts().clone(),
            corpus: CorpusFacts {
                root: self.args.root.display().to_string(),
                split: self.data.split(),
                faces: self.data.face_count(),
                utterances: self.data.utterances().len(),
            },
            device,
            faces: None,
            probe: None,
            scenes: None,
            retrieval: None,
            precision: None,
            leaks: None,
            left_out: Vec::new(),
            seconds: BTreeMap::new(),
            files: Vec::new(),
        };
        if self.wants(Part::Leaks) || self.wants(Part::Probe) {
            let train = open(&self.args.root, Split::Train)?;
            if self.wants(Part::Leaks) {
                let leaks = || leaks::measure(&self.args.root, &self.data, &train);
                evaluation.leaks = Some(timed(&mut evaluation.seconds, "leaks", leaks)?);
            }
            self.measure_faces(&train, &mut evaluation)?;
        } else {
            self.measure_faces(&self.data, &mut evaluation)?;
        }
        if !self.encoder.sees_subject() && self.args.only.is_empty() {
            let why = "scenes: an EmoCLIP is not told who the subject is";
            evaluation.left_out.push(why.to_owned());
        }
        Ok(evaluation)
    }

    /// All that needs embeddings; the `train` split is looked at by the probe only.
    fn measure_faces(
        &self,
        train: &Arc<FaceSplit>,
        evaluation: &mut Evaluation,
    ) -> anyhow::Result<()> {
        let needs_faces = [Part::Faces, Part::Probe, Part::Retrieval, Part::Precision];
        let classes = self.encoder.embed_classes(&self.labels)?;
        let seconds = &mut evaluation.seconds;
        let picture = self.args.picture;
        if needs_faces.iter().any(|part| self.wants(*part)) {
            let embedded = timed(seconds, "embedding", || self.embed(&self.data, "faces"))?;
            let zero_shot = faces::measure(&self.encoder, &embedded, &classes, picture)?;
            if self.wants(Part::Probe) {
                let probe = || self.probe(train, &embedded);
                evaluation.probe = Some(timed(seconds, "probe", probe)?);
            }
            if self.wants(Part::Retrieval) {
                let retrieval = || {
                    retrieval::measure(&self.encoder, &self.data, &embedded, picture, self.context)
                };
                evaluation.retrieval = Some(timed(seconds, "retrieval", retrieval)?);
            }
            evaluation.faces = Some(zero_shot);
        }
        let scenes_asked = self.scenes_asked();
        if self.wants(Part::Scenes) {
            let scenes = || {
                scenes::measure(
                    &self.encoder,
                    &self.data,
                    &classes,
                    scenes_asked,
                    self.context,
                )
            };
            evaluation.scenes = Some(timed(seconds, "scenes", scenes)?);
        }
        if self.wants(Part::Precision)
            && let Some(faces) = &evaluation.faces
        {
            let scenes = evaluation.scenes.as_ref().map(|scenes| &scenes.subject);
            let precision = || self.precision(faces.main(), scenes, &classes);
            evaluation.precision = Some(timed(seconds, "precision", precision)?);
        }
        if !self.wants(Part::Faces) {
            evaluation.faces = None;
        }
        Ok(())
    }

    fn embed(&self, data: &Arc<FaceSplit>, what: &str) -> anyhow::Result<EmbeddedFaces> {
        faces::embed(&self.encoder, data, self.context, what)
    }

    fn probe(
        &self,
        train: &Arc<FaceSplit>,
        measured: &EmbeddedFaces,
    ) -> anyhow::Result<ProbeResult> {
        let train = self.embed(train, "training")?;
        let apart = match self.args.split {
            MeasuredSplit::Validation => None,
            MeasuredSplit::Test => {
                let data = open(&self.args.root, Split::Validation)?;
                Some(self.embed(&data, "validation")?)
            }
        };
        let parts = linear::Parts {
            train: &train,
            validation: apart.as_ref().unwrap_or(measured),
            test: apart.is_some().then_some(measured),
        };
        linear::measure(parts, self.context)
    }

    fn scenes_asked(&self) -> ScenesAsked {
        ScenesAsked {
            count: self.args.scenes as usize,
            faces: self.args.scene_faces as usize,
        }
    }

    fn precision(
        &self,
        faces: &Scored,
        scenes: Option<&Scored>,
        classes: &Embeddings,
    ) -> anyhow::Result<PrecisionResult> {
        let scenes_asked = self.scenes_asked();
        // Measured here where the part on scenes wasn't.
        let measured = if scenes.is_none() && self.encoder.sees_subject() {
            let (encoder, data) = (&self.encoder, &self.data);
            let scored =
                scenes::measure_subject(encoder, data, classes, scenes_asked, self.context)?;
            Some(scored)
        } else {
            None
        };
        let task = Task {
            data: &self.data,
            labels: &self.labels,
            picture: self.args.picture,
            scenes: scenes_asked,
        };
        let baseline = Baseline {
            faces,
            scenes: scenes.or(measured.as_ref()),
        };
        precision::measure(&self.encoder, task, baseline, self.context)
    }
}

/// Notes how long something takes.
fn timed<T>(
    seconds: &mut BTreeMap<&'static str, f64>,
    what: &'static str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let result = work()?;
    seconds.insert(what, started.elapsed().as_secs_f64());
    Ok(result)
}
