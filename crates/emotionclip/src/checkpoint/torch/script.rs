//! The tensors of a TorchScript archive, as OpenAI publishes CLIP.
//!
//! The archive's pickle is a tree of module objects, each with a dict of attributes. Joining the
//! attribute names with dots gives the keys of the module's `state_dict()`.

use super::value::{Pickle, TensorView, Value, ValueId};
use crate::checkpoint::error::Fault;

/// Deepest nesting of modules; CLIP's is 7.
const MAX_DEPTH: usize = 32;

/// Modules visited at most. A shared module counts once a use, as it does in a state dict.
const MAX_MODULES: usize = 1 << 16;

pub(super) fn tensors<'p, 'a>(
    pickle: &'p Pickle<'a>,
) -> Result<Vec<(String, &'p TensorView<'a>)>, Fault> {
    let mut found = Vec::new();
    let mut visited = 0;
    let mut pending: Vec<(String, usize, ValueId)> = vec![(String::new(), 0, pickle.root)];
    while let Some((prefix, depth, module)) = pending.pop() {
        visited += 1;
        if depth > MAX_DEPTH || visited > MAX_MODULES {
            return Err(Fault::damaged("the TorchScript modules nest without end"));
        }
        let Value::Module(Some(attributes)) = pickle.get(module) else {
            continue;
        };
        let Value::Dict(attributes) = pickle.get(*attributes) else {
            continue;
        };
        for (name, value) in pickle.entries(attributes) {
            match pickle.get(value) {
                Value::Tensor(view) => found.push((format!("{prefix}{name}"), &**view)),
                Value::Module(_) => pending.push((format!("{prefix}{name}."), depth + 1, value)),
                _ => {}
            }
        }
    }
    if found.is_empty() {
        return Err(Fault::NoTensors(
            "a TorchScript module without parameters".into(),
        ));
    }
    Ok(found)
}
