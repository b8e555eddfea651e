//! The allow list: every class or function that a checkpoint may name, and what it means here.
//!
//! Nothing is ever called. A name outside this list ends the reading, whether or not it would have
//! been used.

use super::value::Callable;
use crate::checkpoint::Dtype;
use crate::checkpoint::error::{Fault, shorten};

/// Which names are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// What `torch.save` writes for state dicts of models, optimisers and schedulers.
    Checkpoint,
    /// Also the archive's own module classes and TorchScript's typed containers.
    TorchScript,
}

/// Looks a name up.
pub(super) fn resolve(module: &str, name: &str, policy: Policy) -> Result<Callable, Fault> {
    let allowed = match module {
        "torch" => storage_type(name)
            .map(Callable::StorageType)
            .or(match name {
                "Size" => Some(Callable::Wrap),
                _ => None,
            }),
        "torch._utils" => match name {
            "_rebuild_tensor_v2" | "_rebuild_tensor" => Some(Callable::RebuildTensor),
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => Some(Callable::Wrap),
            _ => None,
        },
        "collections" => match name {
            "OrderedDict" => Some(Callable::Dict),
            // The milestones of a multi-step schedule.
            "Counter" => Some(Callable::Wrap),
            _ => None,
        },
        "builtins" | "__builtin__" => match name {
            "set" | "frozenset" => Some(Callable::Wrap),
            _ => None,
        },
        "torch.jit._pickle" if policy == Policy::TorchScript => match name {
            "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist"
            | "restore_type_tag" => Some(Callable::Wrap),
            _ => None,
        },
        _ if policy == Policy::TorchScript && module.split('.').next() == Some("__torch__") => {
            Some(Callable::ModuleClass)
        }
        _ => None,
    };
    allowed.ok_or_else(|| Fault::ForeignClass(shorten(&format!("{module}.{name}"))))
}

fn storage_type(name: &str) -> Option<Dtype> {
    Some(match name {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_could_run_is_foreign_and_named() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch._utils", "_rebuild_device_tensor_from_numpy"),
            ("argparse", "Namespace"),
            ("__torch__.model", "Model"),
        ] {
            let Err(Fault::ForeignClass(class)) = resolve(module, name, Policy::Checkpoint) else {
                panic!("{module}.{name} was allowed");
            };
            assert_eq!(class, format!("{module}.{name}"));
        }
    }

    #[test]
    fn module_classes_belong_to_torch_script_alone() {
        let policy = Policy::TorchScript;
        assert_eq!(
            resolve("__torch__.clip", "CLIP", policy).unwrap(),
            Callable::ModuleClass
        );
        assert!(resolve("__torch__evil", "CLIP", policy).is_err());
        assert!(resolve("os", "system", policy).is_err());
    }
}
