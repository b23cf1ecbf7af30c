use serde::Serialize;

use crate::Error;

/// How many broken members one answer lists; a large request can break any number.
const MAX_REPORTED: usize = 100;

/// A member that broke a constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where it is: member names joined by dots, list items counted from 1 (`codeConfiguration.entryPoint.1`).
    pub name: String,
    /// The constraint it broke, as a sentence that does not repeat the value.
    pub message: String,
}

/// Collects every broken rule of a request, so that a caller learns of all of them at once.
#[derive(Debug, Default)]
pub struct FieldErrors {
    reported: Vec<FieldError>,
    total: usize,
}

impl FieldErrors {
    /// No broken rule yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Beyond a hundred, they are only counted.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.total += 1;
        if self.reported.len() < MAX_REPORTED {
            self.reported.push(FieldError {
                name: path.into(),
                message: message.into(),
            });
        }
    }

    /// Whether nothing was broken.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// `Ok` if nothing was broken, else the `ValidationException` that says what was.
    pub fn into_result(self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::fields_invalid(self))
        }
    }

    pub(crate) fn message(&self) -> String {
        let plural = if self.total == 1 { "" } else { "s" };
        let details: Vec<String> = self
            .reported
            .iter()
            .map(|field| {
                format!(
                    "Value at '{}' failed to satisfy constraint: {}",
                    field.name, field.message
                )
            })
            .collect();
        format!(
            "{} validation error{plural} detected: {}",
            self.total,
            details.join("; ")
        )
    }

    pub(crate) fn into_vec(self) -> Vec<FieldError> {
        self.reported
    }
}
