//! What the Web Worker calls. `web/js/worker.js` turns messages into these calls, one at a time.
//!
//! Errors arrive in JavaScript as `Error` objects with a `code` as in [`SessionError::code`].

use std::cell::RefCell;

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use emotionclip::preprocess::DevicePicture;
use emotionclip_kernels::{Choice, Kernels, UnknownChoice, check};
use js_sys::{Date, Error, Function, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::encoders::Encoders;
use crate::{BundleLoader, Golden, LabelText, Picture, Session, SessionError, rgb_from_rgba};

pub(crate) type JsResult<T> = Result<T, JsValue>;

thread_local! {
    /// Called with a reason when the GPU is gone. The callback that wgpu takes must be `Send`, which
    /// no JavaScript value is.
    static ON_LOST: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Where the worker copies a picture to.
#[wasm_bindgen(getter_with_clone)]
pub struct Room {
    /// The `GPUDevice`.
    pub device: JsValue,
    /// The `GPUBuffer`.
    pub buffer: JsValue,
    /// First byte of the picture in the buffer.
    pub offset: f64,
    /// Bytes from row to row.
    pub stride: u32,
}

/// A device and, once loaded, a session on it.
#[wasm_bindgen]
pub struct Engine {
    device: Device,
    gpu: Option<wgpu::Device>,
    loader: Option<BundleLoader>,
    session: Option<Session>,
    /// Room for the frames that are read, kept for the next one of the same size.
    picture: Option<DevicePicture>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the CPU engine, which every browser has.
    pub fn cpu() -> Self {
        console_error_panic_hook::set_once();
        Self {
            device: Device::flex(),
            gpu: None,
            loader: None,
            session: None,
            picture: None,
        }
    }

    /// Opens the browser's GPU; `on_lost` is called with a reason when it is lost. `kernels` are
    /// `auto`, `gpu`, `software`, `plain` or `stock`, from here on and for the whole module.
    ///
    /// # Errors
    /// If there is none, or it can't be used, or no kernels have that name.
    pub async fn webgpu(on_lost: Function, kernels: String) -> JsResult<Self> {
        console_error_panic_hook::set_once();
        let choice: Choice = kernels
            .parse()
            .map_err(|error: UnknownChoice| failed_device(&error))?;
        Kernels::choose(choice);
        let opened = Device::wgpu_options().init_with_setup_async().await;
        let (device, setup) = opened.map_err(|error| failed_device(&error))?;
        ON_LOST.set(Some(on_lost));
        setup.device.set_device_lost_callback(|_, message| {
            ON_LOST.with_borrow(|callback| {
                if let Some(callback) = callback {
                    // Nobody is left to tell if the callback itself fails.
                    let _ = callback.call1(&JsValue::NULL, &JsValue::from_str(&message));
                }
            });
        });
        Ok(Self {
            device,
            gpu: Some(setup.device),
            loader: None,
            session: None,
            picture: None,
        })
    }

    /// The kernels that compute: `gpu`, `software` or `plain`, or `stock` for burn's own.
    pub fn kernels(&self) -> String {
        let kernels = Kernels::of(&self.device);
        kernels
            .map_or("stock", |kernels| kernels.tiles.name())
            .to_owned()
    }

    /// Compares every kernel in use with its plain-tensor reference on the CPU engine: `[{what,
    /// distance, tolerance, passed}, …]`, empty without kernels.
    ///
    /// # Errors
    /// If the device fails.
    #[wasm_bindgen(js_name = checkKernels)]
    pub async fn check_kernels(&mut self) -> JsResult<JsValue> {
        #[derive(Serialize)]
        struct Compared {
            what: String,
            distance: f32,
            tolerance: f32,
            passed: bool,
        }
        let Some(kernels) = Kernels::of(&self.device) else {
            return to_js::<[Compared; 0]>(&[]);
        };
        let found = check::compare(kernels, &self.device, &Device::flex()).await;
        let found = found.map_err(|error| failed_device(&error))?;
        let found = found.into_iter().map(|one| Compared {
            passed: one.passed(),
            what: one.what,
            distance: one.distance,
            tolerance: one.tolerance,
        });
        to_js(&found.collect::<Vec<_>>())
    }

    /// Gives the GPU up, as a driver that crashes does. For tests of what the page does then.
    #[wasm_bindgen(js_name = loseDevice)]
    pub fn lose_device(&self) {
        if let Some(gpu) = &self.gpu {
            gpu.destroy();
        }
    }

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

    /// Room for a picture of that size in the GPU's memory, into which the worker copies one: its
    /// `GPUDevice` and `GPUBuffer`, the byte in it where the picture begins, and the bytes from row to row.
    /// Whoever copies has to do so before the next call. Null where frames are prepared on the host: on
    /// the CPU, without kernels, for a model whose frames are interpolated, for a picture too large.
    ///
    /// # Errors
    /// Before a model is loaded.
    #[wasm_bindgen(js_name = openPicture)]
    pub fn open_picture(&mut self, width: u32, height: u32) -> JsResult<Option<Room>> {
        if !self.session()?.pretrained().preprocess.fits_device() {
            return Ok(None);
        }
        let size = [width, height];
        if self.picture.as_ref().is_none_or(|room| room.size() != size) {
            self.picture = DevicePicture::reserve(size, &self.device);
        }
        Ok(self.room())
    }

    /// As [`read`](Self::read) for the picture that was copied into the GPU's memory.
    ///
    /// # Errors
    /// If there is none, it can't be used or the device fails.
    #[wasm_bindgen(js_name = readPicture)]
    pub async fn read_picture(&mut self) -> JsResult<JsValue> {
        let picture = Picture::device(self.opened()?);
        let reading = self.session()?.read(picture, Date::now).await;
        to_js(&reading.map_err(|error| thrown(&error))?)
    }

    /// Prepares the picture that was copied into the GPU's memory there, and its RGBA bytes here, with a
    /// subject's `edges` or none, and compares the two: a [`crate::Difference`].
    ///
    /// # Errors
    /// If there is no picture, it can't be used or the device fails.
    #[wasm_bindgen(js_name = comparePreparation)]
    pub async fn compare_preparation(
        &mut self,
        rgba: Vec<u8>,
        edges: JsValue,
    ) -> JsResult<JsValue> {
        let device = self.opened()?;
        let [width, height] = device.size();
        let host = rgb_from_rgba(&rgba, width, height).map_err(|error| thrown(&error))?;
        let edges = from_js(edges)?;
        let found = self
            .session()?
            .compare_preparation(host, device, edges)
            .await;
        to_js(&found.map_err(|error| thrown(&error))?)
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

    fn room(&self) -> Option<Room> {
        let (picture, gpu) = (self.picture.as_ref()?, self.gpu.as_ref()?);
        let (buffer, offset) = picture.buffer()?;
        Some(Room {
            device: gpu.as_webgpu()?.clone().into(),
            buffer: buffer.as_webgpu()?.clone().into(),
            offset: offset as f64,
            stride: 4 * picture.stride(),
        })
    }

    fn opened(&self) -> JsResult<DevicePicture> {
        self.picture
            .clone()
            .ok_or_else(|| thrown(&SessionError::Picture("none was copied".to_owned())))
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

fn failed_device(error: &dyn std::fmt::Display) -> JsValue {
    thrown(&SessionError::Device(error.to_string()))
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
