//! Tags of runtimes and endpoints.

use coracle_wire::Error;
use coracle_wire::control::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};

use super::{ControlPlane, refusal, resource};
use crate::gateway::Caller;

impl ControlPlane {
    pub(super) async fn add_tags(
        &self,
        caller: &Caller,
        input: TagResourceRequest,
    ) -> Result<TagResourceResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        self.store.tag(&resource, &input.tags).await.map_err(refusal)?;
        self.reconciler.wake();
        Ok(TagResourceResponse {})
    }

    pub(super) async fn remove_tags(
        &self,
        caller: &Caller,
        input: UntagResourceRequest,
    ) -> Result<UntagResourceResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        self.store
            .untag(&resource, &input.tag_keys)
            .await
            .map_err(refusal)?;
        self.reconciler.wake();
        Ok(UntagResourceResponse {})
    }

    pub(super) async fn list_tags(
        &self,
        caller: &Caller,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Error> {
        let resource = resource(caller, &input.resource_arn)?;
        let tags = self.store.tags(&resource).await.map_err(refusal)?;
        Ok(ListTagsForResourceResponse { tags: Some(tags) })
    }
}
