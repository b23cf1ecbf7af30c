//! Rollouts of endpoints: seen, begun and rolled back.

use std::collections::BTreeMap;

use coracle_store::Owner;
use coracle_types::{EndpointArn, InvocationTarget, ResourceStatus, VersionNumber};
use coracle_wire::Error;
use http::Response;
use serde_json::json;

use super::query::Query;
use super::{OperatorApi, answer};
use crate::control::refusal;
use crate::gateway::body::ResponseBody;
use crate::rollout::{CANARY_TAG, Canary, OLD_SESSIONS_TAG, OldSessions, Percent, Rollout};

impl OperatorApi {
    pub(super) async fn rollout(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let endpoint = endpoint(&mut query)?;
        query.no_others()?;
        self.described_rollout(&endpoint).await
    }

    pub(super) async fn set_rollout(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let endpoint = endpoint(&mut query)?;
        let version: Option<VersionNumber> = query.optional("version")?;
        let percent: Option<Percent> = query.optional("percent")?;
        let old_sessions: Option<OldSessions> = query.optional("oldSessions")?;
        query.no_others()?;
        let canary = match (version, percent) {
            (None, None) => None,
            (Some(version), Some(percent)) => Some(Canary { version, percent }),
            (Some(_), None) => {
                return Err(Error::validation_field(
                    "percent",
                    "Member is required with version",
                ));
            }
            (None, Some(_)) => {
                return Err(Error::validation_field(
                    "version",
                    "Member is required with percent",
                ));
            }
        };
        let mut tags = BTreeMap::new();
        if let Some(canary) = canary {
            self.require_ready(&endpoint, canary.version).await?;
            tags.insert(CANARY_TAG.to_owned(), canary.to_string());
        }
        if let Some(old_sessions) = old_sessions {
            tags.insert(OLD_SESSIONS_TAG.to_owned(), old_sessions.to_string());
        }
        let resource = InvocationTarget::Endpoint(endpoint.clone());
        self.store.tag(&resource, &tags).await.map_err(refusal)?;
        self.changed.wake();
        self.described_rollout(&endpoint).await
    }

    pub(super) async fn roll_back(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let endpoint = endpoint(&mut query)?;
        query.no_others()?;
        let resource = InvocationTarget::Endpoint(endpoint.clone());
        let keys = [CANARY_TAG.to_owned()];
        self.store.untag(&resource, &keys).await.map_err(refusal)?;
        self.changed.wake();
        self.described_rollout(&endpoint).await
    }

    async fn require_ready(&self, endpoint: &EndpointArn, version: VersionNumber) -> Result<(), Error> {
        let runtime = &endpoint.runtime;
        let found = self
            .store
            .runtime(&owner(endpoint), &runtime.runtime, Some(version))
            .await;
        let status = found.map_err(refusal)?.version.status;
        if status == ResourceStatus::Ready {
            Ok(())
        } else {
            Err(Error::conflict(format!(
                "Version {version} is in status {status}"
            )))
        }
    }

    async fn described_rollout(&self, endpoint: &EndpointArn) -> Result<Response<ResponseBody>, Error> {
        let (runtime, name) = (&endpoint.runtime.runtime, &endpoint.endpoint);
        let found = self
            .store
            .endpoint(&owner(endpoint), runtime, name)
            .await
            .map_err(refusal)?;
        let resource = InvocationTarget::Endpoint(endpoint.clone());
        let rollout = Rollout::of(&self.store.tags(&resource).await.map_err(refusal)?);
        let mut sessions: BTreeMap<String, usize> = BTreeMap::new();
        for session in self.supervisor.sessions() {
            if session.key.runtime == *runtime && session.key.endpoint == *name {
                *sessions.entry(session.version.to_string()).or_default() += 1;
            }
        }
        let canary = rollout
            .canary
            .map(|canary| json!({ "version": canary.version.get(), "percent": canary.percent.get() }));
        Ok(answer(&json!({
            "version": found.live_version.map(VersionNumber::get),
            "canary": canary,
            "oldSessions": rollout.old_sessions.to_string(),
            "sessions": sessions,
        })))
    }
}

fn endpoint(query: &mut Query<'_>) -> Result<EndpointArn, Error> {
    match query.required("endpoint")? {
        InvocationTarget::Endpoint(endpoint) => Ok(endpoint),
        InvocationTarget::Runtime(_) => Err(Error::validation_field(
            "endpoint",
            "Member must be the ARN of an endpoint",
        )),
    }
}

fn owner(endpoint: &EndpointArn) -> Owner {
    Owner {
        account: endpoint.runtime.account.clone(),
        region: endpoint.runtime.region.clone(),
    }
}
