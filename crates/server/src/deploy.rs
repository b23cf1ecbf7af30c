//! Makes a version ready: fetches its code, checks it, keeps it by content, and has the driver prepare it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_artifact::code::{self, CodeError, CodeStore, CodeStoreError, StoredCode};
use coracle_store::RuntimeVersion;
use coracle_supervisor::driver::{Driver, PrepareError};
use coracle_wire::control::{AgentRuntimeArtifact, Code, CodeConfiguration};
use tokio::sync::Semaphore;

use crate::code_source::{CodeSource, FetchError};
use crate::control::version::VersionConfig;
use crate::data::{Resolution, Routes};

/// Deployments at once: each may read and write hundreds of megabytes.
const CONCURRENT: usize = 2;

/// Why a version is not ready.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// Whoever made the version can mend it; this is its `failureReason`.
    #[error("{0}")]
    Refused(String),
    /// The code could not be fetched now.
    #[error("the code could not be fetched")]
    Fetch(#[source] FetchError),
    /// The code could not be read here.
    #[error("the code could not be read")]
    Check(#[source] CodeError),
    /// The code could not be kept here.
    #[error("the code could not be kept")]
    Keep(#[source] CodeStoreError),
    /// The driver failed.
    #[error("the driver could not prepare the version")]
    Prepare(#[source] PrepareError),
    /// What is stored of the version is not what this program writes.
    #[error("the stored version does not parse")]
    Stored(#[source] serde_json::Error),
    /// The work was torn down under way.
    #[error("the work was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Makes versions ready. Cheap to clone.
#[derive(Clone)]
pub struct Deployer {
    inner: Arc<Inner>,
}

struct Inner {
    source: CodeSource,
    code: CodeStore,
    driver: Arc<dyn Driver>,
    routes: Arc<Routes>,
    slots: Semaphore,
    /// Where fetched code waits for its check.
    folder: PathBuf,
}

impl Deployer {
    /// A deployer that keeps code in `code` and works in `folder`.
    pub fn new(
        source: CodeSource,
        code: CodeStore,
        driver: Arc<dyn Driver>,
        routes: Arc<Routes>,
        folder: PathBuf,
    ) -> Self {
        let slots = Semaphore::new(CONCURRENT);
        Self {
            inner: Arc::new(Inner {
                source,
                code,
                driver,
                routes,
                slots,
                folder,
            }),
        }
    }

    /// Makes a version ready, and returns what that pinned as JSON text.
    ///
    /// # Errors
    /// [`DeployError::Refused`] for the developer; everything else may go well the next time.
    pub async fn deploy(&self, version: &RuntimeVersion) -> Result<String, DeployError> {
        let inner = &self.inner;
        // The semaphore is never closed.
        let _slot = inner.slots.acquire().await.ok();
        let config: VersionConfig =
            serde_json::from_str(&version.version.configuration).map_err(DeployError::Stored)?;
        let artifact = match &config.agent_runtime_artifact {
            AgentRuntimeArtifact::CodeConfiguration(artifact) => artifact,
            AgentRuntimeArtifact::ContainerConfiguration(_) => {
                return Err(DeployError::Refused(
                    "This server does not run container images yet; deploy the agent as code \
                     (agentRuntimeArtifact.codeConfiguration)"
                        .to_owned(),
                ));
            }
        };
        let stored = inner.take(version, artifact).await?;
        if let Some(agent) = inner
            .routes
            .unresolved(version, &config, stored.digest.clone(), stored.zip)
        {
            inner.driver.prepare(&agent).await.map_err(|error| match error {
                PrepareError::Refused(reason) => DeployError::Refused(reason),
                error @ PrepareError::Failed(_) => DeployError::Prepare(error),
            })?;
        }
        serde_json::to_string(&Resolution {
            code_digest: stored.digest,
        })
        .map_err(DeployError::Stored)
    }
}

impl Inner {
    /// Fetches, checks and keeps the code of a version.
    async fn take(
        &self,
        version: &RuntimeVersion,
        artifact: &CodeConfiguration,
    ) -> Result<StoredCode, DeployError> {
        let Code::S3(location) = &artifact.code;
        let fetched = self
            .source
            .fetch(&version.runtime.owner, location, &self.folder)
            .await;
        let fetched = fetched.map_err(|error| match error {
            FetchError::Refused(reason) => DeployError::Refused(reason),
            error => DeployError::Fetch(error),
        })?;
        let (code, entry_point, runtime) =
            (self.code.clone(), artifact.entry_point.clone(), artifact.runtime);
        let blocking = move || {
            let zip: &Path = fetched.path();
            let checked = code::check(zip, &entry_point, runtime).map_err(|error| match error {
                error @ CodeError::Unreadable(_) => DeployError::Check(error),
                refused => DeployError::Refused(crate::error_chain(&refused)),
            })?;
            code.import(zip, &checked).map_err(DeployError::Keep)
        };
        tokio::task::spawn_blocking(blocking)
            .await
            .map_err(DeployError::Interrupted)?
    }
}
