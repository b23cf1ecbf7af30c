//! Waiting until a runtime has come to rest.

use std::time::Duration;

use coracle_types::{EndpointName, ResourceStatus, RuntimeId};
use coracle_wire::control::{GetAgentRuntimeEndpointResponse, GetAgentRuntimeResponse};
use tokio::time::Instant;

use super::Context;
use crate::failure::Failure;
use crate::output::Progress;

const FIRST_POLL: Duration = Duration::from_millis(100);
const SLOWEST_POLL: Duration = Duration::from_secs(1);

fn is_moving(status: ResourceStatus) -> bool {
    matches!(
        status,
        ResourceStatus::Creating | ResourceStatus::Updating | ResourceStatus::Deleting
    )
}

/// Polls until neither the runtime nor its `DEFAULT` endpoint is changing; `None` once it is gone.
pub(super) async fn until_settled(
    context: &Context<'_>,
    id: &RuntimeId,
    timeout: Duration,
) -> Result<Option<GetAgentRuntimeResponse>, Failure> {
    let started = Instant::now();
    let mut progress: Option<Progress> = None;
    let mut pause = FIRST_POLL;
    loop {
        let Some(runtime) = context.client.runtime(id, None).await? else {
            return Ok(None);
        };
        let mut status = runtime.status;
        if status == ResourceStatus::Ready {
            let endpoints = context.client.endpoints(id).await?;
            let default = endpoints
                .iter()
                .find(|endpoint| endpoint.name.as_str() == EndpointName::DEFAULT);
            status = default.map_or(status, |endpoint| endpoint.status);
        }
        if !is_moving(status) {
            return Ok(Some(runtime));
        }
        if started.elapsed() + pause > timeout {
            return Err(Failure::TooSlow {
                name: id.to_string(),
                status,
                waited: started.elapsed(),
            });
        }
        let text = format!("{id} is {status}");
        match &mut progress {
            Some(progress) => progress.now(&text),
            None => progress = Some(context.printer.working(&text)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOWEST_POLL);
    }
}

/// Polls until the runtime has no endpoints but `DEFAULT`.
pub(super) async fn until_endpoints_gone(
    context: &Context<'_>,
    id: &RuntimeId,
    timeout: Duration,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = FIRST_POLL;
    loop {
        let endpoints = context.client.endpoints(id).await?;
        let Some(left) = endpoints.iter().find(|endpoint| !endpoint.name.is_default()) else {
            return Ok(());
        };
        let name = format!("endpoint {}", left.name.as_str());
        if !is_moving(left.status) {
            let reason = "it could not be deleted".to_owned();
            return Err(Failure::Refused {
                name,
                status: left.status,
                reason,
            });
        }
        if started.elapsed() + pause > timeout {
            return Err(Failure::TooSlow {
                name,
                status: left.status,
                waited: started.elapsed(),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOWEST_POLL);
    }
}

/// Polls until the endpoint is not changing; `None` once it is gone.
pub(super) async fn until_endpoint_settled(
    context: &Context<'_>,
    id: &RuntimeId,
    name: &EndpointName,
    timeout: Duration,
) -> Result<Option<GetAgentRuntimeEndpointResponse>, Failure> {
    let started = Instant::now();
    let mut progress: Option<Progress> = None;
    let mut pause = FIRST_POLL;
    loop {
        let Some(endpoint) = context.client.endpoint(id, name).await? else {
            return Ok(None);
        };
        if !is_moving(endpoint.status) {
            return Ok(Some(endpoint));
        }
        if started.elapsed() + pause > timeout {
            return Err(Failure::TooSlow {
                name: format!("endpoint {name}"),
                status: endpoint.status,
                waited: started.elapsed(),
            });
        }
        let text = format!("Endpoint {name} is {}", endpoint.status);
        match &mut progress {
            Some(progress) => progress.now(&text),
            None => progress = Some(context.printer.working(&text)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOWEST_POLL);
    }
}
