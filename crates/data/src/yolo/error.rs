//! Why a detector can't be used.

/// What is wrong with an ONNX file or a run of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum YoloError {
    /// The file can't be read.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no model that the runtime can run.
    #[error(
        "{file}: no ONNX file that can be run ({problem}); export the detector again, with opset 17 or lower"
    )]
    Unreadable {
        /// The file.
        file: String,
        /// What the runtime says.
        problem: String,
    },
    /// The model is no YOLO.
    #[error(
        "{file}: {problem}; a detector takes [1, 3, height, width] and gives boxes as YOLOv5 ([1, 25200, 85]), as YOLOv8 \
         to 12 ([1, 84, 8400]) or, free of suppression, as YOLOv10 and 26 ([1, 300, 6])"
    )]
    Shape {
        /// The file.
        file: String,
        /// The shape that doesn't fit.
        problem: String,
    },
    /// The class asked for isn't among the detector's.
    #[error("{file}: it knows no class '{class}', only {known}; choose one with --detector-class")]
    Class {
        /// The file.
        file: String,
        /// The class asked for.
        class: String,
        /// Names of its classes, the first of them.
        known: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}
