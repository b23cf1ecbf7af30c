//! Code zips: hostile until every check has passed. Nothing is unpacked to find out.
//!
//! [`check`] answers whether a zip can be deployed; what it says is what the developer reads. [`CodeStore`] keeps
//! zips that passed by their content and makes images and folders of them.

mod archive;
mod error;
mod store;

use std::fs::File;
use std::path::Path;

use coracle_types::limits::MAX_CODE_ZIP;
use coracle_types::{Language, RuntimeKind};

use crate::files;
use crate::tree::{Kind, Resolution, Tree, components};

pub use archive::MAX_ENTRIES;
pub use error::{CodeError, EntryPointProblem, EntryProblem};
pub use store::{CodeStore, CodeStoreError, StoredCode};

/// A zip that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCode {
    /// SHA-256 of the zip in hexadecimal.
    pub digest: String,
    /// Size of the zip in bytes.
    pub zipped: u64,
    /// Size of its files, unpacked, in bytes.
    pub unpacked: u64,
    /// How many files, folders and links it has.
    pub entries: usize,
}

/// Checks a zip that came from outside: sizes, names, links and checksums of all entries, by reading all of it,
/// and that `entry_point` (a launcher if wanted, and the file) names a file this runtime can execute.
///
/// # Errors
/// [`CodeError::Unreadable`] when this machine could not read the file; everything else is for the developer to
/// mend, and its text says how.
pub fn check(zip: &Path, entry_point: &[String], runtime: RuntimeKind) -> Result<CheckedCode, CodeError> {
    let entry_file = check_entry_point(entry_point, runtime)?;
    let file = File::open(zip).map_err(CodeError::Unreadable)?;
    let zipped = file.metadata().map_err(CodeError::Unreadable)?.len();
    if zipped > MAX_CODE_ZIP {
        return Err(CodeError::TooLarge { size: zipped });
    }
    let mut archive = archive::open(file)?;
    let index = archive::index(&mut archive, zipped, "")?;
    check_entry_file(&index.tree, entry_file)?;
    check_links(&index.tree)?;
    archive::verify_contents(&mut archive, &index.tree)?;
    let digest = files::sha256_of(zip).map_err(CodeError::Unreadable)?;
    Ok(CheckedCode {
        digest,
        zipped,
        unpacked: index.unpacked,
        entries: archive.len(),
    })
}

/// The file of an entry point, if it can be one at all.
fn check_entry_point(entry_point: &[String], runtime: RuntimeKind) -> Result<&str, CodeError> {
    let ([file] | [_, file]) = entry_point else {
        return Err(EntryPointProblem::Length {
            given: entry_point.len(),
        }
        .into());
    };
    let inside = !file.starts_with('/')
        && !file.contains(['\\', '\0'])
        && !components(file.as_bytes()).any(|name| name == b"..");
    if !inside {
        return Err(EntryPointProblem::NotRelative {
            file: error::shown(file.as_bytes()),
        }
        .into());
    }
    if !file.ends_with(runtime.entry_point_extension()) {
        return Err(EntryPointProblem::WrongType {
            file: error::shown(file.as_bytes()),
            runtime,
            language: match runtime.language() {
                Language::Python => "Python",
                Language::Node => "JavaScript",
            },
        }
        .into());
    }
    Ok(file)
}

fn check_entry_file(tree: &Tree, file: &str) -> Result<(), CodeError> {
    let name = || error::shown(file.as_bytes());
    let found = match tree.resolve(file.as_bytes()) {
        Resolution::Found(id) => tree.inode(id),
        _ => {
            // The commonest mistake: a zip of the folder instead of its content.
            let elsewhere = find_deeper(tree, file);
            return Err(EntryPointProblem::Missing {
                file: name(),
                elsewhere,
            }
            .into());
        }
    };
    if !matches!(found.kind, Kind::File(_)) {
        return Err(EntryPointProblem::NotAFile { file: name() }.into());
    }
    if found.metadata.mode & 0o400 == 0 {
        return Err(EntryPointProblem::NotReadable {
            file: name(),
            mode: found.metadata.mode,
        }
        .into());
    }
    Ok(())
}

/// The file in another folder of the zip, as a hint.
fn find_deeper(tree: &Tree, file: &str) -> Option<String> {
    let ending = format!("/{file}").into_bytes();
    tree.walk()
        .find(|(path, _)| path.ends_with(&ending))
        .map(|(path, _)| error::shown(&path))
}

fn check_links(tree: &Tree) -> Result<(), CodeError> {
    for (path, id) in tree.walk() {
        if !matches!(tree.inode(id).kind, Kind::Symlink(_)) {
            continue;
        }
        match tree.resolve(&path) {
            Resolution::Found(_) | Resolution::Dangling => {}
            Resolution::Outside => return Err(EntryProblem::LinkLeaves.at(&path)),
            Resolution::Loop => return Err(EntryProblem::LinkLoop.at(&path)),
        }
    }
    Ok(())
}
