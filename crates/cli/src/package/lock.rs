//! Which packages were chosen for an agent's requirements: a file for each Python and machine, written when they are
//! first resolved and followed from then on, so that the same project gives the same zip on every machine. It belongs
//! into version control. It no longer counts when the requirements have changed.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Request;

/// The first line of a lock, before the digest of the requirements that it answers.
const HEADER: &str = "# Written by `agentcore deploy`, for requirements with SHA-256 ";
/// Longer than any real lock, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A lock that may or may not have been written yet.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    digest: String,
}

impl Lock {
    /// The lock for these requirements on the target of this request.
    pub(super) fn new(request: &Request, requirements: &str) -> Self {
        let code = request.code.file_name().unwrap_or_default().to_string_lossy();
        let target = format!("{}-{}", request.runtime.interpreter(), request.arch.as_str());
        Self {
            path: request.locks.join(format!("{code}-{target}.txt")),
            digest: hex::encode(Sha256::digest(requirements)),
        }
    }

    /// The packages, as requirements of exact versions, if the lock was written for these requirements.
    pub(super) fn read(&self) -> io::Result<Option<String>> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > MAX_FILE => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let text = std::fs::read_to_string(&self.path)?;
        let Some((header, packages)) = text.split_once('\n') else {
            return Ok(None);
        };
        let is_current = header.strip_prefix(HEADER) == Some(self.digest.as_str());
        Ok(is_current.then(|| packages.to_owned()))
    }

    /// Writes down which packages were chosen.
    pub(super) fn write(&self, packages: &str) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let draft = tempfile::NamedTempFile::new_in(folder)?;
        std::fs::write(draft.path(), format!("{HEADER}{}\n{packages}", self.digest))?;
        draft.as_file().sync_all()?;
        draft.persist(&self.path)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What is installed in a folder, as requirements of exact versions: by the names and versions in its `.dist-info` folders, sorted.
pub(super) fn installed_packages(installed: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(installed)? {
        let name = entry?.file_name();
        let package = name.to_str().and_then(|name| name.strip_suffix(".dist-info"));
        if let Some((name, version)) = package.and_then(|package| package.rsplit_once('-')) {
            lines.push(format!("{name}=={version}\n"));
        }
    }
    lines.sort_unstable();
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use coracle_types::RuntimeKind;

    use super::*;
    use crate::package::Arch;

    fn lock(folder: &Path, requirements: &str) -> Lock {
        let request = Request {
            code: "/project/app/boat".into(),
            entry_file: "main.py".to_owned(),
            runtime: RuntimeKind::Python313,
            arch: Arch::X86_64,
            locks: folder.join("locks"),
            refresh: false,
        };
        Lock::new(&request, requirements)
    }

    #[test]
    fn a_lock_answers_only_the_requirements_it_was_written_for() {
        let folder = tempfile::tempdir().unwrap();
        let installed = folder.path().join("installed");
        for name in ["zoo-2.0.dist-info", "a_b-1.0.post1.dist-info", "a_b", "bin"] {
            std::fs::create_dir_all(installed.join(name)).unwrap();
        }
        let first = lock(folder.path(), "a-b\nzoo>=2\n");
        assert_eq!(first.read().unwrap(), None);
        let packages = installed_packages(&installed).unwrap();
        first.write(&packages).unwrap();
        assert_eq!(packages, "a_b==1.0.post1\nzoo==2.0\n");
        assert_eq!(first.read().unwrap(), Some(packages));
        assert!(first.path().ends_with("locks/boat-python3.13-x86_64.txt"));
        assert_eq!(lock(folder.path(), "a-b\n").read().unwrap(), None);
    }
}
