//! TLS with a certificate from files that may be replaced while the server runs.
//!
//! The files are looked at every [`LOOK_EVERY`]. What is in them counts once it is a certificate and the key to it; until
//! then the one before stays, and the log says what is wrong, once for each content.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// TLS as the operator wants it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Where to listen for TLS, beside the plain address.
    pub listen: SocketAddr,
    /// What to show.
    #[serde(flatten)]
    pub files: TlsFiles,
}

/// Where certificate and key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TlsFiles {
    /// The server's certificate, followed by those that lead from it to the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no TLS, or not with what the files hold.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is too large.
    #[error("{0} has more than {MAX_FILE} bytes: it is no certificate or key")]
    TooLarge(PathBuf),
    /// What a file holds is not what it should.
    #[error("{file} holds no {what} in PEM")]
    Pem {
        /// The file.
        file: PathBuf,
        /// Certificate or key.
        what: &'static str,
        /// The cause, unless the file just has none.
        #[source]
        source: Option<pem::Error>,
    },
    /// They cannot be used, or not together.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// There is no version of TLS to speak.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// What the files hold, byte for byte.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn parse(&self, contents: &Contents) -> Result<CertifiedKey, TlsError> {
        let wrong = |file: &Path, what, source| TlsError::Pem {
            file: file.to_owned(),
            what,
            source,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&self.certificate, "certificate", Some(error)))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, "certificate", None));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| wrong(&self.key, "private key", Some(error)))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Pair)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let reading = std::fs::File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    reading.map_err(|source| TlsError::Read {
        file: file.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TlsError::TooLarge(file.to_owned()));
    }
    Ok(bytes)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificate that clients are shown.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    shown: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.shown.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl Certificate {
    /// What the files hold now.
    ///
    /// # Errors
    /// When that is no certificate with its key.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let shown = files.parse(&files.read()?)?;
        Ok(Arc::new(Self {
            files,
            shown: RwLock::new(Arc::new(shown)),
        }))
    }

    /// What begins TLS on a connection.
    ///
    /// # Errors
    /// When no version of TLS can be spoken.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Follows the files until `stop` is cancelled.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = None;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let certificate = Arc::clone(&self);
            // A task that panicked has said so already.
            if let Ok(looked) = tokio::task::spawn_blocking(move || certificate.look(seen)).await {
                seen = looked;
            } else {
                return;
            }
        }
    }

    /// Takes what is new in the files, and tells what is wrong with it.
    fn look(&self, seen: Option<Look>) -> Option<Look> {
        let look = match self.files.read() {
            Ok(contents) => Look::Read(contents),
            Err(error) => Look::Unreadable(crate::error_chain(&error)),
        };
        if seen.as_ref() == Some(&look) {
            return seen;
        }
        let told = match &look {
            Look::Read(contents) => self
                .files
                .parse(contents)
                .map_err(|error| crate::error_chain(&error)),
            Look::Unreadable(error) => Err(error.clone()),
        };
        match told {
            Ok(new) => self.show(new),
            Err(error) => tracing::error!(
                error,
                "the new TLS certificate is refused, and the one before stays: mend the files"
            ),
        }
        Some(look)
    }

    fn show(&self, new: CertifiedKey) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if shown.cert != new.cert {
            *shown = Arc::new(new);
            tracing::info!(file = %self.files.certificate.display(), "the TLS certificate was replaced");
        }
    }
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Read(Contents),
    Unreadable(String),
}
