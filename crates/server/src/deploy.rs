//! Makes a version ready: fetches its code or pulls its image, checks it, keeps it by content, and has the driver
//! prepare it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_artifact::code::{self, CodeError, CodeStore, CodeStoreError, StoredCode};
use coracle_artifact::oci::{OciError, OciStore, PullSettings, StoredImage};
use coracle_store::{RuntimeVersion, StoreError};
use coracle_supervisor::driver::{Driver, ImageProgram, PrepareError, Program};
use coracle_types::limits::MAX_CODE_ZIP;
use coracle_wire::control::{AgentRuntimeArtifact, Code, CodeConfiguration, S3Location};
use tokio::sync::Semaphore;

use crate::code_source::{CodeSource, FetchError};
use crate::control::version::VersionConfig;
use crate::data::{Resolution, Routes, code_program};

/// Deployments at once: each may read and write hundreds of megabytes.
const CONCURRENT: usize = 2;
/// Pulls of container images at once: they wait for registries most of the time.
const CONCURRENT_PULLS: usize = 4;
/// What the location of an archived image in a bucket begins with. The service knows registries only.
pub(crate) const BUCKET_SCHEME: &str = "s3://";

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
    /// The container image could not be taken here.
    #[error("the container image could not be taken")]
    Image(#[source] OciError),
    /// The runtime's tags, which say something about its sandboxes.
    #[error("the tags of the runtime could not be read")]
    Tags(#[source] StoreError),
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

/// Where what is deployed is kept.
pub struct Artifacts {
    /// Code zips.
    pub code: CodeStore,
    /// Container images.
    pub containers: OciStore,
    /// How images are pulled.
    pub pulling: PullSettings,
}

struct Inner {
    source: CodeSource,
    artifacts: Artifacts,
    driver: Arc<dyn Driver>,
    routes: Arc<Routes>,
    slots: Semaphore,
    pulls: Semaphore,
    /// Where fetched code waits for its check.
    folder: PathBuf,
}

impl Deployer {
    /// A deployer that keeps what it deploys in `artifacts` and works in `folder`.
    pub fn new(
        source: CodeSource,
        artifacts: Artifacts,
        driver: Arc<dyn Driver>,
        routes: Arc<Routes>,
        folder: PathBuf,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                source,
                artifacts,
                driver,
                routes,
                slots: Semaphore::new(CONCURRENT),
                pulls: Semaphore::new(CONCURRENT_PULLS),
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
        let config: VersionConfig =
            serde_json::from_str(&version.version.configuration).map_err(DeployError::Stored)?;
        let (program, resolution) = match &config.agent_runtime_artifact {
            AgentRuntimeArtifact::CodeConfiguration(artifact) => {
                // The semaphores are never closed.
                let _slot = inner.slots.acquire().await.ok();
                let stored = inner.take(version, artifact).await?;
                let code_digest = stored.digest.clone();
                (code_program(artifact, stored), Resolution::Code { code_digest })
            }
            AgentRuntimeArtifact::ContainerConfiguration(artifact) => {
                let _slot = inner.pulls.acquire().await.ok();
                let image_digest = inner.take_image(version, &artifact.container_uri).await?.digest;
                let digest = image_digest.clone();
                (
                    Program::Image(ImageProgram { digest }),
                    Resolution::Image { image_digest },
                )
            }
        };
        let _slot = inner.slots.acquire().await.ok();
        let agent = inner.routes.unresolved(version, &config, program).await;
        let agent = agent.map_err(DeployError::Tags)?;
        inner.driver.prepare(&agent).await.map_err(|error| match error {
            PrepareError::Refused(reason) => DeployError::Refused(reason),
            error @ PrepareError::Failed(_) => DeployError::Prepare(error),
        })?;
        serde_json::to_string(&resolution).map_err(DeployError::Stored)
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
            .fetch(&version.runtime.owner, location, MAX_CODE_ZIP, &self.folder)
            .await;
        let fetched = fetched.map_err(unfetched)?;
        let (code, entry_point, runtime) = (
            self.artifacts.code.clone(),
            artifact.entry_point.clone(),
            artifact.runtime,
        );
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

    /// Pulls the image of a version from a registry, or takes it from an archive in a bucket.
    async fn take_image(&self, version: &RuntimeVersion, uri: &str) -> Result<StoredImage, DeployError> {
        let Artifacts {
            containers, pulling, ..
        } = &self.artifacts;
        let taken = match uri.strip_prefix(BUCKET_SCHEME) {
            None => containers.pull(uri, pulling).await,
            Some(location) => {
                let location = bucket_location(location)?;
                let owner = &version.runtime.owner;
                let fetched = self
                    .source
                    .fetch(owner, &location, pulling.max_image, &self.folder)
                    .await;
                let fetched = fetched.map_err(unfetched)?;
                containers.import(fetched.path(), None, pulling).await
            }
        };
        taken.map_err(|error| {
            if error.is_local() {
                DeployError::Image(error)
            } else {
                DeployError::Refused(crate::error_chain(&error))
            }
        })
    }
}

fn bucket_location(text: &str) -> Result<S3Location, DeployError> {
    match text.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(S3Location {
            bucket: bucket.to_owned(),
            prefix: key.to_owned(),
            version_id: None,
        }),
        _ => Err(DeployError::Refused(format!(
            "{BUCKET_SCHEME}{text} does not name an object; an archived image is named as {BUCKET_SCHEME}BUCKET/KEY"
        ))),
    }
}

fn unfetched(error: FetchError) -> DeployError {
    match error {
        FetchError::Refused(reason) => DeployError::Refused(reason),
        error => DeployError::Fetch(error),
    }
}
