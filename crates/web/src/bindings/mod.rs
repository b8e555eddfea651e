//! What the Web Worker calls. `web/js/worker.js` turns messages into these calls, one at a time.
//!
//! The page has a module for each engine, made from the crate's features: `gpu` opens WebGPU, `cpu`
//! burn's own on the processor, `cpu-relaxed` the same with more of a processor's instructions.
//! Everything in this file is in all of them.
//!
//! Errors arrive in JavaScript as `Error` objects with a `code` as in [`SessionError::code`].

#[cfg(feature = "gpu")]
mod gpu;

use burn::tensor::Device;
use js_sys::{Date, Error, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::encoders::Encoders;
use crate::{BundleLoader, Golden, LabelText, Picture, Session, SessionError, rgb_from_rgba};

#[cfg(not(any(feature = "gpu", feature = "cpu")))]
compile_error!("a module for the page needs an engine: build it with --features gpu, or cpu");

pub(crate) type JsResult<T> = Result<T, JsValue>;

/// What a module does before anything else.
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A device and, once loaded, a session on it.
#[wasm_bindgen]
pub struct Engine {
    device: Device,
    #[cfg(feature = "gpu")]
    gpu: Option<gpu::Gpu>,
    loader: Option<BundleLoader>,
    session: Option<Session>,
}

#[cfg(feature = "cpu")]
#[wasm_bindgen]
impl Engine {
    /// Opens the CPU engine, which every browser has.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            #[cfg(feature = "gpu")]
            gpu: None,
            loader: None,
            session: None,
        }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Begins to load a model; gives `[[name, bytes], …]`, the files to add in that order. The model
    /// in use stays in use.
    ///
    /// # Errors
    /// If the manifest is none.
    #[wasm_bindgen(js_name = beginModel)]
    pub fn begin_model(&mut self, manifest: &[u8]) -> JsResult<JsValue> {
        let loader = BundleLoader::new(manifest, &self.device).map_err(|e| thrown(&e))?;
        let files = to_js(&loader.files())?;
        self.loader = Some(loader);
        Ok(files)
    }

    /// Adds one file of the model being loaded.
    ///
    /// # Errors
    /// If it isn't what the manifest says; the loading is over then.
    #[wasm_bindgen(js_name = addFile)]
    pub fn add_file(&mut self, name: &str, content: Vec<u8>) -> JsResult<()> {
        let mut loader = self.loader.take().ok_or_else(not_begun)?;
        loader.add(name, content).map_err(|error| thrown(&error))?;
        self.loader = Some(loader);
        Ok(())
    }

    /// Ends the loading: checks the golden vectors on this device, encodes the labels, and takes the
    /// new model into use. Without `labels`, those of the model's card, else the seven emotions. Gives `{model, selfTest}`.
    ///
    /// # Errors
    /// If files are missing, the labels can't be used, or the device fails; the model in use stays.
    #[wasm_bindgen(js_name = finishModel)]
    pub async fn finish_model(&mut self, labels: JsValue) -> JsResult<JsValue> {
        let loader = self.loader.take().ok_or_else(not_begun)?;
        let (pretrained, info, golden) = loader.finish().map_err(|error| thrown(&error))?;
        let self_test = match &golden {
            Some(golden) => Some(
                Golden::check(golden, &pretrained)
                    .await
                    .map_err(|e| thrown(&e))?,
            ),
            None => None,
        };
        let card_labels = info.card.as_ref().map(|card| card.labels.clone());
        let mut session = Session::new(pretrained, info).map_err(|error| thrown(&error))?;
        let labels = if labels.is_undefined() || labels.is_null() {
            card_labels.unwrap_or_else(LabelText::emotions)
        } else {
            from_js(labels)?
        };
        session
            .set_labels(labels)
            .await
            .map_err(|error| thrown(&error))?;
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Finished<'a> {
            model: &'a crate::ModelInfo,
            self_test: Option<crate::SelfTestReport>,
        }
        let finished = to_js(&Finished {
            model: session.info(),
            self_test,
        })?;
        self.session = Some(session);
        Ok(finished)
    }

    /// Reads a drawn picture and forgets it, so that everything a frame needs is compiled before the
    /// first one comes; `on_device` says where frames will be prepared.
    ///
    /// # Errors
    /// Before a model is loaded, or if the device fails.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&mut self, on_device: bool) -> JsResult<()> {
        let warmed = self.session()?.warm_up(on_device, Date::now).await;
        warmed.map_err(|error| thrown(&error))
    }

    /// Ends the loading with the encoders alone, to measure them; the model in use stays in use.
    ///
    /// # Errors
    /// If files are missing.
    pub fn encoders(&mut self) -> JsResult<Encoders> {
        let loader = self.loader.take().ok_or_else(not_begun)?;
        let (pretrained, ..) = loader.finish().map_err(|error| thrown(&error))?;
        Ok(Encoders::new(pretrained))
    }

    /// Changes the labels: `[{name, texts: […]}, …]`.
    ///
    /// # Errors
    /// If they can't be used; those in use stay.
    #[wasm_bindgen(js_name = setLabels)]
    pub async fn set_labels(&mut self, labels: JsValue) -> JsResult<()> {
        let labels = from_js(labels)?;
        let labels = self.session()?.set_labels(labels).await;
        labels.map_err(|error| thrown(&error))
    }

    /// Probabilities of the labels in use for the last frame, or null before the first.
    ///
    /// # Errors
    /// Before a model is loaded.
    pub fn again(&mut self) -> JsResult<JsValue> {
        to_js(&self.session()?.again())
    }

    /// How many different labels were encoded since the model was loaded.
    ///
    /// # Errors
    /// Before a model is loaded.
    #[wasm_bindgen(js_name = knownLabels)]
    pub fn known_labels(&mut self) -> JsResult<usize> {
        Ok(self.session()?.labels().known())
    }

    /// Changes the subject: `{mode: 'auto' | 'person' | 'box' | 'whole', id?, edges?}`.
    ///
    /// # Errors
    /// If there is no such person.
    #[wasm_bindgen(js_name = setSubject)]
    pub fn set_subject(&mut self, choice: JsValue) -> JsResult<()> {
        let choice = from_js(choice)?;
        let chosen = self.session()?.set_subject(choice);
        chosen.map_err(|error| thrown(&error))
    }

    /// Forgets frames and people, for another source.
    ///
    /// # Errors
    /// Before a model is loaded.
    pub fn reset(&mut self) -> JsResult<()> {
        self.session()?.reset();
        Ok(())
    }

    /// Takes a frame's RGBA bytes and gives a [`crate::Reading`].
    ///
    /// # Errors
    /// If the frame can't be used or the device fails.
    pub async fn read(&mut self, rgba: Vec<u8>, width: u32, height: u32) -> JsResult<JsValue> {
        let frame = rgb_from_rgba(&rgba, width, height).map_err(|error| thrown(&error))?;
        drop(rgba);
        let reading = self.session()?.read(Picture::Host(frame), Date::now).await;
        to_js(&reading.map_err(|error| thrown(&error))?)
    }

    /// What the model looked at in the last frame: a [`crate::Attention`], or null before the first.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn explain(&mut self) -> JsResult<JsValue> {
        let attention = self.session()?.explain().await;
        to_js(&attention.map_err(|error| thrown(&error))?)
    }

    /// Records what follows under a label, or nothing any more; gives `[{name, samples}, …]`.
    ///
    /// # Errors
    /// An empty label.
    pub fn record(&mut self, label: Option<String>) -> JsResult<JsValue> {
        let lesson = self.session()?.lesson();
        lesson
            .record(label.as_deref())
            .map_err(|error| thrown(&error))?;
        to_js(&lesson.counts())
    }

    /// Forgets a label that was recorded; gives what is left.
    ///
    /// # Errors
    /// Before a model is loaded.
    pub fn forget(&mut self, label: &str) -> JsResult<JsValue> {
        let lesson = self.session()?.lesson();
        lesson.forget(label);
        to_js(&lesson.counts())
    }

    /// What was recorded so far.
    ///
    /// # Errors
    /// Before a model is loaded.
    pub fn lesson(&mut self) -> JsResult<JsValue> {
        to_js(&self.session()?.lesson().counts())
    }

    /// Fits a probe on what was recorded and uses it; gives a [`crate::FitReport`].
    ///
    /// # Errors
    /// If too little was recorded.
    pub fn fit(&mut self) -> JsResult<JsValue> {
        let report = self.session()?.fit().map_err(|error| thrown(&error))?;
        to_js(&report)
    }

    /// The bytes of `probe.safetensors`.
    ///
    /// # Errors
    /// If no probe is in use.
    #[wasm_bindgen(js_name = saveProbe)]
    pub fn save_probe(&mut self) -> JsResult<Vec<u8>> {
        self.session()?.save_probe().map_err(|error| thrown(&error))
    }

    /// Uses a saved probe; gives the names of its outputs.
    ///
    /// # Errors
    /// If it is none, or another model's; the one in use stays.
    #[wasm_bindgen(js_name = loadProbe)]
    pub fn load_probe(&mut self, bytes: &[u8]) -> JsResult<JsValue> {
        let labels = self
            .session()?
            .load_probe(bytes)
            .map_err(|error| thrown(&error))?;
        to_js(&labels)
    }

    /// Stops using a probe.
    ///
    /// # Errors
    /// Before a model is loaded.
    #[wasm_bindgen(js_name = dropProbe)]
    pub fn drop_probe(&mut self) -> JsResult<()> {
        self.session()?.drop_probe();
        Ok(())
    }

    fn session(&mut self) -> JsResult<&mut Session> {
        self.session.as_mut().ok_or_else(|| {
            thrown(&SessionError::Model {
                file: "no model".to_owned(),
                problem: "load one first".to_owned(),
            })
        })
    }
}

fn not_begun() -> JsValue {
    thrown(&SessionError::Model {
        file: "no model".to_owned(),
        problem: "loading has not begun, or has failed".to_owned(),
    })
}

/// The error as JavaScript throws it.
pub(crate) fn thrown(error: &SessionError) -> JsValue {
    let thrown = Error::new(&error.to_string());
    // A fresh object takes any property.
    let _ = Reflect::set(&thrown, &"code".into(), &error.code().into());
    thrown.into()
}

fn to_js<T: Serialize>(value: &T) -> JsResult<JsValue> {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible();
    value.serialize(&serializer).map_err(JsValue::from)
}

fn from_js<T: DeserializeOwned>(value: JsValue) -> JsResult<T> {
    serde_wasm_bindgen::from_value(value).map_err(JsValue::from)
}
