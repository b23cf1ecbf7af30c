//! Where requests go and who signs them.
//!
//! For endpoint, region and credentials alike the first of these wins: command-line flag, project file, AWS
//! variables, AWS profile. Credentials and a region without any endpoint mean AWS itself. When they are
//! incomplete and a Coracle has been started on this machine by this user, that one is meant.
//!
//! [`resolve`] decides, from [`Inputs`] that [`crate::settings::files`] gathers; it does no I/O.

pub(crate) mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_types::Region;
use reqwest::Url;
use secrecy::SecretString;

use self::files::{FileError, Profiles};
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
            .map_or(("default", false), |name| (name, true))
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
        match self.profiles.keys(profile) {
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
    fn explicit_endpoint(&self, service_variable: &str) -> Option<Sourced<&str>> {
        let profile = self.profile().0;
        let target = self
            .target
            .as_ref()
            .and_then(|target| target.endpoint_url.as_deref());
        [
            (self.flags.endpoint_url.as_deref(), "--endpoint-url"),
            (target, "aws-targets.json"),
            (self.variable(service_variable), service_variable),
            (self.variable("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"),
            (self.profiles.value(profile, "endpoint_url"), "AWS profile"),
        ]
        .into_iter()
        .find_map(|(value, source)| Some(Sourced::new(value?, source)))
    }

    fn explicit_endpoints(&self) -> Result<Option<Sourced<Endpoints>>, SettingsError> {
        let data = self.explicit_endpoint("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE");
        let control = self.explicit_endpoint("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL");
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
            s3: url(self.explicit_endpoint("AWS_ENDPOINT_URL_S3"))?,
            sts: url(self.explicit_endpoint("AWS_ENDPOINT_URL_STS"))?,
            is_aws: false,
        };
        Ok(Some(Sourced::new(endpoints, main.source.clone())))
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
            let endpoints = Sourced::new(aws_endpoints(&region.value)?, "AWS host names");
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

fn aws_endpoints(region: &Region) -> Result<Endpoints, SettingsError> {
    let suffix = if region.as_str().starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    let url = |service: &str| parse_url(&format!("https://{service}.{region}.{suffix}"), "the region");
    Ok(Endpoints {
        control: url("bedrock-agentcore-control")?,
        data: url("bedrock-agentcore")?,
        s3: url("s3")?,
        sts: url("sts")?,
        is_aws: true,
    })
}

/// Whether the URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
