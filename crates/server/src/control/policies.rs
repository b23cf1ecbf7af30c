//! Resource policies of runtimes and endpoints. They take effect in the data plane.

use coracle_auth::policy::Policy;
use coracle_types::InvocationTarget;
use coracle_wire::Error;
use coracle_wire::control::{
    DeleteResourcePolicyRequest, DeleteResourcePolicyResponse, GetResourcePolicyRequest,
    GetResourcePolicyResponse, PutResourcePolicyRequest, PutResourcePolicyResponse,
};

use super::{ControlPlane, owner, refusal, resource, view};
use crate::gateway::Caller;

impl ControlPlane {
    pub(super) async fn put_policy(
        &self,
        caller: &Caller,
        input: PutResourcePolicyRequest,
    ) -> Result<PutResourcePolicyResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        let policy = Policy::parse(&input.policy, &arn(&resource))
            .map_err(|error| Error::validation_field("policy", error.to_string()))?;
        let runtime = &resource.runtime().runtime;
        let stored = self.store.runtime(&owner(caller), runtime, None).await;
        let by_token = view::config(&stored.map_err(refusal)?)?
            .authorizer_configuration
            .is_some();
        if by_token && !policy.is_for_everybody() {
            return Err(Error::validation_field(
                "policy",
                "Principal must be \"*\" for an agent runtime with a customJWTAuthorizer",
            ));
        }
        self.store
            .put_policy(&resource, &input.policy)
            .await
            .map_err(refusal)?;
        self.reconciler.wake();
        tracing::info!(
            resource = input.resource_arn,
            principal = caller.principal,
            "policy put"
        );
        Ok(PutResourcePolicyResponse { policy: input.policy })
    }

    pub(super) async fn get_policy(
        &self,
        caller: &Caller,
        input: GetResourcePolicyRequest,
    ) -> Result<GetResourcePolicyResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        let policy = self.store.policy(&resource).await.map_err(refusal)?;
        let policy = policy.ok_or_else(|| Error::not_found("The resource has no policy"))?;
        Ok(GetResourcePolicyResponse { policy: Some(policy) })
    }

    pub(super) async fn delete_policy(
        &self,
        caller: &Caller,
        input: DeleteResourcePolicyRequest,
    ) -> Result<DeleteResourcePolicyResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        self.store.delete_policy(&resource).await.map_err(refusal)?;
        self.reconciler.wake();
        tracing::info!(
            resource = input.resource_arn,
            principal = caller.principal,
            "policy deleted"
        );
        Ok(DeleteResourcePolicyResponse {})
    }
}

/// The ARN of a runtime or endpoint.
pub(crate) fn arn(resource: &InvocationTarget) -> String {
    match resource {
        InvocationTarget::Runtime(arn) => arn.to_string(),
        InvocationTarget::Endpoint(arn) => arn.to_string(),
    }
}
