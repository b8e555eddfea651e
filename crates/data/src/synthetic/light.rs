//! Lighting and sensor noise: the last step from a canvas to the pixels of a frame.

use image::RgbImage;

use super::draws::{Draws, mix};

/// The light of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Light {
    brightness: f32,
    /// Change of the brightness from the middle to the right and to the bottom edge.
    gradient: (f32, f32),
    /// Darkening of the corners.
    vignette: f32,
    /// Factors of red, green and blue.
    tint: [f32; 3],
    /// Half width of the noise, 0..=255.
    noise: f32,
}

impl Light {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        Self {
            brightness: draws.between(0.72, 1.12),
            gradient: (draws.between(-0.22, 0.22), draws.between(-0.15, 0.15)),
            vignette: draws.between(0.0, 0.25),
            tint: std::array::from_fn(|_| draws.between(0.92, 1.06)),
            noise: draws.between(0.0, 12.0),
        }
    }

    /// The light on the way to another, `amount` in `[0, 1]`.
    pub(crate) fn mixed(&self, other: &Self, amount: f32) -> Self {
        let mix = |from: f32, to: f32| from + (to - from) * amount;
        Self {
            brightness: mix(self.brightness, other.brightness),
            gradient: (
                mix(self.gradient.0, other.gradient.0),
                mix(self.gradient.1, other.gradient.1),
            ),
            vignette: mix(self.vignette, other.vignette),
            tint: std::array::from_fn(|channel| mix(self.tint[channel], other.tint[channel])),
            noise: mix(self.noise, other.noise),
        }
    }

    /// The overall factor.
    pub(crate) fn brightness(&self) -> f32 {
        self.brightness
    }

    /// Factor of red less that of blue.
    pub(crate) fn redness(&self) -> f32 {
        self.tint[0] - self.tint[2]
    }

    /// Lights opaque premultiplied RGBA pixels of a square picture and adds noise.
    ///
    /// The pixels past the end of `rgba`, were there any, stay black.
    pub(crate) fn develop(&self, rgba: &[u8], size: u32, noise: &mut Draws) -> RgbImage {
        let step = 2.0 / size as f32;
        let mut seed = noise.bits();
        // Two bytes of a hash add up to a triangular distribution on [-255, 255].
        let noise_scale = self.noise / 255.0;
        let mut picture = RgbImage::new(size, size);
        let rows = picture.chunks_exact_mut(size as usize * 3);
        for (y, (row, source)) in rows.zip(rgba.chunks_exact(size as usize * 4)).enumerate() {
            let down = (y as f32 + 0.5) * step - 1.0;
            let row_light = self.brightness * (1.0 + self.gradient.1 * down);
            let pixels = row.chunks_exact_mut(3).zip(source.chunks_exact(4));
            for (x, (pixel, source)) in pixels.enumerate() {
                let across = (x as f32 + 0.5) * step - 1.0;
                let corner = 0.5 * (across * across + down * down);
                let light = row_light
                    * (1.0 + self.gradient.0 * across)
                    * (1.0 - self.vignette * corner * corner);
                let hash = mix(seed);
                seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                for channel in 0..3 {
                    let first = (hash >> (16 * channel)) as u8;
                    let second = (hash >> (16 * channel + 8)) as u8;
                    let grain = (f32::from(first) - f32::from(second)) * noise_scale;
                    let value = f32::from(source[channel]) * light * self.tint[channel] + grain;
                    // `as` rounds towards zero and saturates at 0 and 255.
                    pixel[channel] = (value + 0.5) as u8;
                }
            }
        }
        picture
    }
}
