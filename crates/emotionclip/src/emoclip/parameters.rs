//! Keys of the release's files.
//!
//! The release wraps a block's two halves in residual and norm modules that all call what they
//! wrap `fn`, hence keys like `layers.0.1.fn.fn.net.3.weight`.

use super::{Downstream, EmoClip};
use crate::checkpoint::StateDict;
use crate::parameters::{Completeness, Keyed, clip_key, torch_spelling};

/// Parts of the temporal transformer's paths, ours and the release's.
const TEMPORAL_NAMES: [(&str, &str); 7] = [
    ("temporal.layers.", "temporal.temporal_transformer.layers."),
    (".attention.norm.", ".0.fn.norm."),
    (".attention.to_qkv.", ".0.fn.fn.to_qkv."),
    (".attention.to_out.", ".0.fn.fn.to_out.0."),
    (".feed_forward.norm.", ".1.fn.norm."),
    (".feed_forward.hidden.", ".1.fn.fn.net.0."),
    (".feed_forward.output.", ".1.fn.fn.net.3."),
];

fn temporal_key(path: &str) -> String {
    TEMPORAL_NAMES
        .iter()
        .fold(path.to_owned(), |key, (ours, theirs)| {
            key.replace(ours, theirs)
        })
}

impl Keyed for EmoClip {
    fn key(path: &str) -> String {
        let path = torch_spelling(path);
        match path.strip_prefix("backbone.") {
            Some(rest) => clip_key(rest).unwrap_or(path),
            None => temporal_key(&path),
        }
    }

    /// A CLIP alone implies where the logit scale starts.
    fn prepare(tensors: &mut StateDict, completeness: Completeness) {
        let own = "logit_scale";
        if completeness == Completeness::Backbone
            && !tensors.contains_key(own)
            && let Some(scale) = tensors.get("backbone.logit_scale").cloned()
        {
            tensors.insert(own.to_owned(), scale);
        }
    }

    fn is_beyond_backbone(key: &str) -> bool {
        key.starts_with("temporal.")
    }
}

impl Keyed for Downstream {
    fn key(path: &str) -> String {
        let path = torch_spelling(path);
        if path == "backbone.conv1" {
            return "backbone.conv1.weight".to_owned();
        }
        match path.strip_prefix("mlp.") {
            Some(rest) => {
                let numbered = rest.replace("hidden.", "0.").replace("output.", "2.");
                format!("mlp.{numbered}")
            }
            None => temporal_key(&path),
        }
    }

