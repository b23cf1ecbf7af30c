//! What never belongs into a code zip, and what the project itself leaves out: the `.gitignore` and
//! `.agentcoreignore` at the top of the code folder, both in .gitignore syntax, the latter last. A line such as
//! `!.env` takes one of our own rules back.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::PackageError;

/// Version control, environments, caches, editors' files, and files that usually hold secrets.
const ALWAYS: &[&str] = &[
    ".git/",
    ".hg/",
    ".svn/",
    ".venv/",
    "venv/",
    "__pycache__/",
    "*.py[co]",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".tox/",
    ".nox/",
    ".coverage",
    ".idea/",
    ".vscode/",
    ".DS_Store",
    ".env",
    ".env.*",
    ".bedrock_agentcore/",
    ".bedrock_agentcore.yaml",
    "/agentcore/",
    "/.gitignore",
    "/.agentcoreignore",
    "/.dockerignore",
    "/Dockerfile",
];

/// Reads the rules for this code folder.
///
/// # Errors
/// When an ignore file cannot be read or understood.
pub(super) fn read(code: &Path) -> Result<Gitignore, PackageError> {
    let mut rules = GitignoreBuilder::new(code);
    for line in ALWAYS {
        add_line(&mut rules, line, code)?;
    }
    for name in [".gitignore", ".agentcoreignore"] {
        let path = code.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => text
                .lines()
                .try_for_each(|line| add_line(&mut rules, line, &path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(PackageError::Read { path, source }),
        }
    }
    rules.build().map_err(|source| PackageError::Ignore {
        path: code.to_owned(),
        source,
    })
}

fn add_line(rules: &mut GitignoreBuilder, line: &str, path: &Path) -> Result<(), PackageError> {
    rules
        .add_line(None, line)
        .map(drop)
        .map_err(|source| PackageError::Ignore {
            path: path.to_owned(),
            source,
        })
}
