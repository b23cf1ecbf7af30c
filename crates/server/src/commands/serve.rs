//! `coracle serve`

use std::net::SocketAddr;
use std::path::PathBuf;

use coracle_server::config::{AcceleratorChoice, Config, DriverKind, OnStop};
use coracle_server::gateway::tls::{TlsConfig, TlsFiles};
use coracle_server::serve;
use coracle_supervisor::PoolSize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::CommandResult;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes any free one [default: 127.0.0.1:4580].
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Address to listen on for TLS, beside the plain one [default: the configuration's, or none].
    #[arg(long, value_name = "ADDR:PORT", requires_all = ["tls_certificate", "tls_key"])]
    tls_listen: Option<SocketAddr>,
    /// Certificate for TLS and those that lead to its authority (PEM); followed when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_certificate: Option<PathBuf>,
    /// Private key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_key: Option<PathBuf>,
    /// Folder for everything the server keeps [default: coracle in the user's data folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with kernel and base images [default: images in the data folder].
    #[arg(long, value_name = "DIR")]
    images_dir: Option<PathBuf>,
    /// How sandboxes are made.
    #[arg(long)]
    driver: Option<DriverKind>,
    /// How microVMs run.
    #[arg(long)]
    accelerator: Option<AcceleratorChoice>,
    /// What becomes of sessions when the server is told to stop [default: end].
    #[arg(long, value_name = "WHAT")]
    on_stop: Option<OnStop>,
    /// Sandboxes that stand ready for each endpoint: a number, or minimum and maximum as in 1-4 [default: 0].
    #[arg(long, value_name = "N")]
    warm: Option<PoolSize>,
}

pub(crate) fn run(arguments: Arguments) -> CommandResult {
    let mut config = match &arguments.config {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    config.listen = arguments.listen.unwrap_or(config.listen);
    if let (Some(listen), Some(certificate), Some(key)) =
        (arguments.tls_listen, arguments.tls_certificate, arguments.tls_key)
    {
        let files = TlsFiles { certificate, key };
        config.tls = Some(TlsConfig { listen, files });
    }
    config.images_dir = arguments.images_dir.or(config.images_dir);
    config.sandbox.driver = arguments.driver.unwrap_or(config.sandbox.driver);
    config.sandbox.accelerator = arguments.accelerator.unwrap_or(config.sandbox.accelerator);
    config.sandbox.warm = arguments.warm.unwrap_or(config.sandbox.warm);
    config.sandbox.on_stop = arguments.on_stop.unwrap_or(config.sandbox.on_stop);
    let data_dir = arguments.data_dir.unwrap_or_else(crate::default_data_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(cancel_on_signal(stop.clone()));
        serve::serve(config, data_dir, stop).await
    });
    // A thread that still blocks on a disk must not keep the process.
    runtime.shutdown_background();
    Ok(result?)
}

/// Cancels on the first SIGTERM or SIGINT. The second of either ends the process as if nobody listened.
async fn cancel_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("told to stop again: ending at once");
    std::process::abort();
}
