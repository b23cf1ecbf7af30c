//! The server that runs on a data folder: its operator API, and what any client may ask.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use coracle_auth::CredentialsFileError;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{Call, CallError, Client, Service, Signer};
use super::{CommandResult, output};

/// The server on this machine that a command is for, and how its answer is shown.
#[derive(clap::Args)]
pub(crate) struct LocalServer {
    /// The server's data folder [default: the user's data folder].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Print JSON: sizes in bytes, times as RFC 3339.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl LocalServer {
    pub(super) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(crate::default_data_dir)
    }

    /// Does something with the server, which must run.
    pub(super) fn asked(&self, work: impl AsyncFnOnce(Connection) -> CommandResult) -> CommandResult {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async { work(Connection::open(&self.data_dir()).await?).await })
    }

    /// Shows an answer, for people with the help of `show`.
    pub(super) fn print(&self, answer: &Value, show: fn(&Value) -> Vec<String>) {
        if self.json {
            output::data(format!("{answer:#}"));
        } else {
            show(answer).into_iter().for_each(output::data);
        }
    }
}

/// Names and values of a query.
pub(super) type Parameters = Vec<(&'static str, String)>;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// It does not run.
    #[error(
        "no server runs on the data folder {0}; start one with coracle serve, or name another folder with --data-dir"
    )]
    NotRunning(PathBuf),
    /// Its key cannot be read.
    #[error("the administrator key cannot be read")]
    Key(#[from] CredentialsFileError),
    /// It did not do what was asked.
    #[error("the server did not do it")]
    Call(#[from] CallError),
}

/// A connection as an administrator.
pub(super) struct Connection {
    signer: Signer,
    client: Client,
}

impl Connection {
    pub(super) async fn open(data_dir: &Path) -> Result<Self, ConnectionError> {
        let not_running = || ConnectionError::NotRunning(data_dir.to_owned());
        let address = std::fs::read_to_string(data_dir.join("address")).map_err(|_| not_running())?;
        let mut address: std::net::SocketAddr = address.trim().parse().map_err(|_| not_running())?;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let key = coracle_auth::read(&data_dir.join("credentials"))?;
        let client = match Client::connect(address).await {
            // A server that was killed leaves its address behind.
            Err(CallError::Connect(..)) => return Err(not_running()),
            client => client?,
        };
        Ok(Self {
            signer: Signer { key, address },
            client,
        })
    }

    /// Asks, and takes the whole answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        what: &str,
        parameters: &Parameters,
    ) -> Result<Value, ConnectionError> {
        let call = self.call(method, what, parameters)?;
        Ok(self.client.send(&call).await?.json()?)
    }

    /// Asks, and takes the answer line by line, for as long as it goes on.
    pub(super) async fn lines(
        &mut self,
        what: &str,
        parameters: &Parameters,
        mut each: impl FnMut(&str),
    ) -> Result<(), ConnectionError> {
        let call = self.call(Method::GET, what, parameters)?;
        let mut begun = Vec::new();
        self.client
            .follow(&call, |piece| {
                for part in piece.split_inclusive(|byte| *byte == b'\n') {
                    begun.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        each(String::from_utf8_lossy(&begun).trim_end());
                        begun.clear();
                    }
                }
            })
            .await?;
        Ok(())
    }

    /// Sends a request to control or data plane, and takes the whole answer.
    pub(super) async fn send(&mut self, call: Call) -> Result<Bytes, ConnectionError> {
        let call = self.signer.signed(Service::AgentCore, call)?;
        Ok(self.client.send(&call).await?.body)
    }

    fn call(&self, method: Method, what: &str, parameters: &Parameters) -> Result<Call, CallError> {
        let pairs: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let mut target = format!("/_coracle/{what}");
        if !pairs.is_empty() {
            target = format!("{target}?{}", pairs.join("&"));
        }
        self.signer
            .signed(Service::AgentCore, Call::new(method, target, ""))
    }
}
