//! Keys of the classifier's parameters: those of CLIP's text encoder, and `head.{weight, bias}`.

use super::TextClassifier;
use crate::parameters::{Keyed, torch_spelling};

impl Keyed for TextClassifier {
    fn key(path: &str) -> String {
        match path {
            "token_embedding" => "token_embedding.weight".to_owned(),
            path => torch_spelling(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use crate::parameters::parameters;
    use crate::text_classifier::TextClassifierConfig;

    #[test]
    fn keys_are_those_of_clips_text_encoder_and_a_head() {
        let config = TextClassifierConfig::small();
        let found = parameters(&config.init(1, &Device::flex()).unwrap());
        let block = "transformer.resblocks.0";
        let (vocabulary, width) = (config.text.vocab_size, config.text.width);
        for (key, shape) in [
            ("token_embedding.weight".to_owned(), vec![vocabulary, width]),
            (
                format!("{block}.attn.in_proj_weight"),
                vec![3 * width, width],
            ),
            (format!("{block}.mlp.c_fc.weight"), vec![4 * width, width]),
            (format!("{block}.ln_1.bias"), vec![width]),
            ("ln_final.weight".to_owned(), vec![width]),
            ("head.weight".to_owned(), vec![7, 2 * width]),
        ] {
            assert!(
                found
                    .iter()
                    .any(|info| info.key == key && info.shape == shape),
                "{key} {shape:?} is not in {found:?}"
            );
        }
    }
}
