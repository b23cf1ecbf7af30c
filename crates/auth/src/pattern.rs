//! The wildcards of IAM: `*` is any text, `?` any one byte. In resources they also pass the colons of an ARN.

/// Whether a pattern matches a whole text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    matches_with(pattern, text, |one, other| one == other)
}

/// As [`matches`], without regard to case.
pub(crate) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches_with(pattern, text, |one, other| one.eq_ignore_ascii_case(other))
}

/// Takes time linear in the product of both lengths at worst.
fn matches_with(pattern: &str, text: &str, same: impl Fn(&u8, &u8) -> bool) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    // Where the last star was, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(byte) if *byte == b'?' || same(byte, &text[position]) => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                position = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn actions_match_with_wildcards_and_without_case() {
        for (pattern, text, expected) in [
            ("*", "InvokeAgentRuntime", true),
            ("invokeagentruntime", "InvokeAgentRuntime", true),
            ("Invoke*", "InvokeAgentRuntimeForUser", true),
            ("Invoke*User", "InvokeAgentRuntimeForUser", true),
            ("Invoke*User", "InvokeAgentRuntime", false),
            ("?topRuntimeSession", "StopRuntimeSession", true),
            ("InvokeAgentRuntime", "InvokeAgentRuntimeForUser", false),
            ("", "StopRuntimeSession", false),
        ] {
            assert_eq!(matches_ignoring_case(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn resources_match_with_their_case() {
        assert!(matches(
            "arn:*:runtime/a-*",
            "arn:aws:b:c:0:runtime/a-B/runtime-endpoint/x"
        ));
        assert!(!matches("arn:*:runtime/A-*", "arn:aws:b:c:0:runtime/a-B"));
    }

    proptest! {
        #[test]
        fn matching_agrees_with_a_regular_expression(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let expected = pattern.replace('*', ".*").replace('?', ".");
            let expected = regex::Regex::new(&format!("^{expected}$")).unwrap().is_match(&text);
            prop_assert_eq!(matches(&pattern, &text), expected);
        }
    }
}
