//! The control plane: runtimes, their versions and endpoints.

use coracle_types::{EndpointName, RuntimeId, RuntimeName, VersionNumber};
use coracle_wire::control::{
    AgentRuntime, AgentRuntimeEndpoint, CreateAgentRuntimeEndpointRequest, CreateAgentRuntimeRequest,
    CreateAgentRuntimeResponse, DeleteAgentRuntimeEndpointRequest, DeleteAgentRuntimeRequest,
    GetAgentRuntimeEndpointRequest, GetAgentRuntimeEndpointResponse, GetAgentRuntimeRequest,
    GetAgentRuntimeResponse, ListAgentRuntimeEndpointsRequest, ListAgentRuntimeVersionsRequest,
    ListAgentRuntimesRequest, UpdateAgentRuntimeEndpointRequest, UpdateAgentRuntimeRequest,
    UpdateAgentRuntimeResponse, operations,
};
use uuid::Uuid;

use super::{Client, ClientError, found};

/// Most pages of a list that are read: 100,000 entries.
const MAX_PAGES: usize = 1000;
const PAGE_SIZE: i32 = 100;

/// A token that makes a call happen once, however often it is sent.
pub(crate) fn client_token() -> Option<String> {
    Some(Uuid::new_v4().to_string())
}

impl Client {
    pub(crate) async fn create_runtime(
        &self,
        input: &CreateAgentRuntimeRequest,
    ) -> Result<CreateAgentRuntimeResponse, ClientError> {
        self.call::<operations::CreateAgentRuntime>(input).await
    }

    pub(crate) async fn update_runtime(
        &self,
        input: &UpdateAgentRuntimeRequest,
    ) -> Result<UpdateAgentRuntimeResponse, ClientError> {
        self.call::<operations::UpdateAgentRuntime>(input).await
    }

    /// A runtime as of one version, or of its newest; `None` if there is none.
    pub(crate) async fn runtime(
        &self,
        id: &RuntimeId,
        version: Option<VersionNumber>,
    ) -> Result<Option<GetAgentRuntimeResponse>, ClientError> {
        let input = GetAgentRuntimeRequest {
            agent_runtime_id: id.clone(),
            agent_runtime_version: version,
        };
        found(self.call::<operations::GetAgentRuntime>(&input).await)
    }

    /// Begins the deletion of a runtime with all its versions.
    pub(crate) async fn delete_runtime(&self, id: &RuntimeId) -> Result<(), ClientError> {
        let input = DeleteAgentRuntimeRequest {
            agent_runtime_id: id.clone(),
            agent_runtime_version: None,
            client_token: client_token(),
        };
        found(self.call::<operations::DeleteAgentRuntime>(&input).await).map(drop)
    }

    /// The runtime of this name, if there is one.
    pub(crate) async fn find_runtime(&self, name: &RuntimeName) -> Result<Option<AgentRuntime>, ClientError> {
        let mut found = None;
        self.each_page(async |next_token| {
            let input = ListAgentRuntimesRequest {
                max_results: Some(PAGE_SIZE),
                next_token,
            };
            let page = self.call::<operations::ListAgentRuntimes>(&input).await?;
            let mut runtimes = page.agent_runtimes.into_iter();
            found = runtimes.find(|item| item.agent_runtime_name == *name);
            Ok(page.next_token.filter(|_| found.is_none()))
        })
        .await?;
        Ok(found)
    }

    pub(crate) async fn endpoints(&self, id: &RuntimeId) -> Result<Vec<AgentRuntimeEndpoint>, ClientError> {
        let mut endpoints = Vec::new();
        self.each_page(async |next_token| {
            let input = ListAgentRuntimeEndpointsRequest {
                agent_runtime_id: id.clone(),
                max_results: Some(PAGE_SIZE),
                next_token,
            };
            let page = self.call::<operations::ListAgentRuntimeEndpoints>(&input).await?;
            endpoints.extend(page.runtime_endpoints);
            Ok(page.next_token)
        })
        .await?;
        Ok(endpoints)
    }

    /// Whether the control plane answers and accepts the credentials.
    pub(crate) async fn answers(&self) -> Result<(), ClientError> {
        let input = ListAgentRuntimesRequest {
            max_results: Some(1),
            next_token: None,
        };
        self.call::<operations::ListAgentRuntimes>(&input).await.map(drop)
    }

    /// Every version of a runtime.
    pub(crate) async fn versions(&self, id: &RuntimeId) -> Result<Vec<AgentRuntime>, ClientError> {
        let mut versions = Vec::new();
        self.each_page(async |next_token| {
            let input = ListAgentRuntimeVersionsRequest {
                agent_runtime_id: id.clone(),
                max_results: Some(PAGE_SIZE),
                next_token,
            };
            let page = self.call::<operations::ListAgentRuntimeVersions>(&input).await?;
            versions.extend(page.agent_runtimes);
            Ok(page.next_token)
        })
        .await?;
        Ok(versions)
    }

    /// Reads a list: `read` takes the token of a page and returns that of the next, or `None` to stop.
    async fn each_page(
        &self,
        mut read: impl AsyncFnMut(Option<String>) -> Result<Option<String>, ClientError>,
    ) -> Result<(), ClientError> {
        let mut next_token = None;
        for _ in 0..MAX_PAGES {
            next_token = read(next_token).await?;
            if next_token.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// An endpoint, if there is one of this name.
    pub(crate) async fn endpoint(
        &self,
        id: &RuntimeId,
        name: &EndpointName,
    ) -> Result<Option<GetAgentRuntimeEndpointResponse>, ClientError> {
        let input = GetAgentRuntimeEndpointRequest {
            agent_runtime_id: id.clone(),
            endpoint_name: name.clone().into(),
        };
        found(self.call::<operations::GetAgentRuntimeEndpoint>(&input).await)
    }

    /// Begins the creation of an endpoint.
    pub(crate) async fn create_endpoint(
        &self,
        id: &RuntimeId,
        name: &EndpointName,
        version: Option<VersionNumber>,
        description: Option<String>,
    ) -> Result<(), ClientError> {
        let input = CreateAgentRuntimeEndpointRequest {
            agent_runtime_id: id.clone(),
            name: name.clone().into(),
            agent_runtime_version: version,
            description,
            client_token: client_token(),
            tags: None,
        };
        self.call::<operations::CreateAgentRuntimeEndpoint>(&input)
            .await
            .map(drop)
    }

    /// Begins to point an endpoint at another version.
    pub(crate) async fn update_endpoint(
        &self,
        id: &RuntimeId,
        name: &EndpointName,
        version: Option<VersionNumber>,
        description: Option<String>,
    ) -> Result<(), ClientError> {
        let input = UpdateAgentRuntimeEndpointRequest {
            agent_runtime_id: id.clone(),
            endpoint_name: name.clone().into(),
            agent_runtime_version: version,
            description,
            client_token: client_token(),
        };
        self.call::<operations::UpdateAgentRuntimeEndpoint>(&input)
            .await
            .map(drop)
    }

    /// Begins the deletion of an endpoint.
    pub(crate) async fn delete_endpoint(
        &self,
        id: &RuntimeId,
        name: &EndpointName,
    ) -> Result<(), ClientError> {
        let input = DeleteAgentRuntimeEndpointRequest {
            agent_runtime_id: id.clone(),
            endpoint_name: name.clone().into(),
            client_token: client_token(),
        };
        found(self.call::<operations::DeleteAgentRuntimeEndpoint>(&input).await).map(drop)
    }
}
