//! How serious a log line is, as far as it says so itself: in JSON, or by a word near its beginning.

use serde_json::Value;

/// How many words at the beginning of a line may name its level.
const WORDS: usize = 6;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    Error,
}

impl Level {
    /// The level that a line names, if it does.
    pub(crate) fn of(line: &str) -> Option<Self> {
        if let Ok(Value::Object(members)) = serde_json::from_str(line) {
            let named = ["level", "levelname", "severity", "log_level"];
            return named
                .iter()
                .find_map(|name| Self::named(members.get(*name)?.as_str()?));
        }
        if line.starts_with("Traceback (most recent call last)") {
            return Some(Self::Error);
        }
        line.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()))
            .take(WORDS)
            // Shouted, so that "an error page" is no error.
            .filter(|word| word.chars().all(|c| c.is_ascii_uppercase()))
            .find_map(Self::named)
    }

    fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "TRACE" | "DEBUG" => Self::Debug,
            "INFO" | "NOTICE" => Self::Info,
            "WARN" | "WARNING" => Self::Warn,
            "ERROR" | "CRITICAL" | "FATAL" => Self::Error,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_serious_they_are() {
        for (line, level) in [
            ("INFO:     Started server process [12]", Some(Level::Info)),
            (
                "2026-11-21 09:00:00,123 - my.module - WARNING - low on tea",
                Some(Level::Warn),
            ),
            ("[2026-11-21] ERROR in app: no", Some(Level::Error)),
            (
                r#"{"timestamp": "x", "level": "error", "message": "DEBUG"}"#,
                Some(Level::Error),
            ),
            ("Traceback (most recent call last):", Some(Level::Error)),
            ("this is an error page", None),
            ("  File \"main.py\", line 3, in invoke", None),
        ] {
            assert_eq!(Level::of(line), level, "{line}");
        }
    }
}
