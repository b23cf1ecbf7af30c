//! What each operation is to those who act under a role: an action of IAM and the names of its resource.
//!
//! Keys and tokens are not asked here: a key may do everything in its account, a token opens one runtime. Of the data
//! plane only the target is known to whoever looks it up, so [`Caller::require`] is asked there, once for each action.
//! What can be judged before, is, so that who may do nothing sends no bodies and uses up nobody's rates. What the actions of
//! the S3 side are, that side knows.

use std::collections::BTreeMap;

use coracle_auth::policy::{ACTIONS, SERVICE_PREFIX};
use coracle_types::InvocationTarget;
use coracle_wire::control::{
    AgentRuntimeArtifact, Buffered as Control, Code, CreateAgentRuntimeRequest, FilesystemConfiguration,
    UpdateAgentRuntimeRequest,
};
use coracle_wire::data::{Buffered as Data, Streaming};
use coracle_wire::{Error, OPERATIONS, OperationId, Route, RouteError, Service, match_path};
use http::Method;
use http::request::Parts;

use super::{Caller, Proof};
use crate::control::arn;
use crate::data::{OPEN_SHELL, OPEN_WEBSOCKET, PASS_THROUGH, SHELLS, WEBSOCKET, is_session_url};
use crate::deploy::BUCKET_SCHEME;
use crate::s3;

const PASS_ROLE: &str = "iam:PassRole";
const TAG: &str = "bedrock-agentcore:TagResource";
const MOUNT_EFS: &str = "elasticfilesystem:ClientMount";
const MOUNT_S3_FILES: &str = "s3files:ClientMount";

/// Why an action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The role of who asks does not allow it.
    NotAllowedByRole,
    /// The resource is another account's, and its policies do not allow it.
    NotAllowedByResource,
    /// A policy of the resource denies it.
    DeniedByResource,
}

/// Every action that a role can be allowed here.
pub(crate) fn actions() -> impl Iterator<Item = String> {
    let control = OPERATIONS
        .iter()
        .filter(|operation| operation.service == Service::Control && operation.id.is_some())
        .map(|operation| operation.name);
    control
        .chain(ACTIONS)
        .map(|name| format!("{SERVICE_PREFIX}{name}"))
        .chain([PASS_ROLE, MOUNT_EFS, MOUNT_S3_FILES].map(str::to_owned))
        .chain(s3::ACTIONS.map(str::to_owned))
}

/// The resource of an operation that is judged before it is looked at any further; none where the data plane judges.
fn resource(caller: &Caller, route: &Route) -> Option<Vec<String>> {
    let label = |name| route.labels.get(name).unwrap_or_default();
    let runtime = |id| caller.runtime_arn(id);
    let names = match route.id {
        OperationId::Control(Control::CreateAgentRuntime | Control::ListAgentRuntimes) => vec![runtime("*")],
        OperationId::Control(
            Control::UpdateAgentRuntime
            | Control::GetAgentRuntime
            | Control::DeleteAgentRuntime
            | Control::ListAgentRuntimeVersions
            | Control::CreateAgentRuntimeEndpoint
            | Control::ListAgentRuntimeEndpoints,
        ) => vec![runtime(label("agentRuntimeId"))],
        OperationId::Control(
            Control::UpdateAgentRuntimeEndpoint
            | Control::GetAgentRuntimeEndpoint
            | Control::DeleteAgentRuntimeEndpoint,
        ) => {
            let runtime = runtime(label("agentRuntimeId"));
            let endpoint = format!("{runtime}/runtime-endpoint/{}", label("endpointName"));
            vec![runtime, endpoint]
        }
        OperationId::Control(
            Control::TagResource
            | Control::UntagResource
            | Control::ListTagsForResource
            | Control::PutResourcePolicy
            | Control::GetResourcePolicy
            | Control::DeleteResourcePolicy,
        ) => vec![named(label("resourceArn"))],
        OperationId::ControlStreaming(operation) => match operation {},
        OperationId::Data(Data::GetAgentCard | Data::StopRuntimeSession)
        | OperationId::DataStreaming(Streaming::InvokeAgentRuntime | Streaming::InvokeAgentRuntimeCommand) => {
            return None;
        }
    };
    Some(names)
}

/// The name of a runtime or endpoint, whichever way its ARN is written; of what is neither, the text.
fn named(text: &str) -> String {
    let parsed = text.parse::<InvocationTarget>();
    parsed.map_or_else(|_| text.to_owned(), |resource| arn(&resource))
}

