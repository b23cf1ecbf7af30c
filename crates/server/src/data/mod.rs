//! The data plane: invocations and the end of sessions.

mod environment;
mod failures;
mod headers;
mod invoke;
mod relay;
mod routes;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use coracle_supervisor::Supervisor;
use coracle_types::{EndpointName, InvocationTarget, RuntimeId};
use coracle_wire::Error;
use coracle_wire::data::{DataService, StopRuntimeSessionRequest, StopRuntimeSessionResponse};

pub use self::routes::{Resolution, Routes};
use crate::gateway::Caller;
use crate::metrics::Metrics;

/// Answers data-plane operations.
pub struct DataPlane {
    /// The sessions.
    pub supervisor: Supervisor,
    /// What serves where.
    pub routes: Arc<Routes>,
    /// How long an agent may take until the first byte of its answer.
    pub request_timeout: Duration,
    /// How long a streamed answer may take altogether.
    pub stream_timeout: Duration,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl DataService for DataPlane {
    type Context = Caller;

    async fn stop_runtime_session(
        &self,
        caller: &Caller,
        input: StopRuntimeSessionRequest,
    ) -> Result<StopRuntimeSessionResponse, Error> {
        self.stop(caller, input).await
    }
}

/// Which runtime and endpoint a request names: by the runtime's ARN and a qualifier, by an endpoint's ARN, or by
/// the runtime's id with the account beside it.
fn target(
    caller: &Caller,
    named: &str,
    qualifier: Option<&str>,
    account: Option<&str>,
) -> Result<(RuntimeId, EndpointName), Error> {
    let unknown_endpoint = || Error::not_found("The endpoint does not exist");
    let qualifier: Option<EndpointName> = qualifier
        .map(str::parse)
        .transpose()
        .map_err(|_| unknown_endpoint())?;
    if let Ok(target) = named.parse::<InvocationTarget>() {
        let arn = target.runtime();
        if arn.account != caller.account {
            return Err(Error::access_denied(format!(
                "User {} of account {} is not authorized to use {arn}",
                caller.principal, caller.account
            )));
        }
        if arn.region != caller.region {
            return Err(Error::not_found(format!(
                "{arn} does not exist in region {}",
                caller.region
            )));
        }
        let named_endpoint = match &target {
            InvocationTarget::Endpoint(endpoint) => Some(endpoint.endpoint.clone()),
            InvocationTarget::Runtime(_) => None,
        };
        let endpoint = qualifier
            .or(named_endpoint)
            .unwrap_or_else(EndpointName::default_endpoint);
        return Ok((arn.runtime.clone(), endpoint));
    }
    let Ok(id) = named.parse::<RuntimeId>() else {
        return Err(Error::validation_field(
            "agentRuntimeArn",
            "Member must be the ARN of an agent runtime, or its id together with accountId",
        ));
    };
    match account {
        None => Err(Error::validation_field(
            "accountId",
            "Member is required when agentRuntimeArn is an id",
        )),
        Some(account) if account != caller.account.as_str() => Err(Error::access_denied(format!(
            "Runtimes of account {account} are not open to this caller"
        ))),
        Some(_) => Ok((id, qualifier.unwrap_or_else(EndpointName::default_endpoint))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            account: "000000000000".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            principal: "administrator".to_owned(),
            request_id: "r".to_owned(),
        }
    }

    #[test]
    fn a_runtime_is_named_in_three_ways() {
        let arn = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";
        let endpoint = |named: &str, qualifier, account| {
            target(&caller(), named, qualifier, account)
                .unwrap()
                .1
                .as_str()
                .to_owned()
        };
        assert_eq!(endpoint(arn, None, None), "DEFAULT");
        assert_eq!(endpoint(arn, Some("prod"), None), "prod");
        assert_eq!(
            endpoint(&format!("{arn}/runtime-endpoint/test"), None, None),
            "test"
        );
        assert_eq!(
            endpoint("hello-AbCdEf0123", None, Some("000000000000")),
            "DEFAULT"
        );
    }

    #[test]
    fn what_is_not_the_callers_is_refused() {
        let status = |named: &str, qualifier, account| {
            target(&caller(), named, qualifier, account)
                .unwrap_err()
                .status()
                .as_u16()
        };
        let foreign = "arn:aws:bedrock-agentcore:us-east-1:111111111111:runtime/hello-AbCdEf0123";
        let elsewhere = "arn:aws:bedrock-agentcore:eu-west-1:000000000000:runtime/hello-AbCdEf0123";
        assert_eq!(status(foreign, None, None), 403);
        assert_eq!(status(elsewhere, None, None), 404);
        assert_eq!(status("nonsense", None, None), 400);
        assert_eq!(status("hello-AbCdEf0123", None, None), 400);
        assert_eq!(status("hello-AbCdEf0123", None, Some("111111111111")), 403);
        assert_eq!(
            status("hello-AbCdEf0123", Some("not a name"), Some("000000000000")),
            404
        );
    }
}
