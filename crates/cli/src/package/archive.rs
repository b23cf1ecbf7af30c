//! Writes the zip so that the same files give the same bytes: sorted by name, one fixed time, modes reduced to
//! "executable or not", one compression level.

use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};

use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::PackageError;
use super::sources::{File, Files};

/// Longest first line of a script that is looked at, in bytes.
const MAX_FIRST_LINE: u64 = 512;

/// A finished zip.
pub(super) struct Archive {
    pub(super) file: TempPath,
    pub(super) sha256: String,
    pub(super) size: u64,
}

/// Writes a zip of these files to a temporary file.
///
/// # Errors
/// When a file cannot be read or the zip cannot be written.
pub(super) fn write(files: &Files) -> Result<Archive, PackageError> {
    let failed = |error: io::Error| PackageError::Write(error.into());
    let mut zip = ZipWriter::new(NamedTempFile::with_suffix(".zip").map_err(failed)?);
    for (name, file) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(6))
            .last_modified_time(DateTime::default())
            .unix_permissions(if file.executable { 0o755 } else { 0o644 });
        zip.start_file(name.as_str(), options)
            .map_err(|error| PackageError::Write(error.into()))?;
        copy(file, &mut zip)?;
    }
    let mut output = zip.finish().map_err(|error| PackageError::Write(error.into()))?;
    output.flush().map_err(failed)?;
    let size = output.stream_position().map_err(failed)?;
    let sha256 = digest(output.path()).map_err(failed)?;
    Ok(Archive {
        file: output.into_temp_path(),
        sha256,
        size,
    })
}

fn copy(file: &File, zip: &mut ZipWriter<NamedTempFile>) -> Result<(), PackageError> {
    let unreadable = |source| PackageError::Read {
        path: file.path.clone(),
        source,
    };
    let mut reader = fs::File::open(&file.path).map_err(unreadable)?;
    if file.is_command {
        let mut start = Vec::new();
        io::Read::by_ref(&mut reader)
            .take(MAX_FIRST_LINE)
            .read_to_end(&mut start)
            .map_err(unreadable)?;
        zip.write_all(&portable_interpreter(start))
            .map_err(|error| PackageError::Write(error.into()))?;
    }
    io::copy(&mut reader, zip)
        .map(drop)
        .map_err(|error| PackageError::Write(error.into()))
}

/// The start of a script, with a Python of this host in its first line replaced by the one on the path.
fn portable_interpreter(start: Vec<u8>) -> Vec<u8> {
    let Some(end) = start.iter().position(|&byte| byte == b'\n') else {
        return start;
    };
    let is_python = start.starts_with(b"#!") && start[..end].windows(6).any(|window| window == b"python");
    if is_python {
        [b"#!/usr/bin/env python3", &start[end..]].concat()
    } else {
        start
    }
}

fn digest(path: &std::path::Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_do_not_name_this_hosts_python() {
        let portable = |text: &str| String::from_utf8(portable_interpreter(text.into())).unwrap();
        assert_eq!(
            portable("#!/opt/py/bin/python3.11\nimport x\n"),
            "#!/usr/bin/env python3\nimport x\n"
        );
        assert_eq!(portable("#!/bin/sh\npython\n"), "#!/bin/sh\npython\n");
        assert_eq!(portable("\x7fELF python"), "\x7fELF python");
    }
}
