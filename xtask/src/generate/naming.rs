//! From the model's names to Rust's.

/// `CreateAgentRuntime`, `customJWTAuthorizer`, `requireMMDSV2` → `create_agent_runtime`,
/// `custom_jwt_authorizer`, `require_mmdsv2`; a keyword becomes a raw identifier.
pub(crate) fn snake(name: &str) -> String {
    const KEYWORDS: [&str; 12] = [
        "as", "const", "enum", "fn", "for", "in", "match", "mod", "move", "ref", "type", "where",
    ];
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let starts_word = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let acronym_ends = characters.get(index + 1).is_some_and(char::is_ascii_lowercase);
                !before.is_ascii_uppercase() || acronym_ends
            });
        if starts_word {
            snake.push('_');
        }
        snake.push(if character.is_ascii_alphanumeric() {
            character.to_ascii_lowercase()
        } else {
            '_'
        });
    }
    if KEYWORDS.contains(&snake.as_str()) {
        format!("r#{snake}")
    } else {
        snake
    }
}

/// What serde's `camelCase` makes of a snake-case field.
pub(crate) fn camel(snake: &str) -> String {
    let mut words = snake.trim_start_matches("r#").split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capitalised(word))
}

/// With an upper-case first letter.
pub(crate) fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(characters)
        .collect()
}

/// `PYTHON_3_10`, `STRING_ARRAY`, `CannotParse`, `gpt-4` → `Python310`, `StringArray`, `CannotParse`, `Gpt4`.
pub(crate) fn variant(value: &str) -> String {
    let words = value.split(|character: char| !character.is_ascii_alphanumeric());
    let name: String = words
        .map(|word| {
            let shouted = !word.chars().any(|character| character.is_ascii_lowercase());
            capitalised(&if shouted {
                word.to_ascii_lowercase()
            } else {
                word.to_owned()
            })
        })
        .collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("V{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_idiomatic() {
        assert_eq!(snake("CreateAgentRuntime"), "create_agent_runtime");
        assert_eq!(snake("customJWTAuthorizer"), "custom_jwt_authorizer");
        assert_eq!(snake("requireMMDSV2"), "require_mmdsv2");
        assert_eq!(snake("s3"), "s3");
        assert_eq!(snake("type"), "r#type");
        assert_eq!(camel("custom_jwt_authorizer"), "customJwtAuthorizer");
        assert_eq!(variant("PYTHON_3_10"), "Python310");
        assert_eq!(variant("CannotParse"), "CannotParse");
        assert_eq!(variant("us.gpt-4"), "UsGpt4");
        assert_eq!(variant("2xlarge"), "V2xlarge");
    }
}
