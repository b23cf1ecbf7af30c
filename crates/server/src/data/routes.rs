//! Which version serves where, and what sessions of it run.
//!
//! A look-up is remembered until the control plane changes anything at all, which is rare next to invocations.
//! What is read while a change happens is used but not remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_artifact::code::{CodeStore, CodeStoreError, StoredCode};
use coracle_auth::policy::Policy;
use coracle_store::{Owner, RuntimeVersion, Session, Store, StoreError};
use coracle_supervisor::driver::{
    AgentSpec, CodeArtifact, CodeProgram, ImageProgram, Program, Serving, TemplateSpec,
};
use coracle_supervisor::{Caps, SessionSpec};
use coracle_types::{
    EndpointArn, EndpointName, InvocationTarget, ResourceStatus, RuntimeId, SessionId, VersionNumber,
};
use coracle_wire::Error;
use coracle_wire::control::{
    AgentRuntimeArtifact, AuthorizerConfiguration, CodeConfiguration, CustomJWTAuthorizerConfiguration,
};
use http::Uri;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::target::{Policies, Target};
use super::{caps, environment, hibernation, restore_hook};
use crate::control::version::{AllowedPorts, VersionConfig};
use crate::control::{arn, refusal};
use crate::egress::EgressConfig;
use crate::folders::Folders;
use crate::roles::Roles;
use crate::rollout::{Canary, Rollout};

/// Most look-ups remembered; beyond it the memory starts over.
const REMEMBERED: usize = 10_000;

/// What making a version ready pinned, so that all its sessions run the same. Stored with the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Resolution {
    /// Of code.
    Code {
        /// SHA-256 of the code zip in hexadecimal.
        code_digest: String,
    },
    /// Of a container image.
    Image {
        /// SHA-256 of the image's manifest in hexadecimal.
        image_digest: String,
    },
}

/// A version at an endpoint, ready to be run.
#[derive(Debug)]
pub(super) struct Served {
    /// What its sessions run.
    pub(super) spec: Arc<SessionSpec>,
    /// Where its agent takes invocations.
    pub(super) path: Uri,
    /// Names of further headers that its agent sees.
    pub(super) allowed_headers: Vec<String>,
    /// The ports that its sessions' URLs reach.
    pub(super) allowed_ports: AllowedPorts,
    /// Whose tokens it takes; `None` if it takes signatures.
    pub(super) authorizer: Option<CustomJWTAuthorizerConfiguration>,
    /// Who else may use it, and who may not.
    pub(super) policies: Policies,
    /// The version that a share of the new sessions begins with instead.
    canary: Option<Canary>,
}

type Key = (Owner, RuntimeId, EndpointName, Option<VersionNumber>);

/// What the operator says of all versions.
#[derive(Debug, Clone, Default)]
pub struct RouteSettings {
    /// The URL under which agents reach this server.
    pub public_url: Option<String>,
    /// The URL under which clients reach this server, for the cards of A2A agents.
    pub client_url: String,
    /// How long an agent may take until its first healthy ping, instead of its platform version's own time.
    pub init_timeout: Option<Duration>,
    /// Whether versions of platform V2 get templates.
    pub snapshots: bool,
    /// When idle sessions are hibernated, unless a runtime's tags say something else.
    pub hibernate_after: Option<Duration>,
    /// The most that each session may use.
    pub session_caps: Caps,
    /// The most that all sessions of a runtime together may use within a day.
    pub runtime_caps: Caps,
    /// What sandboxes may reach outside, unless a runtime's tags say less.
    pub egress: EgressConfig,
    /// What agents can mount.
    pub folders: Folders,
    /// The URL under which agents that have a role here reach this server, whatever else they reach.
    pub door_url: Option<String>,
}

/// The look-ups.
pub struct Routes {
    store: Store,
    code: CodeStore,
    settings: RouteSettings,
    roles: Roles,
    memory: Mutex<Memory>,
    changed: Notify,
}

#[derive(Default)]
struct Memory {
    /// How many changes there have been.
    changes: u64,
    served: HashMap<Key, Arc<Served>>,
}

