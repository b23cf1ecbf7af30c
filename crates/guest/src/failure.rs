//! The one way things fail here: the system refused something.

use std::io;

/// What was being done, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub(crate) struct Failure {
    doing: String,
    #[source]
    source: io::Error,
}

impl Failure {
    /// A failure that is not the system's.
    pub(crate) fn new(doing: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            source: io::Error::other(said.into()),
        }
    }
}

/// Says what was being done when a result is an error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            doing: what(),
            source: error.into(),
        })
    }
}
