//! A detector's file: tensors under the module's own names, its architecture in the metadata.

use burn::tensor::Device;
use bytes::Bytes;
use serde::Deserialize;

use super::config::BlazeFaceConfig;
use super::error::DetectorError;
use super::network::BlazeFace;
use crate::checkpoint;
use crate::parameters::{Completeness, Keyed, load_state_dict};

/// Metadata key under which a detector's file holds its architecture, as JSON.
pub const METADATA_KEY: &str = "emotionclip_detector";

/// The weights that the crate carries: BlazeFace for the back camera, from MediaPipe (Apache-2.0),
/// converted to half precision by `cargo xtask convert-detector`.
#[cfg(feature = "bundled-detector")]
pub static BUNDLED_WEIGHTS: &[u8] = include_bytes!("../../assets/blazeface_back.safetensors");

/// What the metadata says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    network: BlazeFaceConfig,
    /// Score, in [0, 1], below which a box is no face.
    score_threshold: f32,
    /// Where the weights come from; for whoever looks into the file.
    #[serde(rename = "origin")]
    _origin: String,
    /// The licence of the weights.
    #[serde(rename = "licence")]
    _licence: String,
}

/// The network of a file with its weights, and its score threshold.
pub(super) fn read(
    bytes: Bytes,
    name: &str,
    device: &Device,
) -> Result<(BlazeFace, f32), DetectorError> {
    // Read first: it checks the header that the metadata is then taken from.
    let tensors = checkpoint::read_safetensors(bytes.clone(), name)?;
    let metadata = safetensors::SafeTensors::read_metadata(&bytes)
        .ok()
        .and_then(|(_, header)| header.metadata().clone()?.remove(METADATA_KEY))
        .ok_or_else(|| DetectorError::NoConfig {
            file: name.to_owned(),
            key: METADATA_KEY,
        })?;
    let fault = |problem| DetectorError::Metadata {
        file: name.to_owned(),
        key: METADATA_KEY,
        problem,
    };
    let config: FileConfig =
        serde_json::from_str(&metadata).map_err(|error| fault(error.to_string()))?;
    if !(0.0..=1.0).contains(&config.score_threshold) {
        let value = config.score_threshold;
        return Err(fault(format!("score_threshold is {value}: must be 0 to 1")));
    }
    let network = config
        .network
        .init(device)
        .map_err(|error| fault(error.to_string()))?;
    let network = load_state_dict(network, &tensors, Completeness::Whole).map_err(|error| {
        DetectorError::Tensors {
            file: name.to_owned(),
            error,
        }
    })?;
    Ok((network, config.score_threshold))
}

impl Keyed for BlazeFace {
    /// Files name a parameter as the module does.
    fn key(path: &str) -> String {
        path.to_owned()
    }
}

#[cfg(test)]
#[cfg(feature = "bundled-detector")]
mod tests {
    use super::*;
    use crate::checkpoint::{RawTensor, StateDict, write_safetensors};
    use crate::detector::Detector;
    use std::collections::BTreeMap;

    fn state() -> StateDict {
        checkpoint::read(BUNDLED_WEIGHTS, "bundled").unwrap()
    }

    fn metadata(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(METADATA_KEY.to_owned(), text.to_owned())])
    }

    fn bundled_metadata() -> String {
        let (_, header) = safetensors::SafeTensors::read_metadata(BUNDLED_WEIGHTS).unwrap();
        header.metadata().as_ref().unwrap()[METADATA_KEY].clone()
    }

    fn refusal(bytes: Vec<u8>) -> String {
        let read = Detector::from_bytes(bytes, "d.safetensors", &Device::flex());
        read.unwrap_err().to_string()
    }

    #[test]
    fn the_carried_file_is_the_back_cameras_network() {
        let detector = Detector::bundled(&Device::flex()).unwrap();
        let config = detector.network().config();
        assert_eq!((config.input_size, config.anchors()), (256, 896));
        assert_eq!(config.grids(), [16, 8]);
        let count: usize = state()
            .values()
            .map(|tensor| tensor.shape().iter().product::<usize>())
            .sum();
        assert_eq!(count, 134_704);
        assert!(bundled_metadata().contains("Apache-2.0"));
    }

    #[test]
    fn files_that_are_no_detector_are_named_with_their_fault() {
        let whole = |text: &str| write_safetensors(&state(), &metadata(text));
        let good = bundled_metadata();
        assert!(Detector::from_bytes(whole(&good), "d", &Device::flex()).is_ok());

        let without = write_safetensors(&state(), &BTreeMap::new());
        assert!(refusal(without).contains("d.safetensors: no detector inside"));
        let message = refusal(whole(
            &good.replace("\"fine_blocks\":31", "\"fine_blocks\":99"),
        ));
        assert!(message.contains("detector.fine_blocks is 99"), "{message}");
        let message = refusal(whole(&good.replace("0.65", "6.5")));
        assert!(message.contains("score_threshold is 6.5"), "{message}");
        let message = refusal(whole(&good.replace("origin", "source")));
        assert!(message.contains("unknown field `source`"), "{message}");
        let message = refusal(whole("{"));
        assert!(message.contains("d.safetensors: metadata"), "{message}");
        let message = refusal(whole(
            &good.replace("\"stem_channels\":24", "\"stem_channels\":8"),
        ));
        assert!(message.contains("stem.weight"), "{message}");

        let mut cut = BUNDLED_WEIGHTS.to_vec();
        cut.truncate(1000);
        assert!(refusal(cut).contains("damaged or truncated"));
        let mut state = state();
        state.remove("blocks.3.depthwise.weight");
        let bias = RawTensor::from_f32(vec![24], &[f32::NAN; 24]).unwrap();
        state.insert("stem.bias".to_owned(), bias);
        let message = refusal(write_safetensors(&state, &metadata(&good)));
        for part in [
            "missing (1): blocks.3.depthwise.weight",
            "not finite (1): stem.bias",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
