use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A processor architecture that microVMs run guests of, in the words of OCI and Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// Not the name of an [`Architecture`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a processor architecture that microVMs run; there are: amd64, arm64")]
pub struct UnknownArchitecture(String);

impl Architecture {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// This machine's own, if it is one of these.
    pub fn host() -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.machine() == std::env::consts::ARCH)
    }

    /// As OCI and Debian call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As kernels (`uname -m`), QEMU and Rust call it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The one that this is not.
    pub fn other(self) -> Self {
        match self {
            Self::Amd64 => Self::Arm64,
            Self::Arm64 => Self::Amd64,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.as_str() == text)
            .ok_or_else(|| UnknownArchitecture(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        for architecture in Architecture::ALL {
            assert_eq!(architecture.as_str().parse(), Ok(architecture));
            assert_eq!(serde_json::to_value(architecture).unwrap(), architecture.as_str());
            assert_eq!(architecture.other().other(), architecture);
        }
        assert!("x86_64".parse::<Architecture>().is_err());
    }
}
