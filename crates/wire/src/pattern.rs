use std::sync::OnceLock;

use regex::Regex;

/// A regular expression of the service model, compiled when first used.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    anchored: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// `text` is the model's spelling, shown to callers; `anchored` says the same to the `regex` crate and
    /// matches only whole values. The generator makes one from the other and has compiled it.
    pub(crate) const fn new(text: &'static str, anchored: &'static str) -> Self {
        Self {
            text,
            anchored,
            compiled: OnceLock::new(),
        }
    }

    /// The model's spelling.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Whether the whole value matches. A pattern that does not compile matches nothing.
    pub fn matches(&self, value: &str) -> bool {
        let regex = self.compiled.get_or_init(|| Regex::new(self.anchored).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}
