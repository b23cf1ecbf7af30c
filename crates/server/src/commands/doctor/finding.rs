//! What was found out about one thing, and how it is shown.

use serde::Serialize;

/// What a finding means for the driver that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Good,
    /// The driver runs, but less well than it could, or something else cannot.
    Warning,
    /// The driver cannot run.
    Broken,
}

impl Level {
    /// Broken if it matters, a warning otherwise.
    pub(super) fn broken_if(matters: bool) -> Self {
        if matters { Self::Broken } else { Self::Warning }
    }

    fn mark(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Warning => '!',
            Self::Broken => '✗',
        }
    }

    /// The mark's colour as a parameter of the terminal.
    fn colour(self) -> u8 {
        match self {
            Self::Good => 32,
            Self::Warning => 33,
            Self::Broken => 31,
        }
    }
}

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) name: &'static str,
    /// What is there.
    pub(super) found: String,
    /// Why that matters.
    pub(super) why: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn good(name: &'static str, found: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            level: Level::Good,
            name,
            found: found.into(),
            why: why.into(),
            remedy: None,
        }
    }

    pub(super) fn bad(
        level: Level,
        name: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level,
            name,
            found: found.into(),
            why: why.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// The finding as a few lines of a table. Colour is in the mark only and says nothing the mark does not.
    pub(super) fn lines(&self, coloured: bool) -> Vec<String> {
        let mark = self.level.mark();
        let mark = if coloured {
            format!("\x1b[{}m{mark}\x1b[0m", self.level.colour())
        } else {
            mark.to_string()
        };
        let indent = " ".repeat(NAME_WIDTH + 2);
        let mut lines = vec![format!("{mark} {:<NAME_WIDTH$}{}", self.name, self.found)];
        lines.push(format!("{indent}{}", self.why));
        lines.extend(self.remedy.iter().map(|remedy| format!("{indent}→ {remedy}")));
        lines
    }
}

const NAME_WIDTH: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_well_without_colour() {
        let finding = Finding::bad(
            Level::Warning,
            "KVM",
            "there is no /dev/kvm",
            "It runs guests.",
            "enable it",
        );
        assert_eq!(
            finding.lines(false),
            [
                "! KVM               there is no /dev/kvm",
                "                    It runs guests.",
                "                    → enable it",
            ]
        );
        assert!(finding.lines(true)[0].ends_with("m!\x1b[0m KVM               there is no /dev/kvm"));
    }
}