impl Caller {
    /// Whether it may begin this, as far as the head of the request tells: of the data plane, whether it may do such a
    /// thing anywhere.
    pub(super) fn require_to_begin(
        &self,
        parts: &Parts,
        route: &Result<Route, RouteError>,
    ) -> Result<(), Error> {
        let target = parts.uri.path();
        let is = |path| parts.method == Method::GET && match_path(path, target).is_ok();
        match route {
            _ if is_session_url(&parts.uri) => self.require_anywhere(PASS_THROUGH),
            Ok(route) => match resource(self, route) {
                Some(names) => self.require(&format!("{SERVICE_PREFIX}{}", route.operation.name), &names),
                None => self.require_anywhere(route.operation.name),
            },
            Err(_) if is(WEBSOCKET) => self.require_anywhere(OPEN_WEBSOCKET),
            Err(_) if is(SHELLS) => self.require_anywhere(OPEN_SHELL),
            Err(_) => Ok(()),
        }
    }

    fn require_anywhere(&self, action: &str) -> Result<(), Error> {
        let action = format!("{SERVICE_PREFIX}{action}");
        match &self.proof {
            Proof::Role(session) if !session.permissions.mention(&action) => {
                Err(self.may_not(&action, &self.runtime_arn("*"), Why::NotAllowedByRole))
            }
            _ => Ok(()),
        }
    }

    /// Whether its role, if it acts under one, may do this with a resource that has these names, the most common first.
    ///
    /// # Errors
    /// `AccessDeniedException`, in the words of AWS.
    pub(crate) fn require(&self, action: &str, names: &[String]) -> Result<(), Error> {
        let Proof::Role(session) = &self.proof else {
            return Ok(());
        };
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        if session.permissions.allow(action, &all) {
            return Ok(());
        }
        let resource = all.first().copied().unwrap_or_default();
        Err(self.may_not(action, resource, Why::NotAllowedByRole))
    }

    /// The refusal of an action, in the words of AWS.
    pub(crate) fn may_not(&self, action: &str, resource: &str, why: Why) -> Error {
        let why = match why {
            Why::NotAllowedByRole => format!("because no identity-based policy allows the {action} action"),
            Why::NotAllowedByResource => {
                format!("because no resource-based policy allows the {action} action")
            }
            Why::DeniedByResource => "with an explicit deny in a resource-based policy".to_owned(),
        };
        Error::access_denied(format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} {why}",
            self.arn()
        ))
    }

    /// Whether it may make a runtime like this, which then may do what its role may, runs that code, has those folders, and
    /// has those tags.
    pub(crate) fn require_to_create(&self, input: &CreateAgentRuntimeRequest) -> Result<(), Error> {
        self.require_to_tag(input.tags.as_ref(), "*")?;
        self.require_to_mount(input.filesystem_configurations.as_deref())?;
        self.require_to_run(&input.role_arn, &input.agent_runtime_artifact)
    }

    /// Whether it may make something with these tags at a runtime with this id.
    pub(crate) fn require_to_tag(
        &self,
        tags: Option<&BTreeMap<String, String>>,
        runtime: &str,
    ) -> Result<(), Error> {
        if tags.is_none_or(BTreeMap::is_empty) {
            return Ok(());
        }
        self.require(TAG, &[self.runtime_arn(runtime)])
    }

    fn runtime_arn(&self, id: &str) -> String {
        let Self { region, account, .. } = self;
        format!("arn:aws:bedrock-agentcore:{region}:{account}:runtime/{id}")
    }

    /// As [`Self::require_to_create`], for a new version.
    pub(crate) fn require_to_update(&self, input: &UpdateAgentRuntimeRequest) -> Result<(), Error> {
        self.require_to_mount(input.filesystem_configurations.as_deref())?;
        self.require_to_run(&input.role_arn, &input.agent_runtime_artifact)
    }

    fn require_to_mount(&self, filesystems: Option<&[FilesystemConfiguration]>) -> Result<(), Error> {
        for filesystem in filesystems.unwrap_or_default() {
            let (action, access_point) = match filesystem {
                FilesystemConfiguration::EfsAccessPoint(it) => (MOUNT_EFS, &it.access_point_arn),
                FilesystemConfiguration::S3FilesAccessPoint(it) => (MOUNT_S3_FILES, &it.access_point_arn),
                FilesystemConfiguration::SessionStorage(_)
                | FilesystemConfiguration::CapacityProviderVolume(_) => continue,
            };
            self.require(action, std::slice::from_ref(access_point))?;
        }
        Ok(())
    }

    fn require_to_run(&self, role: &str, artifact: &AgentRuntimeArtifact) -> Result<(), Error> {
        self.require(PASS_ROLE, &[role.to_owned()])?;
        let (action, object) = match artifact {
            AgentRuntimeArtifact::CodeConfiguration(code) => {
                let Code::S3(place) = &code.code;
                let action = match place.version_id {
                    Some(_) => s3::READ_VERSION,
                    None => s3::READ_OBJECT,
                };
                (action, format!("{}/{}", place.bucket, place.prefix))
            }
            AgentRuntimeArtifact::ContainerConfiguration(container) => {
                match container.container_uri.strip_prefix(BUCKET_SCHEME) {
                    Some(object) => (s3::READ_OBJECT, object.to_owned()),
                    None => return Ok(()),
                }
            }
        };
        self.require(action, &[format!("arn:aws:s3:::{object}")])
    }
}
