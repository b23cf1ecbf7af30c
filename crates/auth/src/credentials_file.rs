//! The administrator's key on disk, in the shared-credentials format that every AWS tool reads:
//!
//! ```text
//! [default]
//! aws_access_key_id = CRCL…
//! aws_secret_access_key = …
//! ```
//!
//! The file is made once, as every [secret file](crate::secret_file).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::KeyPair;
use crate::secret_file::create_once;

/// More than any credentials file that AWS tools write.
const MAX_FILE: u64 = 64 * 1024;

/// Why the administrator's key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFileError {
    /// The file could not be read.
    #[error("cannot read the credentials file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file could not be made.
    #[error("cannot create the credentials file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file holds no usable key.
    #[error("the credentials file {path} is not usable: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, for a person.
        problem: &'static str,
    },
}

/// The key in the credentials file at `path`, which is made with a new key if it does not exist.
///
/// # Errors
/// When the file exists but holds no usable key, or on any error of the disk.
pub fn load_or_create(path: &Path) -> Result<KeyPair, CredentialsFileError> {
    match create_once(path, render(&KeyPair::generate()).as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(CredentialsFileError::Create {
                path: path.to_owned(),
                source,
            });
        }
    }
    read(path)
}

/// The key under `[default]` in the credentials file at `path`.
///
/// # Errors
/// When the file cannot be read or holds no usable key.
pub fn read(path: &Path) -> Result<KeyPair, CredentialsFileError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|source| CredentialsFileError::Read {
            path: path.to_owned(),
            source,
        })?;
    parse(&text).map_err(|problem| CredentialsFileError::Invalid {
        path: path.to_owned(),
        problem,
    })
}

fn render(key: &KeyPair) -> String {
    format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.access_key,
        key.secret.expose_secret()
    )
}

fn parse(text: &str) -> Result<KeyPair, &'static str> {
    let (mut access_key, mut secret) = (None, None);
    let mut in_default = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            in_default = section.trim_end_matches(']').trim() == "default";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| in_default) else {
            continue;
        };
        match name.trim() {
            "aws_access_key_id" => access_key = Some(value.trim()),
            "aws_secret_access_key" => secret = Some(value.trim()),
            _ => {}
        }
    }
    let access_key = access_key.ok_or("no aws_access_key_id under [default]")?;
    let secret = secret
        .filter(|secret| !secret.is_empty())
        .ok_or("no aws_secret_access_key under [default]")?;
    Ok(KeyPair {
        access_key: access_key.parse().map_err(|_| "aws_access_key_id is malformed")?,
        secret: SecretString::from(secret),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_then_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let first = load_or_create(&path).unwrap();
        let second = load_or_create(&path).unwrap();
        assert_eq!(first.access_key, second.access_key);
        assert_eq!(first.secret.expose_secret(), second.secret.expose_secret());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left behind"
        );
    }

    #[test]
    fn servers_that_start_together_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_create(&path).unwrap()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap().access_key)
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_without_a_usable_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        for text in [
            "",
            "[other]\naws_access_key_id=A\naws_secret_access_key=B\n",
            "[default]\naws_access_key_id = A\n",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(
                load_or_create(&path),
                Err(CredentialsFileError::Invalid { .. })
            ));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn what_people_write_by_hand_is_understood() {
        let key = parse("# mine\n[work]\naws_access_key_id=NO\n\n[default]\r\naws_access_key_id=AKID\n; x\naws_secret_access_key = a=b\nregion = x\n")
            .unwrap();
        assert_eq!(key.access_key.as_str(), "AKID");
        assert_eq!(key.secret.expose_secret(), "a=b");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "(?s).{0,200}") {
            drop(parse(&text));
        }
    }
}
