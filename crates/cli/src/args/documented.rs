//! Every command that the documentation shows is one that the command line takes.

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;

const PAGES: [(&str, &str); 6] = [
    ("README.md", include_str!("../../../../README.md")),
    (
        "docs/developers.md",
        include_str!("../../../../docs/developers.md"),
    ),
    (
        "docs/operations.md",
        include_str!("../../../../docs/operations.md"),
    ),
    (
        "docs/compatibility.md",
        include_str!("../../../../docs/compatibility.md"),
    ),
    (
        "docs/benchmarks.md",
        include_str!("../../../../docs/benchmarks.md"),
    ),
    ("docs/security.md", include_str!("../../../../docs/security.md")),
];
/// Fewer than there are, so that a page that is read wrongly is noticed.
const AT_LEAST: usize = 40;

/// The commands of a page: in its code blocks, in the comments there, and between backquotes in its text.
fn commands(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let parts = line
                .split(['#', '|', '>'])
                .flat_map(|part| part.split("&&"))
                .map(|part| part.trim().trim_start_matches("or: "));
            found.extend(parts.filter(|part| part.starts_with("agentcore ")));
        } else {
            let quoted = line.split('`').skip(1).step_by(2);
            let commands = quoted.map(|text| text.split('>').next().unwrap_or(text).trim());
            found.extend(commands.filter(|text| text.starts_with("agentcore ")));
        }
    }
    found
}

/// What a shell would make of it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn the_documentation_shows_commands_that_there_are() {
    let mut seen = 0;
    for (page, text) in PAGES {
        for command in commands(text) {
            seen += 1;
            if let Err(error) = Cli::try_parse_from(words(command)) {
                let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                assert!(is_help, "{page}: {command}\n{error}");
            }
        }
    }
    assert!(seen >= AT_LEAST, "{seen} commands were found");
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let page = "See `agentcore card > file`.\n```\ncd x && agentcore dev   # or: agentcore deploy && agentcore invoke \"a b\"\n```\n";
    assert_eq!(
        commands(page),
        [
            "agentcore card",
            "agentcore dev",
            "agentcore deploy",
            "agentcore invoke \"a b\""
        ]
    );
    assert_eq!(
        words("agentcore invoke \"a b\" -H 'X: y'"),
        ["agentcore", "invoke", "a b", "-H", "X: y"]
    );
}