/// What is said of an endpoint that has never served a version: that one is on its way, or that there is none.
fn serves_nothing(endpoint: &EndpointName, status: ResourceStatus) -> Error {
    let text = format!("The endpoint {endpoint} serves no version: it is in status {status}");
    match status {
        ResourceStatus::Creating | ResourceStatus::Updating => Error::retryable_conflict(text),
        _ => Error::not_found(text),
    }
}

impl Routes {
    /// Look-ups in this store.
    pub fn new(store: Store, code: CodeStore, settings: RouteSettings, roles: Roles) -> Self {
        Self {
            store,
            code,
            settings,
            roles,
            memory: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Forgets everything: the control plane has changed something.
    pub fn forget(&self) {
        let mut memory = self.memory();
        memory.changes += 1;
        memory.served.clear();
        self.changed.notify_one();
    }

    /// Waits until something has been forgotten since the last call. For one task.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What sessions of an endpoint begin with, and the share of them that does, in percent. The endpoint's version comes
    /// first, then its canary, if that can be served.
    ///
    /// # Errors
    /// When the endpoint serves nothing.
    pub(crate) async fn sessions_begin_with(
        &self,
        owner: &Owner,
        runtime: &RuntimeId,
        endpoint: &EndpointName,
    ) -> Result<Vec<(Arc<SessionSpec>, u8)>, Error> {
        let served = self.find(owner, runtime, endpoint, None).await?;
        let spec = Arc::clone(&served.spec);
        let canary = served.canary.filter(|canary| canary.version != spec.version);
        let Some(Canary { version, percent }) = canary else {
            return Ok(vec![(spec, 100)]);
        };
        let percent = percent.get();
        let found = self.find(owner, runtime, endpoint, Some(version)).await;
        Ok(match found {
            Ok(canary) => vec![(spec, 100 - percent), (Arc::clone(&canary.spec), percent)],
            // Passed over, as it is when a session begins.
            Err(_) => vec![(spec, 100)],
        })
    }

    /// The version that a session of this endpoint would begin with now.
    ///
    /// # Errors
    /// When the endpoint serves nothing.
    pub(crate) async fn version_to_begin_with(
        &self,
        endpoint: &EndpointArn,
        session: &SessionId,
    ) -> Result<VersionNumber, Error> {
        let target = Target::of_arn(InvocationTarget::Endpoint(endpoint.clone()), None);
        let served = self
            .find(&target.owner, &target.runtime, &target.endpoint, None)
            .await?;
        Ok(self.to_begin_with(&target, session, served).await.spec.version)
    }

    /// What a session begins with at an endpoint that serves this: that, or its canary.
    pub(super) async fn to_begin_with(
        &self,
        target: &Target,
        session: &SessionId,
        served: Arc<Served>,
    ) -> Arc<Served> {
        let canary = served
            .canary
            .filter(|canary| canary.takes(&target.runtime, session));
        let Some(Canary { version, .. }) = canary else {
            return served;
        };
        let found = self
            .find(&target.owner, &target.runtime, &target.endpoint, Some(version))
            .await;
        found.unwrap_or_else(|error| {
            let (runtime, error) = (&target.runtime, crate::error_chain(&error));
            tracing::warn!(%runtime, %version, error, "the canary cannot be served; the session begins with the endpoint's version");
            served
        })
    }

    /// What a session runs that was started before.
    pub(crate) async fn session_runs(&self, session: &Session) -> Result<Arc<SessionSpec>, Error> {
        let (key, version) = (&session.key, Some(session.version));
        let served = self
            .find(&session.owner, &key.runtime, &key.endpoint, version)
            .await?;
        Ok(Arc::clone(&served.spec))
    }

    /// What an endpoint serves: its live version, or the version a running session was started with.
    pub(super) async fn find(
        &self,
        owner: &Owner,
        runtime: &RuntimeId,
        endpoint: &EndpointName,
        pinned: Option<VersionNumber>,
    ) -> Result<Arc<Served>, Error> {
        let key = (owner.clone(), runtime.clone(), endpoint.clone(), pinned);
        let changes = {
            let memory = self.memory();
            if let Some(served) = memory.served.get(&key) {
                return Ok(Arc::clone(served));
            }
            memory.changes
        };
        let served = Arc::new(self.look_up(owner, runtime, endpoint, pinned).await?);
        let mut memory = self.memory();
        if memory.changes == changes {
            if memory.served.len() >= REMEMBERED {
                memory.served.clear();
            }
            memory.served.insert(key, Arc::clone(&served));
        }
        Ok(served)
    }

    async fn look_up(
        &self,
        owner: &Owner,
        runtime: &RuntimeId,
        endpoint: &EndpointName,
        pinned: Option<VersionNumber>,
    ) -> Result<Served, Error> {
        let number = match pinned {
            Some(number) => number,
            None => {
                let found = self
                    .store
                    .endpoint(owner, runtime, endpoint)
                    .await
                    .map_err(refusal)?;
                found
                    .live_version
                    .ok_or_else(|| serves_nothing(endpoint, found.status))?
            }
        };
        let version = self
            .store
            .runtime(owner, runtime, Some(number))
            .await
            .map_err(refusal)?;
        let config: VersionConfig =
            serde_json::from_str(&version.version.configuration).map_err(Error::internal)?;
        let arn = version.runtime.arn();
        let tags = self
            .store
            .tags(&InvocationTarget::Runtime(arn.clone()))
            .await
            .map_err(refusal)?;
        let endpoint_arn = EndpointArn {
            runtime: arn.clone(),
            endpoint: endpoint.clone(),
        };
        let rollout = match pinned {
            Some(_) => Rollout::default(),
            None => {
                let resource = InvocationTarget::Endpoint(endpoint_arn.clone());
                Rollout::of(&self.store.tags(&resource).await.map_err(refusal)?)
            }
        };
        let mut agent = self.agent(&version, &config, endpoint, &tags)?;
        if let Some(template) = &mut agent.template {
            template.restored = restore_hook::of(&tags, agent.port);
        }
        let spec = self.session_spec(owner, number, agent, &config, &tags);
        Ok(Served {
            path: spec.agent.path.parse().map_err(Error::internal)?,
            allowed_headers: config.allowed_headers().to_vec(),
            allowed_ports: config.allowed_ports(),
            authorizer: config
                .authorizer_configuration
                .map(|AuthorizerConfiguration::CustomJWTAuthorizer(authorizer)| authorizer),
            canary: rollout.canary,
            policies: Policies {
                runtime: self.policy(&InvocationTarget::Runtime(arn)).await?,
                endpoint: self.policy(&InvocationTarget::Endpoint(endpoint_arn)).await?,
            },
            spec: Arc::new(spec),
        })
    }

    /// What sessions of a version with these tags are.
    fn session_spec(
        &self,
        owner: &Owner,
        version: VersionNumber,
        agent: AgentSpec,
        config: &VersionConfig,
        tags: &BTreeMap<String, String>,
    ) -> SessionSpec {
        let seconds =
            |value: Option<i32>| Duration::from_secs(value.unwrap_or_default().try_into().unwrap_or(0));
        let lifecycle = &config.lifecycle_configuration;
        SessionSpec {
            account: owner.account.clone(),
            version,
            agent,
            role: self.roles.of_runtime(&config.role_arn, owner),
            idle_timeout: seconds(lifecycle.idle_runtime_session_timeout),
            max_lifetime: seconds(lifecycle.max_lifetime),
            init_timeout: self
                .settings
                .init_timeout
                .unwrap_or_else(|| config.init_timeout()),
            hibernation: hibernation::of(tags, self.settings.hibernate_after),
            caps: caps::of_session(tags, self.settings.session_caps),
            runtime_caps: caps::of_runtime(tags, self.settings.runtime_caps),
        }
    }

    async fn policy(&self, resource: &InvocationTarget) -> Result<Option<Policy>, Error> {
        let text = self.store.policy(resource).await.map_err(refusal)?;
        text.map(|text| Policy::parse(&text, &arn(resource)).map_err(Error::internal))
            .transpose()
    }

    fn agent(
        &self,
        version: &RuntimeVersion,
        config: &VersionConfig,
        endpoint: &EndpointName,
        tags: &BTreeMap<String, String>,
    ) -> Result<AgentSpec, Error> {
        let resolution = version.version.resolution.as_deref();
        let resolution: Resolution = resolution
            .ok_or_else(|| Error::conflict("The version is not ready"))
            .and_then(|text| serde_json::from_str(text).map_err(Error::internal))?;
        let program = self
            .program(config, resolution)
            .ok_or_else(|| Error::internal("the version was made ready as something else than it is"))?;
        let program = program.map_err(Error::internal)?;
        Ok(self.spec(version, config, endpoint, tags, program))
    }

    /// What a version would run at its `DEFAULT` endpoint, before it is ready.
    ///
    /// # Errors
    /// When its tags cannot be read.
    pub(crate) async fn unresolved(
        &self,
        version: &RuntimeVersion,
        config: &VersionConfig,
        program: Program,
    ) -> Result<AgentSpec, StoreError> {
        let runtime = InvocationTarget::Runtime(version.runtime.arn());
        let tags = self.store.tags(&runtime).await?;
        Ok(self.spec(version, config, &EndpointName::default_endpoint(), &tags, program))
    }

    /// What was pinned, if that is what the version was deployed as.
    fn program(
        &self,
        config: &VersionConfig,
        resolution: Resolution,
    ) -> Option<Result<Program, CodeStoreError>> {
        match (&config.agent_runtime_artifact, resolution) {
            (AgentRuntimeArtifact::CodeConfiguration(artifact), Resolution::Code { code_digest }) => Some(
                self.code
                    .get(&code_digest)
                    .map(|code| code_program(artifact, code)),
            ),
            (AgentRuntimeArtifact::ContainerConfiguration(_), Resolution::Image { image_digest }) => {
                Some(Ok(Program::Image(ImageProgram { digest: image_digest })))
            }
            _ => None,
        }
    }

    fn spec(
        &self,
        version: &RuntimeVersion,
        config: &VersionConfig,
        endpoint: &EndpointName,
        tags: &BTreeMap<String, String>,
        program: Program,
    ) -> AgentSpec {
        let arn = EndpointArn {
            runtime: version.runtime.arn(),
            endpoint: endpoint.clone(),
        };
        AgentSpec {
            program,
            environment: environment::of(
                config,
                &arn,
                self.agents_url(version, config),
                &self.settings.client_url,
            ),
            protocol: config.protocol(),
            port: config.port(),
            path: config.path().to_owned(),
            egress: Arc::new(self.settings.egress.rules(tags, config.subnets())),
            storage: config.session_storage().map(str::to_owned),
            folders: self.settings.folders.of_version(config),
            template: (self.settings.snapshots && config.wants_template()).then(|| TemplateSpec {
                made_for: format!(
                    "{}, version {}, {endpoint}",
                    version.runtime.id, version.version.number
                ),
                init_timeout: self
                    .settings
                    .init_timeout
                    .unwrap_or_else(|| config.init_timeout()),
                warm_up: config.warm_up(),
                restored: None,
            }),
        }
    }

    /// The URL under which agents of a version reach this server.
    fn agents_url(&self, version: &RuntimeVersion, config: &VersionConfig) -> Option<&str> {
        let role = self.roles.of_runtime(&config.role_arn, &version.runtime.owner);
        let door = self.settings.door_url.as_deref().filter(|_| role.is_some());
        door.or(self.settings.public_url.as_deref())
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Serving for Routes {
    async fn agents(&self) -> Vec<AgentSpec> {
        let endpoints = self.store.serving_endpoints().await.unwrap_or_else(|error| {
            let error = crate::error_chain(&error);
            tracing::error!(error, "what endpoints serve could not be looked up");
            Vec::new()
        });
        let mut agents = Vec::new();
        for (runtime, endpoint) in endpoints {
            let found = self
                .sessions_begin_with(&runtime.owner, &runtime.id, &endpoint.name)
                .await;
            // One that has just gone, or is not ready, serves nothing.
            let served = found.unwrap_or_default();
            agents.extend(served.iter().map(|(spec, _)| spec.agent.clone()));
        }
        agents
    }
}

/// Code as deployed.
pub(crate) fn code_program(artifact: &CodeConfiguration, code: StoredCode) -> Program {
    Program::Code(CodeProgram {
        runtime: artifact.runtime,
        code: CodeArtifact {
            digest: code.digest,
            zip: code.zip,
        },
        entry_point: artifact.entry_point.clone(),
    })
}
