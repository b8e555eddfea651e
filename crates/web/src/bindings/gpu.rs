//! The page's GPU: WebGPU with the project's kernels, and frames that never leave its memory.

use std::cell::RefCell;

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use emotionclip::preprocess::DevicePicture;
use emotionclip_kernels::{Choice, Kernels, UnknownChoice, check};
use js_sys::{Date, Function};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{Engine, JsResult, from_js, thrown, to_js};
use crate::{Picture, SessionError, rgb_from_rgba};

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

/// The `GPUDevice` behind a [`Device`].
pub(super) struct Gpu {
    device: wgpu::Device,
    /// Room for the frames that are read, kept for the next one of the same size.
    picture: Option<DevicePicture>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the browser's GPU; `on_lost` is called with a reason when it is lost. `kernels` are
    /// `auto`, `gpu`, `software`, `plain` or `stock`, from here on and for the whole module.
    ///
    /// # Errors
    /// If there is none, or it can't be used, or no kernels have that name.
    pub async fn webgpu(on_lost: Function, kernels: String) -> JsResult<Self> {
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
            gpu: Some(Gpu {
                device: setup.device,
                picture: None,
            }),
            loader: None,
            session: None,
        })
    }

    /// The kernels that compute: `gpu`, `software` or `plain`, or `stock` for burn's own.
    pub fn kernels(&self) -> String {
        let kernels = Kernels::of(&self.device);
        kernels
            .map_or("stock", |kernels| kernels.tiles.name())
            .to_owned()
    }

    /// Compares every kernel in use with the same sums in f64: `[{what, distance, tolerance, passed},
    /// …]`, empty without kernels.
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
        let found = check::compare(kernels, &self.device).await;
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
            gpu.device.destroy();
        }
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
        let Some(gpu) = &mut self.gpu else {
            return Ok(None);
        };
        if gpu.picture.as_ref().is_none_or(|room| room.size() != size) {
            gpu.picture = DevicePicture::reserve(size, &self.device);
        }
        Ok(gpu.room())
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

    fn opened(&self) -> JsResult<DevicePicture> {
        let picture = self.gpu.as_ref().and_then(|gpu| gpu.picture.clone());
        picture.ok_or_else(|| thrown(&SessionError::Picture("none was copied".to_owned())))
    }
}

impl Gpu {
    fn room(&self) -> Option<Room> {
        let picture = self.picture.as_ref()?;
        let (buffer, offset) = picture.buffer()?;
        Some(Room {
            device: self.device.as_webgpu()?.clone().into(),
            buffer: buffer.as_webgpu()?.clone().into(),
            offset: offset as f64,
            stride: 4 * picture.stride(),
        })
    }
}

fn failed_device(error: &dyn std::fmt::Display) -> JsValue {
    thrown(&SessionError::Device(error.to_string()))
}
