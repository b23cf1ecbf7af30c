use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::IdError;

/// A managed language runtime for directly deployed code (`codeConfiguration.runtime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RuntimeKind {
    #[serde(rename = "PYTHON_3_10")]
    Python310,
    #[serde(rename = "PYTHON_3_11")]
    Python311,
    #[serde(rename = "PYTHON_3_12")]
    Python312,
    #[serde(rename = "PYTHON_3_13")]
    Python313,
    #[serde(rename = "PYTHON_3_14")]
    Python314,
    #[serde(rename = "NODE_22")]
    Node22,
}

/// The language of a [`RuntimeKind`], which decides how an entry point is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Language {
    Python,
    Node,
}

impl RuntimeKind {
    /// Every runtime of the service model.
    pub const ALL: [Self; 6] = [
        Self::Python310,
        Self::Python311,
        Self::Python312,
        Self::Python313,
        Self::Python314,
        Self::Node22,
    ];

    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python310 => "PYTHON_3_10",
            Self::Python311 => "PYTHON_3_11",
            Self::Python312 => "PYTHON_3_12",
            Self::Python313 => "PYTHON_3_13",
            Self::Python314 => "PYTHON_3_14",
            Self::Node22 => "NODE_22",
        }
    }

    /// Its language.
    pub fn language(self) -> Language {
        match self {
            Self::Node22 => Language::Node,
            _ => Language::Python,
        }
    }

    /// The interpreter's name, with its version where the language's commands carry one (`python3.13`).
    pub fn interpreter(self) -> &'static str {
        match self {
            Self::Python310 => "python3.10",
            Self::Python311 => "python3.11",
            Self::Python312 => "python3.12",
            Self::Python313 => "python3.13",
            Self::Python314 => "python3.14",
            Self::Node22 => "node",
        }
    }

    /// The ending of an entry file in this language.
    pub fn entry_point_extension(self) -> &'static str {
        match self.language() {
            Language::Python => ".py",
            Language::Node => ".js",
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RuntimeKind {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(IdError {
                what: "runtime",
                expected: "a runtime such as PYTHON_3_13",
            })
    }
}
