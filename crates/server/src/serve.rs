//! A running server: opens everything in a data folder, serves until told to stop, and leaves nothing behind.
//!
//! ```text
//! lock folder → open store → load key → listen → take over what an earlier server left → ready
//! SIGTERM → stop accepting → let requests finish (bounded) → end sessions, or leave them → close store → exit 0
//! ```

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_artifact::code::{CodeStore, CodeStoreError};
use coracle_artifact::oci::{OciError, OciStore};
use coracle_auth::session_keys::SessionKeys;
use coracle_auth::{Credential, CredentialTable, CredentialsFileError, HostAliases};
use coracle_egress::Link;
use coracle_store::{Store, StoreError};
use coracle_supervisor::{LogBudget, LogFiles, LogFilesConfig, Supervisor, SupervisorConfig};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::adoption::{self, AdoptionError};
use crate::caps::RuntimeCaps;
use crate::code_source::CodeSource;
use crate::config::{Config, DriverKind, OnStop};
use crate::control::ControlPlane;
use crate::control::reconciler::{Reconciler, Waker};
use crate::data::{DataPlane, RouteSettings, Routes, SessionQuota, TokenLocks, WebSocketLimits, WebSockets};
use crate::deploy::{Artifacts, Deployer};
use crate::directory::StoreDirectory;
use crate::drivers::{self, DriverError};
use crate::gateway::cors::Cors;
use crate::gateway::listen::Entrance;
use crate::gateway::rate::RateLimits;
use crate::gateway::tls::{Certificate, TlsConfig, TlsError};
use crate::gateway::{Gateway, Signers, listen};
use crate::housekeeping::Housekeeping;
use crate::issuers::Issuers;
use crate::metrics::Metrics;
use crate::operator::OperatorApi;
use crate::roles::Roles;
use crate::rollout::Retirer;
use crate::s3::{S3OpenError, S3Side};
use crate::warm::Warmer;

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
    let folder = |source| ServeError::Folder {
        folder: data_dir.clone(),
        source,
    };
    let data_dir = prepare_folder(&data_dir).map_err(folder)?;
    let _lock = lock(&data_dir)?;
    let spool = fresh_folder(&data_dir.join("spool")).map_err(folder)?;
    let store = Store::open(&data_dir.join("coracle.db"))
        .await?
        .with_quotas(config.quotas.resources());
    let credentials = credentials(&config, &data_dir)?;
    let code = CodeStore::open(data_dir.join("artifacts"))?;
    let s3 = S3Side::open(store.clone(), data_dir.join("objects")).await?;
    let logs = LogFiles::open(LogFilesConfig {
        folder: data_dir.join("logs"),
        retention_days: config.logs.retention_days,
        max_file_bytes: mebibytes(config.logs.session_mib),
    })
    .map_err(folder)?;
    let containers = OciStore::open(data_dir.join("containers"))?;
    let (door, from_sandboxes) = mpsc::channel(DOOR_QUEUE);
    let driver = drivers::open(&config, &data_dir, code.clone(), containers.clone(), door).await?;
    let session_keys = SessionKeys::load_or_create(&data_dir.join("session-key")).map_err(folder)?;
    let roles = Roles::new(&config.roles, session_keys);

    let (listener, address) = listen_on(config.listen).await?;
    let secure = match &config.tls {
        Some(tls) => Some(Secure::open(tls).await?),
        None => None,
    };

    let routes = Arc::new(Routes::new(
        store.clone(),
        code.clone(),
        RouteSettings {
            public_url: config.public_url.clone(),
            client_url: client_url(&config, address),
            init_timeout: config.limits.init_timeout(),
            snapshots: config.sandbox.snapshots,
            hibernate_after: config.sandbox.hibernate_after_secs.map(Duration::from_secs),
            session_caps: (&config.caps.session).into(),
            runtime_caps: (&config.caps.runtime).into(),
            egress: config.egress.clone(),
            door_url: (config.sandbox.driver == DriverKind::Microvm).then(Link::server_url),
        },
        roles.clone(),
    ));
    driver.ask(routes.clone());
    let orphans = adoption::take_over(driver.as_ref(), &store, &routes).await?;
    let supervisor = Supervisor::new(
        driver.clone(),
        Arc::new(StoreDirectory(store.clone())),
        Arc::new(logs.clone()),
        SupervisorConfig {
            max_sessions: config.limits.sessions,
            memory_reserve: mebibytes(config.limits.memory_reserve_mib),
            log_budget: LogBudget {
                total: mebibytes(config.logs.session_mib),
                ..LogBudget::default()
            },
            ..SupervisorConfig::default()
        },
    );
    orphans.into_iter().for_each(|orphan| supervisor.adopt(orphan));
    let (warm_routes, retiring_routes) = (routes.clone(), routes.clone());
    let caps = RuntimeCaps {
        store: store.clone(),
        supervisor: supervisor.clone(),
    };
    let waker = Waker::new(routes.clone());
    let source = CodeSource::new(store.clone(), s3.clone(), config.s3.clone());
    let artifacts = Artifacts {
        code,
        containers: containers.clone(),
        pulling: config.pull_settings(),
    };
    let deployer = Deployer::new(source, artifacts, driver.clone(), routes.clone(), spool.clone());
    let metrics = Arc::new(Metrics::new());
    let websockets = Arc::new(WebSockets::new(WebSocketLimits {
        max_frame: config.websocket.max_frame_bytes.into(),
        frames_per_second: config.websocket.frames_per_second,
        duration: Duration::from_secs(config.websocket.max_secs),
        client_stall: Duration::from_secs(config.websocket.client_stall_secs),
        agent_stall: config.limits.request_timeout(),
    }));
    let rates = Arc::new(RateLimits::new(config.rate_limits.clone()));
    let gateway = Arc::new(Gateway {
        s3: s3.service(credentials.clone()),
        signers: Signers {
            keys: credentials,
            roles,
            store: store.clone(),
        },
        aliases: HostAliases::new(config.host_aliases.clone()),
        cors: Cors::new(&config.cors),
        rates: rates.clone(),
        operator_account: config.account.clone(),
        control: ControlPlane::new(store.clone(), waker.clone()),
        data: DataPlane {
            supervisor: supervisor.clone(),
            routes,
            store: store.clone(),
            sessions: SessionQuota::new(config.quotas.clone()),
            caps: caps.clone(),
            rates,
            stops: TokenLocks::default(),
            issuers: Issuers::new(config.authorizers.allow_plain_http),
            client_claims: config.authorizers.client_claims.clone(),
            public_url: config.public_url.clone(),
            logs: logs.clone(),
            request_timeout: config.limits.request_timeout(),
            stream_timeout: config.limits.stream_timeout(),
            websockets: websockets.clone(),
            metrics: metrics.clone(),
        },
        operator: OperatorApi {
            supervisor: supervisor.clone(),
            store: store.clone(),
            changed: waker.clone(),
            logs,
        },
        metrics,
        spool,
    });

    let address_file = data_dir.join("address");
    publish(&address_file, &address.to_string()).map_err(folder)?;
    let tls_address_file = data_dir.join("tls-address");
    if let Some(Secure { address, .. }) = &secure {
        publish(&tls_address_file, &address.to_string()).map_err(folder)?;
        tracing::info!(%address, "listening with TLS");
    }
    tracing::info!(%address, data_dir = %data_dir.display(), driver = driver.name(), "listening");

    let reconciler = Reconciler {
        store: store.clone(),
        deployer,
        supervisor: supervisor.clone(),
        waker,
    };
    let warmer = Warmer {
        store: store.clone(),
        routes: warm_routes,
        supervisor: supervisor.clone(),
        default: config.sandbox.warm,
    };
    let retirer = Retirer {
        store: store.clone(),
        routes: retiring_routes,
        supervisor: supervisor.clone(),
    };
    let background = CancellationToken::new();
    let retiring = tokio::spawn(retirer.run(background.clone()));
    let warming = tokio::spawn(warmer.run(background.clone()));
    let reconciling = tokio::spawn(reconciler.run(background.clone()));
    let housekeeping = Housekeeping {
        store: store.clone(),
        supervisor: supervisor.clone(),
        containers,
        keep_unused: config.containers.keep_unused(),
    };
    let housekeeping = tokio::spawn(housekeeping.run(background.clone()));
    let capping = tokio::spawn(caps.run(background.clone()));
    let following = secure.as_ref().map(|secure| {
        let certificate = Arc::clone(&secure.certificate);
        tokio::spawn(certificate.follow(background.clone()))
    });
    let slots = Arc::new(Semaphore::new(config.limits.connections));
    let plain = Entrance { listener, tls: None };
    let handler = move |peer, request| gateway.clone().handle(peer, request);
    let sandbox_slots = Arc::new(Semaphore::new(config.limits.connections));
    let sandboxes = listen::serve_sandboxes(from_sandboxes, sandbox_slots, stop.clone(), handler.clone());
    let connections: Vec<_> = std::iter::once(plain)
        .chain(secure.map(|secure| secure.entrance))
        .map(|entrance| {
            tokio::spawn(listen::serve(
                entrance,
                slots.clone(),
                stop.clone(),
                handler.clone(),
            ))
        })
        .chain([tokio::spawn(sandboxes)])
        .collect();

    stop.cancelled().await;
    tracing::info!("stopping: no new requests; those in flight may finish");
    match config.sandbox.on_stop {
        OnStop::End => supervisor.drain(config.limits.drain()).await,
        OnStop::Keep => supervisor.leave(config.limits.drain()).await,
    }
    // What is still open by then has lost its session.
    let closed = async { tokio::join!(futures::future::join_all(connections), websockets.closed()) };
    tokio::time::timeout(LAST_WORDS, closed).await.ok();
    background.cancel();
    // A task that panicked has said so already.
    let tasks = [reconciling, housekeeping, warming, capping, retiring];
    futures::future::join_all(tasks.into_iter().chain(following)).await;
    store.close().await;
    for file in [address_file, tls_address_file] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %file.display(), "the address file could not be removed");
            }
            _ => {}
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Where clients come in over TLS.
struct Secure {
    entrance: Entrance,
    address: SocketAddr,
    certificate: Arc<Certificate>,
}

