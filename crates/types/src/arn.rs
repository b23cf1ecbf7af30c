use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AccountId, EndpointName, Region, RuntimeId};

/// Longest name of a role, and longest path before it.
const MAX_ROLE_NAME: usize = 64;
const MAX_ROLE_PATH: usize = 512;

/// Text that is not an ARN of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the ARN of a {expected}")]
pub struct ArnError {
    /// The kind of resource that was expected.
    pub expected: &'static str,
}

/// `arn:aws:bedrock-agentcore:<region>:<account>:runtime/<runtime id>`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuntimeArn {
    /// Where the runtime lives.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Which it is.
    pub runtime: RuntimeId,
}

/// `<runtime ARN>/runtime-endpoint/<endpoint name>`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointArn {
    /// The runtime the endpoint belongs to.
    pub runtime: RuntimeArn,
    /// The endpoint.
    pub endpoint: EndpointName,
}

/// What a data-plane path names: a runtime, and an endpoint if the caller passed an endpoint's ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvocationTarget {
    /// A runtime ARN.
    Runtime(RuntimeArn),
    /// An endpoint ARN.
    Endpoint(EndpointArn),
}

impl InvocationTarget {
    /// The runtime that is addressed.
    pub fn runtime(&self) -> &RuntimeArn {
        match self {
            Self::Runtime(arn) => arn,
            Self::Endpoint(arn) => &arn.runtime,
        }
    }
}

impl FromStr for RuntimeArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        parse(text).ok_or(ArnError { expected: "runtime" })
    }
}

fn parse(text: &str) -> Option<RuntimeArn> {
    let mut parts = text.splitn(6, ':');
    if parts.next()? != "arn" {
        return None;
    }
    let partition = parts.next()?;
    if partition != "aws" && !partition.starts_with("aws-") {
        return None;
    }
    if parts.next()? != "bedrock-agentcore" {
        return None;
    }
    let region = parts.next()?.parse().ok()?;
    let account = parts.next()?.parse().ok()?;
    let runtime = parts.next()?.strip_prefix("runtime/")?.parse().ok()?;
    Some(RuntimeArn {
        region,
        account,
        runtime,
    })
}

impl FromStr for EndpointArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = ArnError {
            expected: "runtime endpoint",
        };
        let (runtime, endpoint) = text.split_once("/runtime-endpoint/").ok_or(error.clone())?;
        Ok(Self {
            runtime: runtime.parse().map_err(|_| error.clone())?,
            endpoint: endpoint.parse().map_err(|_| error)?,
        })
    }
}

impl FromStr for InvocationTarget {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        text.parse()
            .map(Self::Runtime)
            .or_else(|error| text.parse().map(Self::Endpoint).map_err(|_: ArnError| error))
    }
}

/// `arn:aws:iam::<account>:role/<path><name>`, of the letters, digits and signs that IAM takes in role names and paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    text: String,
    account: AccountId,
}

impl RoleArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose role it is.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The role's name, without its path.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = ArnError { expected: "role" };
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, role] = parts[..] else {
            return Err(error);
        };
        let path = role.strip_prefix("role/").ok_or(error.clone())?;
        let (path, name) = path.rsplit_once('/').unwrap_or(("", path));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        let is_role = (partition == "aws" || partition.starts_with("aws-"))
            && partition.bytes().all(plain)
            && (1..=MAX_ROLE_NAME).contains(&name.len())
            && name.bytes().all(plain)
            && path.len() <= MAX_ROLE_PATH
            && path.bytes().all(|byte| byte == b'/' || plain(byte));
        let account = account.parse().map_err(|_| error.clone())?;
        if is_role {
            Ok(Self {
                text: text.to_owned(),
                account,
            })
        } else {
            Err(error)
        }
    }
}

impl TryFrom<String> for RoleArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.text
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for RuntimeArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:aws:bedrock-agentcore:{}:{}:runtime/{}",
            self.region, self.account, self.runtime
        )
    }
}

impl fmt::Display for EndpointArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/runtime-endpoint/{}", self.runtime, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_survive_a_round_trip() {
        let text = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";
        let arn: RuntimeArn = text.parse().unwrap();
        assert_eq!(arn.to_string(), text);
        let endpoint: EndpointArn = format!("{text}/runtime-endpoint/prod").parse().unwrap();
        assert_eq!(endpoint.endpoint.as_str(), "prod");
        assert_eq!(endpoint.runtime, arn);
    }

    #[test]
    fn a_role_has_an_account_and_a_name_that_nothing_has_to_escape() {
        let arn: RoleArn = "arn:aws:iam::000000000000:role/team/front".parse().unwrap();
        assert_eq!((arn.account().as_str(), arn.name()), ("000000000000", "front"));
        assert_eq!(arn.to_string(), "arn:aws:iam::000000000000:role/team/front");
        for bad in [
            "arn:aws:iam:::role/front",
            "arn:aws:iam::000000000000:user/front",
            "arn:aws:iam::000000000000:role/",
            "arn:aws:iam::000000000000:role/team/",
            "arn:aws:iam::000000000000:role/<front>",
            "arn:aws:iam::000000000000:role/fr*nt",
            "arn:aws:sts::000000000000:role/front",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn other_services_and_shapes_are_refused() {
        for bad in [
            "",
            "arn:aws:s3:us-east-1:000000000000:runtime/hello-AbCdEf0123",
            "arn:aws:bedrock-agentcore:us-east-1:0:runtime/hello-AbCdEf0123",
            "arn:aws:bedrock-agentcore:us-east-1:000000000000:agent/hello-AbCdEf0123",
            "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello",
        ] {
            assert!(bad.parse::<InvocationTarget>().is_err(), "{bad:?} was accepted");
        }
    }
}
