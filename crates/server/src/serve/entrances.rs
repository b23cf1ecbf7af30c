//! The addresses a server listens on, and where it says which they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ServeError;
use super::folder::DataFolder;
use crate::config::Config;
use crate::gateway::body::ResponseBody;
use crate::gateway::listen::{self, Entrance};
use crate::gateway::tls::{Certificate, TlsConfig};

/// The file that holds the address.
const ADDRESS: &str = "address";
/// The file that holds the address for TLS.
const TLS_ADDRESS: &str = "tls-address";

/// Where clients come in.
pub(super) struct Entrances {
    plain: Entrance,
    address: SocketAddr,
    secure: Option<Secure>,
}

struct Secure {
    entrance: Entrance,
    address: SocketAddr,
    certificate: Arc<Certificate>,
}

impl Entrances {
    /// Listens. Nobody is served yet.
    pub(super) async fn open(config: &Config) -> Result<Self, ServeError> {
        let (listener, address) = listen_on(config.listen).await?;
        let secure = match &config.tls {
            Some(tls) => Some(Secure::open(tls).await?),
            None => None,
        };
        Ok(Self {
            plain: Entrance { listener, tls: None },
            address,
            secure,
        })
    }

    /// The URL that clients reach this server by, as far as it can know.
    pub(super) fn client_url(&self, config: &Config) -> String {
        let mut address = self.address;
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

    /// Says in the data folder and the log where this server listens.
    pub(super) fn publish(&self, folder: &DataFolder, driver: &str) -> Result<(), ServeError> {
        folder.publish(ADDRESS, &self.address.to_string())?;
        if let Some(Secure { address, .. }) = &self.secure {
            folder.publish(TLS_ADDRESS, &address.to_string())?;
            tracing::info!(%address, "listening with TLS");
        }
        tracing::info!(address = %self.address, data_dir = %folder.path().display(), driver, "listening");
        Ok(())
    }

    /// The certificate for TLS, which may be renewed while the server runs.
    pub(super) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.secure.as_ref().map(|secure| Arc::clone(&secure.certificate))
    }

    /// Serves on all of them, and the connections of sandboxes, until `stop` is cancelled. Each of the tasks ends when its
    /// connections have.
    pub(super) fn serve<H, F>(
        self,
        from_sandboxes: mpsc::Receiver<DuplexStream>,
        connections: usize,
        stop: &CancellationToken,
        handler: H,
    ) -> Vec<JoinHandle<()>>
    where
        H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let slots = Arc::new(Semaphore::new(connections));
        let of_sandboxes = Arc::new(Semaphore::new(connections));
        let sandboxes = listen::serve_sandboxes(from_sandboxes, of_sandboxes, stop.clone(), handler.clone());
        let secure = self.secure.map(|secure| secure.entrance);
        std::iter::once(self.plain)
            .chain(secure)
            .map(|entrance| listen::serve(entrance, slots.clone(), stop.clone(), handler.clone()))
            .map(tokio::spawn)
            .chain([tokio::spawn(sandboxes)])
            .collect()
    }
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

/// What [`Entrances::publish`] said is no longer so.
pub(super) fn withdraw(folder: &DataFolder) {
    folder.withdraw(ADDRESS);
    folder.withdraw(TLS_ADDRESS);
}

async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listening = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    Ok((listener, address))
}