impl Secure {
    async fn open(config: &TlsConfig) -> Result<Self, ServeError> {
        let certificate = Certificate::load(config.files.clone())?;
        let tls = Some(certificate.acceptor()?);
        let (listener, address) = listen_on(config.listen).await?;
        Ok(Self {
            entrance: Entrance { listener, tls },
            address,
            certificate,
        })
    }
}

async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listening = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    Ok((listener, address))
}

fn prepare_folder(folder: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    folder.canonicalize()
}

/// The URL that clients reach this server by, as far as it can know.
fn client_url(config: &Config, address: SocketAddr) -> String {
    let mut address = address;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"))
}

/// An empty folder; what an earlier server left in it is of no use to anybody.
fn fresh_folder(folder: &Path) -> io::Result<PathBuf> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::create_dir(folder)?,
    }
    Ok(folder.to_owned())
}

/// Writes a small file that others wait for, so that they never see half of it.
fn publish(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, path)
}

/// Held as long as the server runs; the kernel lets go of it even if the server dies.
fn lock(data_dir: &Path) -> Result<File, ServeError> {
    let folder = |source| ServeError::Folder {
        folder: data_dir.to_owned(),
        source,
    };
    let file = File::create(data_dir.join("lock")).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServeError::InUse(data_dir.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(folder(error)),
    }
}

fn credentials(config: &Config, data_dir: &Path) -> Result<CredentialTable, ServeError> {
    let key = coracle_auth::load_or_create(&data_dir.join("credentials"))?;
    let mut table = CredentialTable::default();
    table.insert(Credential {
        key,
        account: config.account.clone(),
        principal: "administrator".to_owned(),
    });
    for configured in &config.credentials {
        table.insert(configured.clone().into());
    }
    Ok(table)
}

fn mebibytes(count: u32) -> u64 {
    u64::from(count) * 1024 * 1024
}
