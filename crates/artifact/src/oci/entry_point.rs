//! Whether an image's program can be started at all, found out before any machine boots: that it is there, may be
//! executed, is for the right processor, and that what it needs to be loaded is in the image too. The kernel's own answer,
//! "No such file or directory", says neither which file nor why.

use std::io;

use coracle_types::Architecture;

use super::assemble::Contents;
use super::store::ImageStart;
use crate::tree::{Kind, Resolution, Tree};

/// How much of a program is looked at, in bytes.
const HEAD: u64 = 8 * 1024;
/// Interpreters that name interpreters, as in Linux.
const MAX_DEPTH: usize = 4;
const EXECUTABLE: u16 = 0o111;

/// Why an image cannot be started.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryPointError {
    #[error("the image has neither ENTRYPOINT nor CMD; say in its Dockerfile what to run")]
    None,
    #[error("the image's entry point {program:?} is not in the image{}", searched(path.as_deref()))]
    Missing { program: String, path: Option<String> },
    #[error("the image's entry point {0:?} is not a file")]
    NotAFile(String),
    #[error("the image's entry point {0:?} may not be executed; add to the Dockerfile: RUN chmod +x {0}")]
    NotExecutable(String),
    #[error("the image's entry point {program:?} needs {needed}, which is not in the image{hint}")]
    Interpreter {
        program: String,
        needed: String,
        hint: &'static str,
    },
    #[error(
        "the image's entry point {program:?} is for another processor ({found}); build the image for {wanted}"
    )]
    Processor {
        program: String,
        found: String,
        wanted: Architecture,
    },
    #[error("the image's entry point could not be read")]
    Read(#[source] io::Error),
}

fn searched(path: Option<&str>) -> String {
    path.map_or_else(String::new, |path| format!(" (PATH is {path})"))
}

/// Checks the program that `start` names, for machines of this architecture.
pub(super) fn check(
    start: &ImageStart,
    architecture: Architecture,
    tree: &Tree,
    contents: &mut Contents,
) -> Result<(), EntryPointError> {
    let program = start.command.first().ok_or(EntryPointError::None)?;
    let mut place = find(program, start, tree)?;
    for depth in 0..MAX_DEPTH {
        if depth == 0 {
            check_file(program, &place, tree)?;
        }
        let head = contents
            .read(tree, place.as_bytes(), HEAD)
            .map_err(EntryPointError::Read)?
            .unwrap_or_default();
        let (needed, hint) = match interpreter(&head, architecture) {
            Interpreter::None => return Ok(()),
            Interpreter::Foreign(found) => {
                return Err(EntryPointError::Processor {
                    program: program.clone(),
                    found,
                    wanted: architecture,
                });
            }
            Interpreter::Script(path) => (path, "; a base image without a shell runs no scripts"),
            Interpreter::Loader(path) => (
                path,
                "; it was built for another C library, or should be linked statically",
            ),
        };
        if !matches!(tree.resolve_in_root(needed.as_bytes()), Resolution::Found(_)) {
            return Err(EntryPointError::Interpreter {
                program: program.clone(),
                needed,
                hint,
            });
        }
        place = needed;
    }
    Ok(())
}

/// Where the program is: as it says, or in one of the folders of `PATH`.
fn find(program: &str, start: &ImageStart, tree: &Tree) -> Result<String, EntryPointError> {
    let is_there = |place: &str| matches!(tree.resolve_in_root(place.as_bytes()), Resolution::Found(_));
    let path = start.environment.get("PATH").cloned().unwrap_or_default();
    let (candidates, path) = if program.starts_with('/') {
        (vec![program.to_owned()], None)
    } else if program.contains('/') {
        (vec![format!("{}/{program}", start.working_directory)], None)
    } else {
        let folders = path.split(':').map(|folder| format!("{folder}/{program}"));
        (folders.collect(), Some(path.clone()))
    };
    candidates
        .into_iter()
        .find(|place| is_there(place))
        .ok_or_else(|| EntryPointError::Missing {
            program: program.to_owned(),
            path,
        })
}

fn check_file(program: &str, place: &str, tree: &Tree) -> Result<(), EntryPointError> {
    let Resolution::Found(inode) = tree.resolve_in_root(place.as_bytes()) else {
        return Ok(());
    };
    let inode = tree.inode(inode);
    match inode.kind {
        Kind::File(_) if inode.metadata.mode & EXECUTABLE != 0 => Ok(()),
        Kind::File(_) => Err(EntryPointError::NotExecutable(program.to_owned())),
        _ => Err(EntryPointError::NotAFile(program.to_owned())),
    }
}

/// What a program needs to be loaded.
#[derive(Debug, PartialEq, Eq)]
enum Interpreter {
    None,
    /// Named behind `#!`.
    Script(String),
    /// The dynamic loader.
    Loader(String),
    /// It is for this processor instead.
    Foreign(String),
}

fn interpreter(head: &[u8], architecture: Architecture) -> Interpreter {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        return line
            .split_ascii_whitespace()
            .next()
            .map_or(Interpreter::None, |path| Interpreter::Script(path.to_owned()));
    }
    elf(head, architecture).unwrap_or(Interpreter::None)
}

/// Reads the head of a 64-bit little-endian ELF file.
fn elf(head: &[u8], architecture: Architecture) -> Option<Interpreter> {
    const PROGRAM_HEADERS_OFFSET: usize = 0x20;
    const INTERPRETER: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| {
        let bytes = head.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let machine = half(0x12)?;
    let found = match machine {
        0x3e => Some(Architecture::Amd64),
        0xb7 => Some(Architecture::Arm64),
        _ => None,
    };
    if found != Some(architecture) {
        let name = found.map_or("unknown", Architecture::as_str);
        return Some(Interpreter::Foreign(name.to_owned()));
    }
    let (table, size, count) = (long(PROGRAM_HEADERS_OFFSET)?, half(0x36)?, half(0x38)?);
    for number in 0..usize::from(count) {
        let entry = table.checked_add(number * usize::from(size))?;
        if word(entry)? == INTERPRETER {
            let (offset, length) = (long(entry + 8)?, long(entry + 32)?);
            let path = head.get(offset..offset.checked_add(length)?)?;
            let path = path.split(|byte| *byte == 0).next()?;
            return Some(Interpreter::Loader(String::from_utf8_lossy(path).into_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Architecture::Amd64;
    use super::*;

    #[test]
    fn scripts_name_their_interpreter() {
        assert_eq!(
            interpreter(b"#! /bin/sh -e\nexit 0\n", Amd64),
            Interpreter::Script("/bin/sh".to_owned())
        );
        assert_eq!(interpreter(b"#!\n", Amd64), Interpreter::None);
        assert_eq!(interpreter(b"plain text", Amd64), Interpreter::None);
    }

    #[test]
    fn this_program_names_its_loader() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (own, host) = (&own[..8192], Architecture::host().unwrap());
        assert!(matches!(interpreter(own, host), Interpreter::Loader(path) if path.contains("ld-linux")));
        assert_eq!(
            interpreter(own, host.other()),
            Interpreter::Foreign(host.as_str().to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_head_is_read(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut head = b"\x7fELF\x02\x01".to_vec();
            head.extend(tail);
            interpreter(&head, Amd64);
        }
    }
}
