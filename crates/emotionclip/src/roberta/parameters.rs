//! Keys of the parameters in Hugging Face files.

use super::model::RobertaClassifier;
use crate::checkpoint::StateDict;
use crate::parameters::{Completeness, Keyed, torch_spelling};

impl Keyed for RobertaClassifier {
    fn key(path: &str) -> String {
        let path = torch_spelling(path);
        let Some(rest) = path.strip_prefix("roberta.") else {
            return match path.split_once('.') {
                Some(("token_head", rest)) => format!("classifier.{rest}"),
                _ => format!("classifier.{path}"),
            };
        };
        if let Some(rest) = rest.strip_prefix("layers.") {
            let rest = [
                (".attention_output.", ".attention.output.dense."),
                (".attention_norm.", ".attention.output.LayerNorm."),
                (".query.", ".attention.self.query."),
                (".key.", ".attention.self.key."),
                (".value.", ".attention.self.value."),
                (".intermediate.", ".intermediate.dense."),
                (".output_norm.", ".output.LayerNorm."),
            ]
            .into_iter()
            .find(|(ours, _)| rest.contains(ours))
            .map_or_else(
                || rest.replace(".output.", ".output.dense."),
                |(ours, theirs)| rest.replace(ours, theirs),
            );
            return format!("roberta.encoder.layer.{rest}");
        }
        match rest.split_once('.') {
            Some(("embedding_norm", rest)) => format!("roberta.embeddings.LayerNorm.{rest}"),
            _ => format!("roberta.embeddings.{rest}.weight"),
        }
    }

    /// Takes away what classifiers don't use, and spells the norms as files do since 2019.
    fn prepare(tensors: &mut StateDict, _: Completeness) {
        tensors.retain(|key, _| {
            !(key.ends_with(".position_ids")
                || key.starts_with("roberta.pooler.")
                || key.starts_with("lm_head."))
        });
        let old: Vec<String> = tensors
            .keys()
            .filter(|key| key.ends_with("LayerNorm.gamma") || key.ends_with("LayerNorm.beta"))
            .cloned()
            .collect();
        for key in old {
            if let Some(tensor) = tensors.remove(&key) {
                let new = key.replace(".gamma", ".weight").replace(".beta", ".bias");
                tensors.insert(new, tensor);
            }
        }
    }
}
