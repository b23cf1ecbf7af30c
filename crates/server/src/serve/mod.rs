//! A running server: opens everything in a data folder, serves until told to stop, and leaves nothing behind.
//!
//! ```text
//! lock folder → open store → load key → listen → take over what an earlier server left → ready
//! SIGTERM → stop accepting → let requests finish (bounded) → end sessions, or leave them → close store → exit 0
//! ```

mod background;
mod entrances;
mod folder;
mod kept;
mod parts;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_artifact::code::CodeStoreError;
use coracle_artifact::oci::OciError;
use coracle_auth::CredentialsFileError;
use coracle_egress::Link;
use coracle_store::StoreError;
use coracle_supervisor::driver::Driver;
use coracle_supervisor::{LogBudget, Supervisor, SupervisorConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::entrances::Entrances;
use self::folder::DataFolder;
use self::kept::Kept;
use self::parts::Parts;
use crate::adoption::{self, AdoptionError};
use crate::config::{Config, DriverKind, OnStop};
use crate::control::reconciler::Waker;
use crate::data::{RouteSettings, Routes};
use crate::directory::StoreDirectory;
use crate::drivers::{self, DriverError};
use crate::folders::MountsError;
use crate::gateway::tls::TlsError;
use crate::s3::S3OpenError;

/// Connections from sandboxes that wait to be served.
const DOOR_QUEUE: usize = 64;
/// How long connections may linger once their sessions are gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder.
    #[error("the data folder {folder} cannot be used")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another server has the data folder.
    #[error("another server is using the data folder {0}")]
    InUse(PathBuf),
    /// The database.
    #[error("the database cannot be opened")]
    Store(#[from] StoreError),
    /// The administrator key.
    #[error("the administrator key cannot be read")]
    Credentials(#[from] CredentialsFileError),
    /// The code zips.
    #[error("the code artifacts cannot be opened")]
    Code(#[from] CodeStoreError),
    /// The container images.
    #[error("the container images cannot be opened")]
    Containers(#[from] OciError),
    /// The objects.
    #[error("the objects of the S3 side cannot be opened")]
    S3(#[from] S3OpenError),
    /// The driver.
    #[error("no sandbox could be made on this machine")]
    Driver(#[from] DriverError),
    /// What agents mount.
    #[error("the folders that agents mount cannot be offered")]
    Mounts(#[from] MountsError),
    /// What an earlier server left.
    #[error("an earlier server's sandboxes could not be taken over or ended")]
    Adoption(#[from] AdoptionError),
    /// The certificate.
    #[error("there is no TLS")]
    Tls(#[from] TlsError),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the server cannot start. Once it listens it ends without one.
pub async fn serve(config: Config, data_dir: PathBuf, stop: CancellationToken) -> Result<(), ServeError> {
    let folder = DataFolder::open(&data_dir)?;
    let spool = folder.fresh("spool")?;
    let kept = Kept::open(&config, &folder).await?;
    let (door, from_sandboxes) = mpsc::channel(DOOR_QUEUE);
    let (code, containers) = (kept.code.clone(), kept.containers.clone());
    let driver = drivers::open(&config, folder.path(), code, containers, door).await?;
    let entrances = Entrances::open(&config).await?;

    let routes = Arc::new(routes(&config, &kept, entrances.client_url(&config)));
    driver.ask(routes.clone());
    let orphans = adoption::take_over(driver.as_ref(), &kept.store, &routes).await?;
    let supervisor = supervisor(&config, &kept, driver.clone());
    orphans.into_iter().for_each(|orphan| supervisor.adopt(orphan));

    let parts = Parts {
        config,
        kept,
        spool,
        driver,
        waker: Waker::new(routes.clone()),
        routes,
        supervisor,
    };
    let gateway = Arc::new(parts.gateway());
    let websockets = gateway.data.websockets.clone();
    entrances.publish(&folder, parts.driver.name())?;
    let background = parts.background(&gateway.data.caps, entrances.certificate());
    let Parts {
        config,
        kept,
        supervisor,
        ..
    } = parts;
    let handler = move |peer, request| gateway.clone().handle(peer, request);
    let connections = entrances.serve(from_sandboxes, config.limits.connections, &stop, handler);

    stop.cancelled().await;
    tracing::info!("stopping: no new requests; those in flight may finish");
    match config.sandbox.on_stop {
        OnStop::End => supervisor.drain(config.limits.drain()).await,
        OnStop::Keep => supervisor.leave(config.limits.drain()).await,
    }
    // What is still open by then has lost its session.
    let closed = async { tokio::join!(futures::future::join_all(connections), websockets.closed()) };
    tokio::time::timeout(LAST_WORDS, closed).await.ok();
    background.end().await;
    kept.store.close().await;
    entrances::withdraw(&folder);
    tracing::info!("stopped");
    Ok(())
}

fn routes(config: &Config, kept: &Kept, client_url: String) -> Routes {
    let settings = RouteSettings {
        public_url: config.public_url.clone(),
        client_url,
        init_timeout: config.limits.init_timeout(),
        snapshots: config.sandbox.snapshots,
        hibernate_after: config.sandbox.hibernate_after_secs.map(Duration::from_secs),
        session_caps: (&config.caps.session).into(),
        runtime_caps: (&config.caps.runtime).into(),
        egress: config.egress.clone(),
        folders: kept.folders.clone(),
        door_url: (config.sandbox.driver == DriverKind::Microvm).then(Link::server_url),
    };
    Routes::new(
        kept.store.clone(),
        kept.code.clone(),
        settings,
        kept.roles.clone(),
    )
}

fn supervisor(config: &Config, kept: &Kept, driver: Arc<dyn Driver>) -> Supervisor {
    let settings = SupervisorConfig {
        max_sessions: config.limits.sessions,
        memory_reserve: mebibytes(config.limits.memory_reserve_mib),
        log_budget: LogBudget {
            total: mebibytes(config.logs.session_mib),
            ..LogBudget::default()
        },
        ..SupervisorConfig::default()
    };
    let directory = Arc::new(StoreDirectory(kept.store.clone()));
    Supervisor::new(driver, directory, Arc::new(kept.logs.clone()), settings)
}

fn mebibytes(count: u32) -> u64 {
    u64::from(count) * 1024 * 1024
}
