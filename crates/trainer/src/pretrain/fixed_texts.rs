//! Features of texts while their encoder stays as it is, so that each text is encoded once.
//!
//! On the CPU, where a text costs as much as a frame of a small model. Every text is encoded by
//! itself: how products are cut up depends on their shapes, so in company its last bits would depend
//! on the company, and a resumed run must find the same numbers. A graphics processor would wait for
//! each; there texts are encoded with their batch.

use std::collections::HashMap;

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::pretrained::token_tensor;
use emotionclip::text::TextTransformer;
use emotionclip_kernels::DeviceKernels;
use rayon::prelude::*;

/// Texts that are kept; at 512 numbers each that is 400 MB.
const KEPT: usize = 200_000;

/// The features of the texts met so far.
#[derive(Debug, Default)]
pub struct FixedTexts {
    features: HashMap<Vec<u32>, Vec<f32>>,
}

impl FixedTexts {
    /// Whether keeping them pays on a device.
    pub fn pay_on(device: &Device) -> bool {
        DeviceKernels::of(&device.clone().inner()) == Some(DeviceKernels::Cpu)
    }

    /// Forgets all of them: the encoder has changed.
    pub fn clear(&mut self) {
        self.features.clear();
    }

    /// Features `[B, embed_dim]` of texts, on the device without gradients.
    pub fn encode(
        &mut self,
        encoder: &TextTransformer,
        texts: &[Vec<u32>],
        device: &Device,
    ) -> Tensor<2> {
        if self.features.len() + texts.len() > KEPT {
            self.clear();
        }
        let inner = device.clone().inner();
        let missing = texts
            .iter()
            .filter(|text| !self.features.contains_key(*text));
        let missing: Vec<&Vec<u32>> = missing.collect();
        if !missing.is_empty() {
            let encoder = encoder.valid();
            let new: Vec<(Vec<u32>, Vec<f32>)> = missing
                .into_par_iter()
                .map(|text| {
                    let tokens = token_tensor(std::slice::from_ref(text), &inner);
                    let features = encoder.forward(tokens).into_data();
                    (text.clone(), features.iter::<f32>().collect())
                })
                .collect();
            self.features.extend(new);
        }
        let rows = texts.iter().filter_map(|text| self.features.get(text));
        let rows: Vec<f32> = rows.flatten().copied().collect();
        let width = rows.len() / texts.len().max(1);
        Tensor::from_data(TensorData::new(rows, [texts.len(), width]), &inner)
    }
}

#[cfg(test)]
mod tests {
    use emotionclip::EmotionClipConfig;

    use super::*;

    #[test]
    fn texts_are_encoded_once_and_alike_in_any_company() {
        let device = Device::flex().autodiff();
        assert!(FixedTexts::pay_on(&device));
        let model = EmotionClipConfig::nano().init_seeded(3, &device).unwrap();
        let texts: Vec<Vec<u32>> = (1..9_u32)
            .map(|number| {
                let mut text = vec![0; 24];
                text[..number as usize + 1].fill(number);
                text[number as usize + 1] = 513;
                text
            })
            .collect();
        let rows = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let mut fixed = FixedTexts::default();
        let all = rows(fixed.encode(&model.text, &texts, &device));
        assert_eq!(fixed.features.len(), texts.len());
        let again = rows(fixed.encode(&model.text, &texts, &device));
        assert_eq!(all, again);
        let width = all.len() / texts.len();
        let mut alone = FixedTexts::default();
        let last = rows(alone.encode(&model.text, &texts[7..], &device));
        assert_eq!(last, all[7 * width..]);
        let together = rows(model.text.forward(token_tensor(&texts, &device)).inner());
        let norm = |values: &mut dyn Iterator<Item = f32>| {
            values
                .map(|value| f64::from(value).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let off = norm(&mut all.iter().zip(&together).map(|(a, b)| a - b));
        // The tolerance of embeddings in f32.
        assert!(off < 1e-4 * norm(&mut together.iter().copied()), "{off}");
    }
}
