//! Collects the files of a zip by their names in it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{PackageError, ignore_rules};

/// One file of the zip.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) executable: bool,
    /// Whether an interpreter named in its first line is this host's and means nothing elsewhere.
    pub(super) is_command: bool,
}

/// Files by their names in the zip, sorted.
pub(super) type Files = BTreeMap<String, File>;

/// Adds installed dependencies, without compiled code, which holds time stamps, and without what the project ignores;
/// says which of those were left out.
pub(super) fn add_dependencies(
    folder: &Path,
    code: &Path,
    files: &mut Files,
) -> Result<Vec<String>, PackageError> {
    let rules = ignore_rules::for_dependencies(folder, code)?;
    let mut left_out = Vec::new();
    let mut walk = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| walk_error(folder, error))?;
        let is_folder = entry.file_type().is_dir();
        let ignored = rules.matched(entry.path(), is_folder).is_ignore();
        if ignored {
            left_out.push(name_in_zip(folder, entry.path())? + if is_folder { "/" } else { "" });
        }
        if is_folder && (ignored || entry.file_name() == "__pycache__") {
            walk.skip_current_dir();
        } else if entry.file_type().is_file() && !ignored && !is_compiled(&entry) {
            let (name, mut file) = describe(folder, entry.path())?;
            file.is_command = name.starts_with("bin/");
            files.insert(name, file);
        }
    }
    Ok(left_out)
}

fn is_compiled(entry: &DirEntry) -> bool {
    let extension = Path::new(entry.file_name()).extension();
    extension.is_some_and(|extension| extension == "pyc")
}

/// Adds the agent's own files, which win over dependencies of the same name, and says what was left out. A link is
/// packaged as the file it leads to; one that leads to a folder or out of the code folder is left out.
pub(super) fn add_code(code: &Path, files: &mut Files) -> Result<Vec<String>, PackageError> {
    let rules = ignore_rules::for_code(code)?;
    let real_code = code.canonicalize().map_err(|source| PackageError::Read {
        path: code.to_owned(),
        source,
    })?;
    let mut left_out = Vec::new();
    let mut walk = WalkDir::new(code).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| walk_error(code, error))?;
        let is_folder = entry.file_type().is_dir();
        let packaged = if entry.file_type().is_symlink() {
            entry
                .path()
                .canonicalize()
                .is_ok_and(|real| real.is_file() && real.starts_with(&real_code))
        } else {
            is_folder || entry.file_type().is_file()
        };
        if !packaged || rules.matched(entry.path(), is_folder).is_ignore() {
            left_out.push(name_in_zip(code, entry.path())? + if is_folder { "/" } else { "" });
            if is_folder {
                walk.skip_current_dir();
            }
        } else if !is_folder {
            let (name, file) = describe(code, entry.path())?;
            files.insert(name, file);
        }
    }
    Ok(left_out)
}

fn describe(root: &Path, path: &Path) -> Result<(String, File), PackageError> {
    let metadata = std::fs::metadata(path).map_err(|source| PackageError::Read {
        path: path.to_owned(),
        source,
    })?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let file = File {
        path: path.to_owned(),
        size: metadata.len(),
        executable,
        is_command: false,
    };
    Ok((name_in_zip(root, path)?, file))
}

fn name_in_zip(root: &Path, path: &Path) -> Result<String, PackageError> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| PackageError::Name(path.to_owned()))
}

fn walk_error(folder: &Path, error: walkdir::Error) -> PackageError {
    PackageError::Read {
        path: error.path().unwrap_or(folder).to_owned(),
        source: error.into(),
    }
}