    fn is_beyond_backbone(key: &str) -> bool {
        key.starts_with("mlp.")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::checkpoint::{CheckpointError, RawTensor};
    use crate::emoclip::{EmoClipConfig, EmoClipPreset, TrainableTowers};
    use crate::parameters::{load_state_dict, parameter_count, parameters, to_state_dict};

    fn small() -> EmoClipConfig {
        let mut config = EmoClipConfig::nano();
        config.vision.layers = 1;
        config.text.layers = 1;
        config
    }

    #[test]
    fn the_releases_model_has_its_keys_and_shapes() {
        let model = EmoClipConfig::vit_b_32().init(&Device::flex()).unwrap();
        let found = parameters(&model);
        let shape = |key: &str| {
            let info = found.iter().find(|info| info.key == key);
            let info = info.unwrap_or_else(|| panic!("{key} is missing"));
            info.shape.clone()
        };
        let temporal = "temporal.temporal_transformer.layers.1";
        for (key, expected) in [
            ("temporal.cls_token".to_owned(), vec![1, 1, 512]),
            ("temporal.pos_embedding".to_owned(), vec![1, 1024, 512]),
            (format!("{temporal}.0.fn.norm.weight"), vec![512]),
            (
                format!("{temporal}.0.fn.fn.to_qkv.weight"),
                vec![49152, 512],
            ),
            (
                format!("{temporal}.0.fn.fn.to_out.0.weight"),
                vec![512, 16384],
            ),
            (format!("{temporal}.0.fn.fn.to_out.0.bias"), vec![512]),
            (format!("{temporal}.1.fn.norm.bias"), vec![512]),
            (format!("{temporal}.1.fn.fn.net.0.weight"), vec![512, 512]),
            (format!("{temporal}.1.fn.fn.net.3.bias"), vec![512]),
            ("logit_scale".to_owned(), vec![]),
            ("backbone.logit_scale".to_owned(), vec![]),
            (
                "backbone.visual.conv1.weight".to_owned(),
                vec![768, 3, 32, 32],
            ),
            (
                "backbone.token_embedding.weight".to_owned(),
                vec![49408, 512],
            ),
            (
                "backbone.transformer.resblocks.11.attn.in_proj_weight".to_owned(),
                vec![1536, 512],
            ),
        ] {
            assert_eq!(shape(&key), expected, "{key}");
        }
        // CLIP's, the class token and the positions, eleven a block, the own logit scale.
        assert_eq!(found.len(), 302 + 2 + 2 * 11 + 1);
    }

    #[test]
    fn presets_have_the_sizes_that_were_meant() {
        let count = |preset: EmoClipPreset| {
            let model = preset.config().init(&Device::flex()).unwrap();
            parameter_count(&model)
        };
        // CLIP's ViT-B/32 has 151,277,313 parameters, a block of the temporal transformer 34,082,304.
        let temporal = 512 + 1024 * 512 + 2 * 34_082_304;
        assert_eq!(count(EmoClipPreset::VitB32), 151_277_313 + temporal + 1);
        assert!(count(EmoClipPreset::Mini) <= 8_000_000);
        assert!(count(EmoClipPreset::Nano) <= 1_200_000);
    }

    #[test]
    fn what_is_saved_loads_into_another_model() {
        let device = Device::flex();
        let first = small().init_seeded(1, &device).unwrap();
        let second = small().init_seeded(2, &device).unwrap();
        let state = to_state_dict(&first).unwrap();
        assert_ne!(to_state_dict(&second).unwrap(), state);
        let loaded = load_state_dict(second, &state, Completeness::Whole).unwrap();
        assert_eq!(to_state_dict(&loaded).unwrap(), state);
    }

    #[test]
    fn a_clip_alone_sets_where_the_logit_scale_starts() {
        let device = Device::flex();
        let model = small().init_seeded(1, &device).unwrap();
        let mut state = to_state_dict(&model).unwrap();
        state.retain(|key, _| key.starts_with("backbone."));
        let scale = RawTensor::from_f32(vec![], &[4.5]).unwrap();
        state.insert("backbone.logit_scale".into(), scale);
        let fresh = || small().init_seeded(2, &device).unwrap();
        let whole = load_state_dict(fresh(), &state, Completeness::Whole);
        let Err(CheckpointError::Mismatch(mismatch)) = whole else {
            panic!("a CLIP passed as a whole EmoCLIP");
        };
        assert!(mismatch.missing.contains(&"logit_scale".to_owned()));
        let loaded = load_state_dict(fresh(), &state, Completeness::Backbone).unwrap();
        let scale = loaded.logit_scale.val().into_scalar::<f32>();
        assert!((scale - 4.5).abs() < f32::EPSILON, "{scale}");
    }

    #[test]
    fn a_downstream_file_holds_the_image_tower_alone() {
        let device = Device::flex();
        let whole = small().init_seeded(1, &device).unwrap();
        let model = Downstream::new(whole.clone(), 3, 7);
        let state = to_state_dict(&model).unwrap();
        let of_whole = to_state_dict(&whole).unwrap();
        for (key, tensor) in &state {
            let there = match key.strip_prefix("backbone.") {
                Some(rest) => format!("backbone.visual.{rest}"),
                None => key.clone(),
            };
            if key.starts_with("mlp.") {
                continue;
            }
            assert_eq!(&of_whole[&there], tensor, "{key}");
        }
        let heads: Vec<&str> = state
            .keys()
            .map(String::as_str)
            .filter(|key| key.starts_with("mlp."))
            .collect();
        assert_eq!(
            heads,
            ["mlp.0.bias", "mlp.0.weight", "mlp.2.bias", "mlp.2.weight"]
        );
        assert_eq!(state["mlp.0.weight"].shape(), [48, 96]);
        assert_eq!(state["mlp.2.weight"].shape(), [3, 48]);

        // The release publishes these weights without the head.
        let mut headless = state.clone();
        headless.retain(|key, _| !key.starts_with("mlp."));
        let other = Downstream::new(small().init_seeded(2, &device).unwrap(), 3, 8);
        let loaded = load_state_dict(other, &headless, Completeness::Backbone).unwrap();
        let loaded = to_state_dict(&loaded).unwrap();
        assert_eq!(loaded["temporal.cls_token"], state["temporal.cls_token"]);
        assert_ne!(loaded["mlp.0.weight"], state["mlp.0.weight"]);
    }

    #[test]
    fn only_what_is_trained_asks_for_a_gradient() {
        use burn::module::{Module as _, ModuleVisitor, Param};
        use burn::tensor::Tensor;

        #[derive(Default)]
        struct Asking(usize);
        impl ModuleVisitor for Asking {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 += usize::from(param.val().is_require_grad());
            }
        }
        let device = Device::flex().autodiff();
        for towers in [
            TrainableTowers::Frozen,
            TrainableTowers::Visual,
            TrainableTowers::Text,
            TrainableTowers::Both,
            TrainableTowers::Whole,
        ] {
            let model = small().init_seeded(1, &device).unwrap();
            let expected = parameters(&model)
                .iter()
                .filter(|info| towers.rate_factor(&info.key).is_some())
                .count();
            let mut asking = Asking::default();
            model.with_trainable(towers).visit(&mut asking);
            assert_eq!(asking.0, expected, "{towers:?}");
        }
    }
}
