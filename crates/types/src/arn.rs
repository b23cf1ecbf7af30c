use std::fmt;
use std::str::FromStr;

use crate::{AccountId, EndpointName, Region, RuntimeId};

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
