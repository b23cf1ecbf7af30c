//! What never belongs into a code zip, and what the project itself leaves out: the `.gitignore` and
//! `.agentcoreignore` at the top of the code folder, both in .gitignore syntax, the latter last. A line such as
//! `!.env` takes one of our own rules back. The latter is about the dependencies, too, because some bring much more
//! than an agent uses.

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

/// What a project leaves out of its zip, in .gitignore syntax.
const OURS: &str = ".agentcoreignore";

/// Reads the rules for this code folder.
///
/// # Errors
/// When an ignore file cannot be read or understood.
pub(super) fn for_code(code: &Path) -> Result<Gitignore, PackageError> {
    let mut rules = GitignoreBuilder::new(code);
    for line in ALWAYS {
        add_line(&mut rules, line, code)?;
    }
    add_file(&mut rules, &code.join(".gitignore"))?;
    add_file(&mut rules, &code.join(OURS))?;
    build(&rules, code)
}

/// Reads the rules for the dependencies of the code in this folder: only those that are about the zip.
///
/// # Errors
/// When the ignore file cannot be read or understood.
pub(super) fn for_dependencies(dependencies: &Path, code: &Path) -> Result<Gitignore, PackageError> {
    let mut rules = GitignoreBuilder::new(dependencies);
    add_file(&mut rules, &code.join(OURS))?;
    build(&rules, code)
}

fn build(rules: &GitignoreBuilder, code: &Path) -> Result<Gitignore, PackageError> {
    rules.build().map_err(|source| PackageError::Ignore {
        path: code.to_owned(),
        source,
    })
}

fn add_file(rules: &mut GitignoreBuilder, path: &Path) -> Result<(), PackageError> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.lines().try_for_each(|line| add_line(rules, line, path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PackageError::Read {
            path: path.to_owned(),
            source,
        }),
    }
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
