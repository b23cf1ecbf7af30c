//! Where requests go and who signs them.
//!
//! For endpoint, region and credentials alike the first of these wins: command-line flag, project file, AWS
//! variables, AWS profile, by the rules of the AWS SDKs. Credentials and a region without any endpoint mean AWS itself. When they are
//! incomplete and a Coracle has been started on this machine by this user, that one is meant.
//!
//! [`resolve`] decides, from [`Inputs`] that [`crate::settings::files`] gathers; it does no I/O. A profile may name a
//! program that knows the keys; [`process`] asks it.

pub(crate) mod files;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_types::{Region, is_this_machine};
use reqwest::Url;
use secrecy::SecretString;

use self::files::{FileError, Profiles};
use self::process::ProcessError;
use crate::project::Target;

/// Where a Coracle on this machine listens unless told otherwise.
pub(crate) const LOCAL_ENDPOINT: &str = "http://127.0.0.1:4580";
const LOCAL_REGION: &str = "us-east-1";

/// Keys to sign with.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) access_key: String,
    pub(crate) secret_key: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// A Coracle that has been started on this machine by this user.
#[derive(Debug, Clone)]
pub(crate) struct LocalCoracle {
    pub(crate) credentials_file: PathBuf,
    pub(crate) keys: Keys,
}

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) endpoint_url: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    /// A bearer token says who calls, so keys may be missing.
    pub(crate) has_bearer_token: bool,
}

/// Everything a decision may depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    pub(crate) flags: Flags,
    pub(crate) target: Option<Target>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) profiles: Profiles,
    pub(crate) local: Option<LocalCoracle>,
    /// What the profile's `credential_process` said.
    pub(crate) from_process: Option<Keys>,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: String,
}

impl<T> Sourced<T> {
    fn new(value: T, source: impl Into<String>) -> Self {
        Self {
            value,
            source: source.into(),
        }
    }
}

/// One base URL for each service.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) control: Url,
    pub(crate) data: Url,
    pub(crate) s3: Url,
    pub(crate) sts: Url,
    /// Whether these are the host names of AWS.
    pub(crate) is_aws: bool,
}

/// The decision.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) endpoints: Sourced<Endpoints>,
    pub(crate) region: Sourced<Region>,
    /// Missing only where a bearer token says who calls.
    pub(crate) keys: Option<Sourced<Keys>>,
}

/// Why no decision could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("no credentials were found")]
    NoCredentials,
    #[error("no region is set")]
    NoRegion,
    #[error("there is no profile `{0}` in the AWS configuration files")]
    UnknownProfile(String),
    #[error("profile `{0}` has no access key")]
    ProfileWithoutKeys(String),
    #[error("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")]
    SecretMissing,
    #[error("{0} is not an http or https URL")]
    BadUrl(String),
    #[error("the region from {0} is not a region name")]
    BadRegion(String),
    #[error("the AWS configuration files cannot be read")]
    Files(#[from] FileError),
    #[error("the `credential_process` of profile `{profile}` gave no credentials")]
    Process {
        profile: String,
        #[source]
        source: ProcessError,
    },
}

impl Settings {
    /// Which settings won, without secrets.
    pub(crate) fn explain(&self) -> Vec<String> {
        let Endpoints {
            control, data, s3, ..
        } = &self.endpoints.value;
        let mut lines = vec![
            format!(
                "endpoint {control} (data {data}, s3 {s3}) from {}",
                self.endpoints.source
            ),
            format!("region {} from {}", self.region.value, self.region.source),
        ];
        if let Some(keys) = &self.keys {
            lines.push(format!(
                "access key {} from {}",
                keys.value.access_key, keys.source
            ));
        }
        lines
    }
}

impl SettingsError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoCredentials => "start a local server with `coracle serve`, or set AWS_ACCESS_KEY_ID and \
                AWS_SECRET_ACCESS_KEY, or name a profile with --profile"
                .to_owned(),
            Self::NoRegion => "pass --region or set AWS_REGION".to_owned(),
            Self::UnknownProfile(_) => "`aws configure list-profiles` lists those there are".to_owned(),
            Self::ProfileWithoutKeys(name) => format!(
                "for roles and single sign-on run `eval \"$(aws configure export-credentials --profile {name} \
                 --format env)\"` first"
            ),
            Self::Process { .. } => "run the command by hand to see what it says".to_owned(),
            Self::SecretMissing => "set both, or neither".to_owned(),
            Self::BadUrl(_) => format!("an endpoint looks like {LOCAL_ENDPOINT}"),
            Self::BadRegion(_) => "a region looks like us-east-1".to_owned(),
            Self::Files(_) => "make the file readable, or point AWS_CONFIG_FILE and \
                AWS_SHARED_CREDENTIALS_FILE at others"
                .to_owned(),
        }
    }
}

