//! From the model's regular expressions to the `regex` crate's.

use anyhow::Context as _;
use regex::Regex;

/// The expression that matches only whole values. Classes such as `\d` mean ASCII in the model, and line breaks are
/// characters like any other to nobody but `.`; neither is the crate's default.
///
/// Fails if the crate cannot express it, as with look-around.
pub(crate) fn anchored(pattern: &str) -> anyhow::Result<String> {
    let anchored = format!(r"\A(?:{})\z", ascii_classes(pattern));
    Regex::new(&anchored).with_context(|| format!("the pattern {pattern} cannot be enforced"))?;
    Ok(anchored)
}

fn ascii_classes(pattern: &str) -> String {
    let mut translated = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            translated.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => translated.push_str("[0-9]"),
            Some('D') => translated.push_str("[^0-9]"),
            Some('s') => translated.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => translated.push_str(r"[^ \t\n\x0B\f\r]"),
            Some('w') => translated.push_str("[a-zA-Z0-9_]"),
            Some('W') => translated.push_str("[^a-zA-Z0-9_]"),
            Some(escaped) => translated.extend(['\\', escaped]),
            None => translated.push('\\'),
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Regex::new(&anchored(pattern).unwrap()).unwrap().is_match(value)
    }

    #[test]
    fn only_whole_values_match() {
        assert!(matches("a|b", "b"));
        assert!(!matches("a|b", "ab"));
        assert!(!matches("[a-z]+", "abc\n"));
    }

    #[test]
    fn classes_are_ascii_inside_brackets_and_out() {
        assert!(matches(r"\d[\d-]", "1-"));
        assert!(!matches(r"\d", "٣"));
        assert!(matches(r"[\s\S]+", "any\nthing"));
        assert!(!matches(r"[^\s]+", "a b"));
        assert!(matches(r"\\d", r"\d"));
    }

    #[test]
    fn look_around_is_refused() {
        let error = anchored("(?!memoryStrategyId$)[a-z]+").unwrap_err();
        assert!(error.to_string().contains("(?!memoryStrategyId$)[a-z]+"));
    }
}
