//! Which exit code an error deserves.

use std::fmt;

/// Marks an error as the user's input being wrong, for exit code 2 instead of 1.
#[derive(Debug)]
pub struct BadInput(pub anyhow::Error);

impl fmt::Display for BadInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

impl std::error::Error for BadInput {}

/// A bad-input error with this message.
pub fn bad_input(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::new(BadInput(anyhow::Error::msg(message)))
}

/// Turns any error into a bad-input error.
pub trait OrBadInput<T> {
    /// Marks the error as caused by the input that `context` names.
    fn or_bad_input(self, context: impl fmt::Display) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self, context: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error: anyhow::Error = error.into();
            anyhow::Error::new(BadInput(anyhow::anyhow!("{context}: {error:#}")))
        })
    }
}
