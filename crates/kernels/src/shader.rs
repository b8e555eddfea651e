//! The shader files and the constants that make a launch of each.

use crate::template::{self, TemplateError, Values};

/// A shader: a file of `shaders/` and the constants that are filled in.
///
/// File and values cover the text completely, so both together key the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    file: &'static str,
    values: Values,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        fn file(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../shaders/", $name))),)*
                _ => None,
            }
        }
    };
}

files![
    "attention.wgsl",
    "attention_grad_gate.wgsl",
    "attention_grad_key.wgsl",
    "attention_grad_query.wgsl",
    "attention_rows.wgsl",
    "attention_subject.wgsl",
    "attention_subject_detour.wgsl",
    "attention_subject_streams.wgsl",
    "coverage.wgsl",
    "layer_norm.wgsl",
    "linear_memory.wgsl",
    "linear_registers.wgsl",
    "linear_tiled.wgsl",
    "resample_columns.wgsl",
    "resample_rows.wgsl",
    "shared/activation.wgsl",
    "shared/attention.wgsl",
    "shared/attention_masked.wgsl",
    "shared/attention_row.wgsl",
    "shared/attention_scores.wgsl",
    "shared/attention_step.wgsl",
    "shared/attention_store.wgsl",
    "shared/lanes.wgsl",
    "shared/linear.wgsl",
    "shared/mask.wgsl",
    "shared/place.wgsl",
    "shared/subject_detour.wgsl",
    "shared/subject_streams.wgsl",
    "shared/sum_lanes.wgsl",
    "shared/thread.wgsl",
    "shared/thread_inputs.wgsl",
];

impl Shader {
    pub(crate) fn new(file: &'static str) -> Self {
        Self {
            file,
            values: Values::new(),
        }
    }

    /// Gives a name a value.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.insert(name, value.to_string());
        self
    }

    /// Sets a flag where `holds`.
    pub(crate) fn flag(self, name: &'static str, holds: bool) -> Self {
        if holds { self.with(name, "") } else { self }
    }

    /// The WGSL text.
    pub(crate) fn source(&self) -> Result<String, TemplateError> {
        template::expand(self.file, &self.values, &file)
    }
}
