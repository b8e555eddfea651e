//! Pictures in a device's memory, and PIL's resize of them into an encoder's input.
//!
//! A browser copies a video's frame from the graphics processor to itself much faster than to the page.
//! What follows is the arithmetic of `emotionclip::preprocess`, which is its definition, in the same
//! integers: the results agree to the bit.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::Kernels;

/// Pixels between the beginnings of two rows are a multiple of this: WebGPU copies a texture into a
/// buffer with rows of a multiple of 256 bytes.
const ROW_PIXELS: u32 = 64;

/// Most pixels of a picture: 128 MiB of words, the largest binding of every WebGPU device.
const MOST_PIXELS: u64 = 1 << 25;

/// The source pixels that one output pixel is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First source pixel.
    pub start: usize,
    /// Weights of the pixels from `start` on, in fixed point.
    pub weights: Vec<i32>,
}

/// What becomes of a picture: the two passes of a resize, and where its pixels go.
#[derive(Clone, Debug)]
pub struct Resample {
    /// Taps of each output column.
    pub columns: Vec<Taps>,
    /// Taps of each output row; starts never decrease.
    pub rows: Vec<Taps>,
    /// Fraction bits of the weights.
    pub fraction_bits: u32,
    /// Value of each level, by channel.
    pub levels: Box<[[f32; 256]; 3]>,
    /// Side of the square frame.
    pub side: usize,
    /// Left and top edge of the resized picture in the frame.
    pub corner: [usize; 2],
    /// Value of the frame where there is no picture.
    pub margin: f32,
    /// Of a mask the columns from and to that are 1, for each row; empty for no mask.
    pub mask: Vec<[u32; 2]>,
}

/// A picture in the memory of a device that has kernels: RGBA levels, red in a word's lowest byte.
///
/// A [`part`](Self::part) shares the memory.
#[derive(Clone, Debug)]
pub struct DevicePicture {
    words: Tensor<1, Int>,
    #[cfg_attr(
        not(feature = "wgpu"),
        allow(dead_code, reason = "only WGSL devices have kernels")
    )]
    kernels: Kernels,
    /// Width, height and pixels from row to row of the memory.
    memory: [u32; 3],
    /// Left and top edge of the part.
    corner: [i32; 2],
    size: [u32; 2],
}

impl DevicePicture {
    /// Room for a picture of `[width, height]` pixels, not yet filled. `None` where the device has no
    /// kernels, or for a picture without pixels or with more than 2^25.
    pub fn reserve(size @ [width, height]: [u32; 2], device: &Device) -> Option<Self> {
        let stride = width.checked_next_multiple_of(ROW_PIXELS)?;
        let pixels = u64::from(stride) * u64::from(height);
        if !(1..=MOST_PIXELS).contains(&pixels) {
            return None;
        }
        Some(Self {
            kernels: Kernels::of(device)?,
            words: Tensor::empty([pixels as usize], device),
            memory: [width, height, stride],
            corner: [0; 2],
            size,
        })
    }

    /// A picture from RGB levels, row by row. `None` as for [`reserve`](Self::reserve), and for another
    /// number of levels.
    pub fn from_rgb(rgb: &[u8], size: [u32; 2], device: &Device) -> Option<Self> {
        let mut picture = Self::reserve(size, device)?;
        let [width, height, stride] = picture.memory.map(|side| side as usize);
        if rgb.len() != 3 * width * height {
            return None;
        }
        let mut words = vec![0_i32; stride * height];
        for (row, words) in rgb
            .chunks_exact(3 * width)
            .zip(words.chunks_exact_mut(stride))
        {
            for (rgb, word) in row.as_chunks::<3>().0.iter().zip(words) {
                *word = i32::from_le_bytes([rgb[0], rgb[1], rgb[2], u8::MAX]);
            }
        }
        picture.words = Tensor::from_data(TensorData::new(words, [stride * height]), device);
        Some(picture)
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Pixels from the beginning of one row in memory to that of the next.
    pub fn stride(&self) -> u32 {
        self.memory[2]
    }

    /// The part of `size` whose left and top edge are `corner`. What lies beyond the picture's edges
    /// is its outermost pixels.
    #[must_use]
    pub fn part(&self, corner: [i32; 2], size: [u32; 2]) -> Self {
        let [left, top] = [0, 1].map(|axis| self.corner[axis].saturating_add(corner[axis]));
        Self {
            corner: [left, top],
            size,
            ..self.clone()
        }
    }

    /// Resizes the picture into a frame `[3, side, side]`, with a mask `[side, side]` if it has rows.
    ///
    /// # Panics
    /// If there are no taps, or the mask has another number of rows than the frame.
    pub fn resample(&self, resample: &Resample) -> (Tensor<3>, Option<Tensor<2>>) {
        let side = resample.side;
        let has_mask = !resample.mask.is_empty();
        assert!(!has_mask || resample.mask.len() == side, "rows of the mask");
        assert!(
            !resample.columns.is_empty() && !resample.rows.is_empty(),
            "taps of the picture"
        );
        #[cfg(feature = "wgpu")]
        {
            let (frame, mask) = crate::backend::resample(
                self.words.clone(),
                ResamplePlan::new(self, resample),
                resample.table(&self.words.device()),
            );
            (frame, has_mask.then_some(mask))
        }
        #[cfg(not(feature = "wgpu"))]
        unreachable!("nobody has a picture on a device without kernels");
    }

    /// The buffer in a browser's graphics processor that holds the picture, and where in it. What was
    /// asked of the device before is on its way when this returns, so what is copied into the
    /// buffer then comes after it. `None` where the device doesn't answer.
    #[cfg(all(target_family = "wasm", feature = "wgpu"))]
    pub fn buffer(&self) -> Option<(cubecl::wgpu::wgpu::Buffer, u64)> {
        crate::backend::buffer(self.words.clone())
    }
}

#[cfg(feature = "wgpu")]
pub(crate) use plan::ResamplePlan;

#[cfg(feature = "wgpu")]
mod plan {
    use super::{Device, DevicePicture, Int, Kernels, Resample, Tensor, TensorData};

