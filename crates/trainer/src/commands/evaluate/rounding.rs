//! Weights as they come out of a web bundle.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::Bytes;
use emotionclip::checkpoint::web::{self, Precision, WebOptions};
use emotionclip::checkpoint::{RawTensor, StateDict};
use emotionclip::parameters::{Completeness, Keyed, load_state_dict, to_state_dict};

/// A model after a web bundle, how much its weights changed, and the bundle's size.
///
/// # Errors
/// Weights that are not finite; a failing device.
pub fn rounded<M: Keyed>(model: &M, precision: Precision) -> anyhow::Result<(M, f64, u64)> {
    let state = to_state_dict(model)?;
    let options = WebOptions {
        precision,
        ..WebOptions::default()
    };
    let bundle = web::export(&state, &[], options)?;
    let manifest = bundle.manifest_json();
    let bytes = bundle.files.iter().map(|(_, file)| file.len() as u64).sum();
    let files: BTreeMap<String, Bytes> = bundle.files.into_iter().collect();
    let restored = web::import(&manifest, &files)?;
    let change = relative_change(&state, &restored);
    let model = load_state_dict(model.clone(), &restored, Completeness::Whole)
        .context("putting rounded weights back")?;
    Ok((model, change, bytes))
}

/// ‖after − before‖ / ‖before‖ over all floating-point tensors.
fn relative_change(before: &StateDict, after: &StateDict) -> f64 {
    let values = |tensor: &RawTensor| -> Vec<f64> {
        let values = tensor.to_f32().into_iter();
        values.map(f64::from).collect()
    };
    let (mut change, mut whole) = (0.0, 0.0);
    for (key, tensor) in before {
        if !tensor.dtype().is_float() {
            continue;
        }
        let (old, new) = (values(tensor), after.get(key).map(values));
        let new = new.unwrap_or_default();
        whole += old.iter().map(|old| old * old).sum::<f64>();
        change += old
            .iter()
            .zip(new)
            .map(|(old, new)| (new - old).powi(2))
            .sum::<f64>();
    }
    (change / whole.max(f64::MIN_POSITIVE)).sqrt()
}
