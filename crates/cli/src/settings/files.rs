//! Reads what [`super::resolve`] decides on: variables, the shared AWS files, and the credentials a local
//! Coracle wrote at its first start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Flags, Inputs, Keys, LocalCoracle};
use crate::project::Target;

/// More than any real configuration file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A configuration file that is there but cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be read", path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Sections of an AWS shared configuration file, and their values.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// The profiles of the shared credentials and configuration files, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profiles {
    sections: Sections,
    /// The sections `services`, which profiles name.
    services: Sections,
}

impl Profiles {
    /// Puts the two files together; where both have a value the credentials file wins.
    pub(crate) fn parse(credentials: &str, config: &str) -> Self {
        let mut sections = Sections::new();
        let mut services = Sections::new();
        for (name, values) in parse_sections(config) {
            if let Some(name) = name.strip_prefix("services ") {
                services.insert(name.trim().to_owned(), values);
            } else if let Some(name) = name
                .strip_prefix("profile ")
                .or((name == "default").then_some("default"))
            {
                sections.entry(name.trim().to_owned()).or_default().extend(values);
            }
        }
        for (name, values) in parse_sections(credentials) {
            sections.entry(name).or_default().extend(values);
        }
        Self { sections, services }
    }

    /// The endpoint that a profile names for one service, or for all.
    pub(crate) fn endpoint(&self, profile: &str, service: &str) -> Option<&str> {
        let of_service = || {
            let services = self.services.get(self.value(profile, "services")?)?;
            services
                .get(&format!("{service}.endpoint_url"))
                .map(String::as_str)
        };
        of_service().or_else(|| self.value(profile, "endpoint_url"))
    }

    pub(crate) fn contains(&self, profile: &str) -> bool {
        self.sections.contains_key(profile)
    }

    pub(crate) fn value(&self, profile: &str, key: &str) -> Option<&str> {
        self.sections
            .get(profile)?
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn keys(&self, profile: &str) -> Option<Keys> {
        Some(Keys {
            access_key: self.value(profile, "aws_access_key_id")?.to_owned(),
            secret_key: self.value(profile, "aws_secret_access_key")?.into(),
            session_token: self.value(profile, "aws_session_token").map(Into::into),
        })
    }
}

/// Sections, `key = value` lines, whole-line comments. An indented line below `outer =` is a value of its own,
/// `outer.key`.
fn parse_sections(text: &str) -> Sections {
    let mut sections = Sections::new();
    let mut current: Option<&mut BTreeMap<String, String>> = None;
    let mut outer = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let (Some(values), Some((key, value))) = (current.as_mut(), line.split_once('=')) {
                let key = format!("{outer}.{}", key.trim().to_ascii_lowercase());
                values.insert(key, value.trim().to_owned());
            }
        } else if let Some(name) = line
            .trim_end()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            current = Some(sections.entry(name.trim().to_owned()).or_default());
        } else if let (Some(values), Some((key, value))) = (current.as_mut(), line.split_once('=')) {
            outer = key.trim().to_ascii_lowercase();
            values.insert(outer.clone(), value.trim().to_owned());
        }
    }
    sections
}

/// Gathers everything a decision may depend on.
///
/// # Errors
/// When a configuration file is there but cannot be read.
pub(crate) fn gather(
    flags: Flags,
    target: Option<Target>,
    environment: BTreeMap<String, String>,
) -> Result<Inputs, FileError> {
    let variable = |name: &str| {
        environment
            .get(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = variable("HOME").unwrap_or_default();
    let credentials =
        variable("AWS_SHARED_CREDENTIALS_FILE").unwrap_or_else(|| home.join(".aws/credentials"));
    let config = variable("AWS_CONFIG_FILE").unwrap_or_else(|| home.join(".aws/config"));
    let profiles = Profiles::parse(
        &read_if_there(&credentials)?.unwrap_or_default(),
        &read_if_there(&config)?.unwrap_or_default(),
    );
    let data = variable("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
    let local_file = data.join("coracle/credentials");
    let local = read_if_there(&local_file)?
        .and_then(|text| Profiles::parse(&text, "").keys("default"))
        .map(|keys| LocalCoracle {
            credentials_file: local_file,
            keys,
        });
    Ok(Inputs {
        flags,
        target,
        environment,
        profiles,
        local,
        from_process: None,
    })
}

fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    let failed = |source| FileError {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE => Err(failed(std::io::ErrorKind::FileTooLarge.into())),
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