    /// The numbers of both launches, as an argument.
    #[derive(Clone, Copy, Debug)]
    pub struct ResamplePlan {
        pub(crate) kernels: Kernels,
        pub(crate) fraction_bits: u32,
        pub(crate) side: usize,
        pub(crate) has_mask: bool,
        /// Pixels after the first pass.
        pub(crate) narrowed: usize,
        pub(crate) rows_info: [u32; 7],
        pub(crate) columns_info: [u32; 9],
    }

    impl ResamplePlan {
        /// Side of the mask; a plan without one has a mask of one value that nobody reads.
        pub(crate) fn mask_side(&self) -> usize {
            if self.has_mask { self.side } else { 1 }
        }

        pub(super) fn new(picture: &DevicePicture, resample: &Resample) -> Self {
            let columns = resample.columns.len();
            let (first, needed) = resample.needed_rows();
            let [left, top] = picture.corner;
            let [width, height, stride] = picture.memory;
            let top = top.saturating_add_unsigned(first as u32);
            let rows_info = [
                columns as u32,
                needed as u32,
                left.cast_unsigned(),
                top.cast_unsigned(),
                width,
                height,
                stride,
            ];
            let [levels, mask] = resample.places();
            let columns_info = [
                resample.side,
                columns,
                resample.rows.len(),
                resample.corner[0],
                resample.corner[1],
                3 * columns,
                levels,
                0,
                mask,
            ];
            let mut columns_info = columns_info.map(|number| number as u32);
            columns_info[7] = resample.margin.to_bits();
            Self {
                kernels: picture.kernels,
                fraction_bits: resample.fraction_bits,
                side: resample.side,
                has_mask: !resample.mask.is_empty(),
                narrowed: columns * needed,
                rows_info,
                columns_info,
            }
        }
    }

    impl Resample {
        /// The first source row that a tap reads, and how many there are from it on.
        fn needed_rows(&self) -> (usize, usize) {
            let first = self.rows.iter().map(|taps| taps.start).min().unwrap_or(0);
            let end = self.rows.iter().map(|taps| taps.start + taps.weights.len());
            (first, end.max().unwrap_or(0).saturating_sub(first))
        }

        /// Where the levels' values and the mask's rows begin in the table.
        fn places(&self) -> [usize; 2] {
            let taps = || self.columns.iter().chain(&self.rows);
            let weights: usize = taps().map(|taps| taps.weights.len()).sum();
            let levels = 3 * taps().count() + weights;
            [levels, levels + 3 * 256]
        }

        /// Everything but the pixels: entries of the columns' taps, of the rows', counted from the
        /// first row that is read, the weights, the levels' values, the mask's rows.
        pub(super) fn table(&self, device: &Device) -> Tensor<1, Int> {
            let [_, end] = self.places();
            let (first, _) = self.needed_rows();
            let taps = || self.columns.iter().chain(&self.rows);
            let mut table = Vec::with_capacity(end + 2 * self.mask.len());
            let mut place = 3 * taps().count();
            for (index, taps) in taps().enumerate() {
                let before = if index < self.columns.len() { 0 } else { first };
                let entry = [taps.start - before, place, taps.weights.len()];
                table.extend(entry.map(|number| number as i32));
                place += taps.weights.len();
            }
            table.extend(taps().flat_map(|taps| &taps.weights));
            let bits = |value: &f32| value.to_bits().cast_signed();
            table.extend(self.levels.as_flattened().iter().map(bits));
            table.extend(
                self.mask
                    .as_flattened()
                    .iter()
                    .map(|edge| edge.cast_signed()),
            );
            let length = table.len();
            Tensor::from_data(TensorData::new(table, [length]), device)
        }
    }
}