impl Inputs {
    fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The profile that is meant, and whether the user named it.
    fn profile(&self) -> (&str, bool) {
        self.flags
            .profile
            .as_deref()
            .or_else(|| self.variable("AWS_PROFILE"))
            .or_else(|| self.variable("AWS_DEFAULT_PROFILE"))
            .map_or(("default", false), |name| (name, true))
    }

    /// The command of the profile that is meant which prints keys, unless other keys come before it.
    fn credential_process(&self) -> Option<(&str, &str)> {
        let profile = self.profile().0;
        let by_variable = self.flags.profile.is_none() && self.variable("AWS_ACCESS_KEY_ID").is_some();
        if by_variable || self.profiles.keys(profile).is_some() {
            return None;
        }
        Some((profile, self.profiles.value(profile, "credential_process")?))
    }

    /// Asks the profile's program for keys, if they will be needed.
    ///
    /// # Errors
    /// When it gives none.
    pub(crate) fn ask_process(&mut self) -> Result<(), SettingsError> {
        if let Some((profile, command)) = self.credential_process() {
            let asked = process::keys(command);
            let keys = asked.map_err(|source| SettingsError::Process {
                profile: profile.to_owned(),
                source,
            })?;
            self.from_process = Some(keys);
        }
        Ok(())
    }

    fn explicit_keys(&self) -> Result<Option<Sourced<Keys>>, SettingsError> {
        let (profile, named) = self.profile();
        if named && !self.profiles.contains(profile) {
            return Err(SettingsError::UnknownProfile(profile.to_owned()));
        }
        if self.flags.profile.is_none()
            && let Some(access_key) = self.variable("AWS_ACCESS_KEY_ID")
        {
            let secret = self
                .variable("AWS_SECRET_ACCESS_KEY")
                .ok_or(SettingsError::SecretMissing)?;
            let keys = Keys {
                access_key: access_key.to_owned(),
                secret_key: secret.into(),
                session_token: self.variable("AWS_SESSION_TOKEN").map(Into::into),
            };
            return Ok(Some(Sourced::new(keys, "AWS_ACCESS_KEY_ID")));
        }
        match self.profiles.keys(profile).or_else(|| self.from_process.clone()) {
            Some(keys) => Ok(Some(Sourced::new(keys, format!("profile `{profile}`")))),
            None if named => Err(SettingsError::ProfileWithoutKeys(profile.to_owned())),
            None => Ok(None),
        }
    }

