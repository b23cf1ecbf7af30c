//! What a developer reads when a zip is refused: which entry, what is wrong, what to do.

use std::io;

use coracle_types::RuntimeKind;

use super::archive::{MAX_ENTRIES, MAX_RATIO};
use crate::tree::{MAX_NAME, MAX_PATH};

/// How much of a hostile name is shown.
const SHOWN_CHARACTERS: usize = 200;

/// Why a code zip was refused.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// This machine could not read the file; the developer has no part in it.
    #[error("the code artifact could not be read on this server")]
    Unreadable(#[source] io::Error),
    /// Not a zip at all, or one cut off.
    #[error(
        "the code artifact is not a complete zip file ({reason}); upload a .zip with your code at its root"
    )]
    NotAZip {
        /// What the parser says.
        reason: String,
    },
    /// Larger than the service's limit.
    #[error("the code artifact is {} MB; the limit is 250 MB zipped. Leave out what the agent does not need", mib(*size))]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// Larger than the service's limit once unpacked.
    #[error(
        "the code artifact is more than 750 MB unpacked, which is the limit. Leave out what the agent does not need"
    )]
    UnpackedTooLarge,
    /// A small file that unpacks to a huge one.
    #[error(
        "the code artifact unpacks to more than {MAX_RATIO} times its size, which only decompression bombs do"
    )]
    Bomb,
    /// More than is sensible.
    #[error(
        "the code artifact has more than {MAX_ENTRIES} files and folders; leave out what the agent does not need"
    )]
    TooManyEntries,
    /// The directory of the zip names something twice.
    #[error("the code artifact has two entries with the same name; make it anew, adding every file once")]
    DuplicateName,
    /// One entry is bad.
    #[error("the entry {name} of the code artifact {problem}")]
    Entry {
        /// The entry, shortened and escaped.
        name: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// The entry point does not work.
    #[error(transparent)]
    EntryPoint(#[from] EntryPointProblem),
}

/// What can be wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryProblem {
    #[error("has a path that leaves the zip's folder; paths must be relative and without \"..\"")]
    Traversal,
    #[error("has a backslash in its name; use \"/\" between folders")]
    Backslash,
    #[error("has a NUL character in its name")]
    Nul,
    #[error("has a name longer than {MAX_NAME} bytes or a path longer than {MAX_PATH} bytes")]
    NameTooLong,
    #[error("has an empty name")]
    EmptyName,
    #[error("has the name of another entry, or of a folder that another entry is in; rename one of them")]
    Conflict,
    #[error("is encrypted; make the zip without a password")]
    Encrypted,
    #[error(
        "is compressed with an unsupported method ({0}); use deflate, which is what zip tools do by default"
    )]
    Compression(String),
    #[error("is a device, socket or pipe; only files, folders and links can be deployed")]
    SpecialFile,
    #[error(
        "is a link that leads out of the zip's folder; make it point to something inside, or copy the file"
    )]
    LinkLeaves,
    #[error("is a link that leads back to itself")]
    LinkLoop,
    #[error("is a link without a usable target")]
    BadLink,
    #[error("is damaged ({0}); make the zip anew and upload it again")]
    Damaged(String),
}

impl EntryProblem {
    /// The error for the entry of this name.
    pub(super) fn at(self, name: &[u8]) -> CodeError {
        CodeError::Entry {
            name: shown(name),
            problem: self,
        }
    }
}

/// What can be wrong with an entry point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryPointProblem {
    #[error("the entry point has {given} items; it is a file, or a launcher and a file")]
    Length { given: usize },
    #[error("the entry point {file} must be a path inside the zip: relative, with \"/\" and without \"..\"")]
    NotRelative { file: String },
    #[error(
        "Entrypoint file type does not match your selected runtime: {file} is no {language} file \
         ({}), which {runtime} needs", runtime.entry_point_extension()
    )]
    WrongType {
        file: String,
        runtime: RuntimeKind,
        language: &'static str,
    },
    #[error(
        "the entry point {file} is not in the code artifact{}",
        .elsewhere.as_ref().map_or_else(
            || "; its path must be given as it is in the zip".to_owned(),
            |path| format!(
                ", but {path} is; zip the content of the folder instead of the folder, or give that path"
            ),
        )
    )]
    Missing { file: String, elsewhere: Option<String> },
    #[error("the entry point {file} is not a regular file")]
    NotAFile { file: String },
    #[error(
        "the entry point {file} is not readable by its owner (mode {mode:o}); chmod 644 it before zipping"
    )]
    NotReadable { file: String, mode: u16 },
}

/// A name as it can be shown: escaped and of bounded length.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}