    fn explicit_region(&self) -> Option<Sourced<&str>> {
        let profile = self.profile().0;
        let target = self.target.as_ref().and_then(|target| target.region.as_deref());
        [
            (self.flags.region.as_deref(), "--region"),
            (target, "aws-targets.json"),
            (self.variable("AWS_REGION"), "AWS_REGION"),
            (self.variable("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"),
            (self.profiles.value(profile, "region"), "AWS profile"),
        ]
        .into_iter()
        .find_map(|(value, source)| Some(Sourced::new(value?, source)))
    }

    /// The endpoint set for one service, if any.
    fn explicit_endpoint(&self, service: &str) -> Option<Sourced<&str>> {
        let profile = self.profile().0;
        let target = self
            .target
            .as_ref()
            .and_then(|target| target.endpoint_url.as_deref());
        let variable = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase());
        let ours = [
            (self.flags.endpoint_url.as_deref(), "--endpoint-url"),
            (target, "aws-targets.json"),
        ];
        let configured = [
            (self.variable(&variable), variable.as_str()),
            (self.variable("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"),
            (self.profiles.endpoint(profile, service), "AWS profile"),
        ];
        let ignored = self.ignores_configured_endpoints();
        let configured = configured.into_iter().filter(|_| !ignored);
        ours.into_iter()
            .chain(configured)
            .find_map(|(value, source)| Some(Sourced::new(value?, source)))
    }

    fn ignores_configured_endpoints(&self) -> bool {
        let in_profile = || {
            self.profiles
                .value(self.profile().0, "ignore_configured_endpoint_urls")
        };
        let said = self
            .variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .or_else(in_profile);
        said.is_some_and(|said| said.eq_ignore_ascii_case("true"))
    }

    /// The endpoints that are set; whatever else is needed is at the same server, since Coracle is all of them.
    fn explicit_endpoints(&self) -> Result<Option<Sourced<Endpoints>>, SettingsError> {
        let data = self.explicit_endpoint("bedrock_agentcore");
        let control = self.explicit_endpoint("bedrock_agentcore_control");
        let Some(main) = control.as_ref().or(data.as_ref()).cloned() else {
            return Ok(None);
        };
        let url = |found: Option<Sourced<&str>>| {
            let found = found.unwrap_or_else(|| main.clone());
            parse_url(found.value, &found.source)
        };
        let endpoints = Endpoints {
            control: url(control)?,
            data: url(data)?,
            s3: url(self.explicit_endpoint("s3"))?,
            sts: url(self.explicit_endpoint("sts"))?,
            is_aws: false,
        };
        Ok(Some(Sourced::new(endpoints, main.source.clone())))
    }

    /// AWS's host names, but for what is set for S3 and STS.
    fn aws_endpoints(&self, region: &Region) -> Result<Endpoints, SettingsError> {
        let suffix = dns_suffix(region);
        let url = |service: &str| {
            let host = format!("https://{}.{region}.{suffix}", service.replace('_', "-"));
            let aws = Sourced::new(host.as_str(), "the region");
            let found = self.explicit_endpoint(service).unwrap_or(aws);
            parse_url(found.value, &found.source)
        };
        Ok(Endpoints {
            control: url("bedrock_agentcore_control")?,
            data: url("bedrock_agentcore")?,
            s3: url("s3")?,
            sts: url("sts")?,
            is_aws: true,
        })
    }
}

/// Decides where requests go and who signs them.
///
/// # Errors
/// When nothing says, or what says it is malformed.
pub(crate) fn resolve(inputs: &Inputs) -> Result<Settings, SettingsError> {
    let keys = inputs.explicit_keys()?;
    let region = inputs.explicit_region().map(checked_region).transpose()?;
    let local_region = || Sourced::new(local_region(), "Coracle's default");
    if let Some(endpoints) = inputs.explicit_endpoints()? {
        let local = inputs
            .local
            .as_ref()
            .filter(|_| is_loopback(&endpoints.value.control));
        let keys = keys.or_else(|| local.map(local_keys));
        if keys.is_none() && !inputs.flags.has_bearer_token {
            return Err(SettingsError::NoCredentials);
        }
        return Ok(Settings {
            endpoints,
            region: region.unwrap_or_else(local_region),
            keys,
        });
    }
    match (keys, region, &inputs.local) {
        (keys, Some(region), local) if keys.is_some() || inputs.flags.has_bearer_token && local.is_none() => {
            let endpoints = Sourced::new(inputs.aws_endpoints(&region.value)?, "AWS host names");
            Ok(Settings {
                endpoints,
                region,
                keys,
            })
        }
        (_, region, Some(local)) => Ok(Settings {
            endpoints: Sourced::new(single_endpoint(parse_url(LOCAL_ENDPOINT, "")?), "local Coracle"),
            region: region.unwrap_or_else(local_region),
            keys: Some(local_keys(local)),
        }),
        (Some(_), _, None) => Err(SettingsError::NoRegion),
        (None, _, None) => Err(SettingsError::NoCredentials),
    }
}

fn local_keys(local: &LocalCoracle) -> Sourced<Keys> {
    Sourced::new(local.keys.clone(), local.credentials_file.display().to_string())
}

fn checked_region(found: Sourced<&str>) -> Result<Sourced<Region>, SettingsError> {
    match found.value.parse() {
        Ok(region) => Ok(Sourced {
            value: region,
            source: found.source,
        }),
        Err(_) => Err(SettingsError::BadRegion(found.source)),
    }
}

#[expect(clippy::expect_used, reason = "the text is a constant of this module")]
fn local_region() -> Region {
    LOCAL_REGION.parse().expect("a region name")
}

fn parse_url(text: &str, source: &str) -> Result<Url, SettingsError> {
    let bad = || SettingsError::BadUrl(format!("the endpoint from {source}"));
    let url: Url = text.parse().map_err(|_| bad())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(bad())
    }
}

fn single_endpoint(url: Url) -> Endpoints {
    Endpoints {
        control: url.clone(),
        data: url.clone(),
        s3: url.clone(),
        sts: url,
        is_aws: false,
    }
}

/// What the host names of a region end in: each of AWS's partitions has its own.
fn dns_suffix(region: &Region) -> &'static str {
    let partition = |prefix: &&(&str, &str)| region.as_str().starts_with(prefix.0);
    let partitions = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-iso-", "c2s.ic.gov"),
    ];
    partitions
        .iter()
        .find(partition)
        .map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// Whether the URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_this_machine)
}

#[cfg(test)]
mod tests;
