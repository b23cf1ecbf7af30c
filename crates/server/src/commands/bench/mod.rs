//! `coracle bench`: what sessions and invocations cost on this machine.
//!
//! A server of its own runs as a child process on a temporary data folder, with a small agent of the standard
//! library. Everything is measured from outside, as a client sees it, and next to the same agent without Coracle:
//! with the `process` driver as a bare process of the host, in microVMs by the agent that calls itself on the
//! guest's loopback, since nothing outside can call it directly. Figures are printed, never asserted.

mod deploy;
mod images;
mod measure;
mod neighbours;
mod packages;
mod protocols;
mod report;
mod script;
mod server;
mod start;
mod statistics;

use std::path::{Path, PathBuf};

use coracle_artifact::images::ImageStore;
use coracle_server::config::{AcceleratorChoice, DriverKind};
use coracle_types::RuntimeKind;
use serde::Serialize;

use self::measure::Subject;
use self::report::{Head, Report};
use self::script::Workshop;
use self::server::{BareAgent, Server, Setup};
use super::interpreter::interpreter;
use super::{CommandResult, output};
use crate::commands::client::Client;

/// The runtimes the agent is written for, the preferred one first.
const RUNTIMES: [RuntimeKind; 4] = [
    RuntimeKind::Python313,
    RuntimeKind::Python311,
    RuntimeKind::Python312,
    RuntimeKind::Python314,
];

const JSON: &str = "application/json";

type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// How sandboxes are made.
    #[arg(long, default_value = "microvm", value_parser = parse_driver)]
    driver: DriverKind,
    /// Folder with kernel and base images [default: images in the user's data folder].
    #[arg(long, value_name = "DIR", global = true)]
    images_dir: Option<PathBuf>,
    /// How microVMs run.
    #[arg(long, global = true)]
    accelerator: Option<AcceleratorChoice>,
    /// Cold session starts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    cold: u16,
    /// Warm invocations each way, sequential and again concurrent.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Print the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measure only how sessions start: boot, restore, warm pool, wake, and the agent as a bare process.
    Start(start::Arguments),
    /// Measure only a running session: round trips and bytes per second in each way of talking to it.
    Protocols(protocols::Arguments),
    /// Measure only container images: how fast they are pulled, and whether sessions start slower from large ones.
    Images(images::Arguments),
    /// Measure only what agents that take all they can get cost the session next to them.
    Neighbours(neighbours::Arguments),
}

/// What executes the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Execution {
    Processes,
    Kvm,
    Emulation,
}

impl Execution {
    fn described(self) -> &'static str {
        match self {
            Self::Processes => "process driver: no isolation, and no virtual machine in any of these figures",
            Self::Kvm => "microVMs under KVM",
            Self::Emulation => "microVMs in EMULATION: all figures are far from those of KVM",
        }
    }

    /// What the way past the server is.
    fn direct(self) -> &'static str {
        match self {
            Self::Processes => "bare process, called directly",
            Self::Kvm | Self::Emulation => "agent calls itself in its guest",
        }
    }
}

fn parse_driver(text: &str) -> Result<DriverKind, String> {
    match text {
        "microvm" => Ok(DriverKind::Microvm),
        "process" => Ok(DriverKind::Process),
        _ => Err("microvm or process".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let images_dir = arguments.images_dir.clone();
    let setup = Setup {
        driver: arguments.driver,
        accelerator: arguments.accelerator,
        images_dir: images_dir.unwrap_or_else(|| crate::default_data_dir().join("images")),
    };
    match &arguments.what {
        None => {
            let report = runtime.block_on(bench(arguments, &setup))?;
            print(arguments, &report, report.lines())
        }
        Some(What::Start(start)) => {
            let report = runtime.block_on(bench_start(start, &setup))?;
            print(arguments, &report, report.lines())
        }
        Some(What::Protocols(protocols)) => {
            let report = runtime.block_on(bench_protocols(protocols, &setup))?;
            print(arguments, &report, report.lines())
        }
        Some(What::Images(images)) => {
            let report = runtime.block_on(images::bench(images, &setup))?;
            print(arguments, &report, report.lines())
        }
        Some(What::Neighbours(neighbours)) => {
            let report = runtime.block_on(bench_neighbours(neighbours, &setup))?;
            print(arguments, &report, report.lines())
        }
    }
}

fn print(arguments: &Arguments, report: &impl Serialize, lines: Vec<String>) -> CommandResult {
    if arguments.json {
        output::data(serde_json::to_string_pretty(report)?);
    } else {
        lines.into_iter().for_each(output::data);
    }
    Ok(())
}

async fn bench(arguments: &Arguments, setup: &Setup) -> Result<Report, Cause> {
    let (runtime, bare_interpreter) = choose_runtime(setup).await?;
    on_a_server(setup, async |server| {
        measure(arguments, server, runtime, bare_interpreter.as_deref()).await
    })
    .await
}

async fn bench_start(start: &start::Arguments, setup: &Setup) -> Result<start::Report, Cause> {
    let python = image_and_interpreter(&setup.images_dir).await?;
    let workshop = until_interrupted(Workshop::open(python, &start::REQUIREMENTS)).await?;
    on_a_server(setup, async |server| {
        start::measure(start, server, &workshop).await
    })
    .await
}

async fn bench_protocols(
    protocols: &protocols::Arguments,
    setup: &Setup,
) -> Result<protocols::Report, Cause> {
    let python = image_and_interpreter(&setup.images_dir).await?;
    let workshop = until_interrupted(Workshop::open(python, &protocols::REQUIREMENTS)).await?;
    on_a_server(setup, async |server| {
        protocols::measure(protocols, server, &workshop).await
    })
    .await
}

async fn bench_neighbours(
    neighbours: &neighbours::Arguments,
    setup: &Setup,
) -> Result<neighbours::Report, Cause> {
    let (runtime, _) = choose_runtime(setup).await?;
    on_a_server(setup, async |server| {
        neighbours::measure(neighbours, server, runtime).await
    })
    .await
}

/// Measures on a server of its own, which has ended afterwards however that went.
async fn on_a_server<R>(
    setup: &Setup,
    measure: impl AsyncFnOnce(&Server) -> Result<R, Cause>,
) -> Result<R, Cause> {
    output::progress(format!(
        "starting a server with the {} driver",
        setup.driver_name()
    ));
    let server = until_interrupted(async { Ok(Server::start(setup).await?) }).await?;
    let measured = until_interrupted(measure(&server)).await;
    if measured.is_err() {
        output::progress(format!("the server's log ends with:\n{}", server.log_end()));
    }
    server.stop().await;
    measured
}

/// Does this unless ctrl-C is pressed before it is done.
async fn until_interrupted<R>(work: impl Future<Output = Result<R, Cause>>) -> Result<R, Cause> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

async fn measure(
    arguments: &Arguments,
    server: &Server,
    runtime: RuntimeKind,
    bare_interpreter: Option<&Path>,
) -> Result<Report, Cause> {
    let signer = server.signer();
    output::progress(format!("deploying the agent for {runtime}"));
    let mut client = Client::connect(server.address).await?;
    let deployed = deploy::deploy(&mut client, &signer, runtime, "bench", deploy::SOURCE).await?;
    let subject = Subject {
        server,
        signer: &signer,
        runtime: &deployed,
    };
    let (cold_starts, sessions) = subject.cold_starts(usize::from(arguments.cold)).await?;
    output::progress("memory of idle sessions");
    let idle_memory = subject.idle_memory(sessions.len()).await?;
    let session = subject.keep_last(sessions).await?;
    let bare = match bare_interpreter {
        Some(interpreter) => Some(BareAgent::start(interpreter, deploy::SOURCE).await?),
        None => None,
    };
    let requests = usize::try_from(arguments.requests)?;
    let warm = subject.warm(&session, requests, bare.as_ref()).await?;
    let large_bodies = subject.large_bodies(&session).await?;
    Ok(Report {
        head: Head::new(server.execution(), runtime),
        cold_starts,
        idle_memory,
        warm,
        large_bodies,
    })
}

/// The first runtime this machine can run; for the `process` driver with its interpreter.
async fn choose_runtime(setup: &Setup) -> Result<(RuntimeKind, Option<PathBuf>), Cause> {
    if setup.driver == DriverKind::Process {
        let (runtime, interpreter) = host_interpreter().await?;
        return Ok((runtime, Some(interpreter)));
    }
    let images = ImageStore::open(&setup.images_dir, None)?;
    let found = RUNTIMES.into_iter().find(|runtime| images.base(*runtime).is_ok());
    found.map(|runtime| (runtime, None)).ok_or_else(|| {
        let folder = setup.images_dir.display();
        format!("no base image in {folder}; build one with: coracle image build --images-dir {folder}").into()
    })
}

/// The first runtime that has an interpreter on this machine.
async fn host_interpreter() -> Result<(RuntimeKind, PathBuf), Cause> {
    for runtime in RUNTIMES {
        if let Some((program, _)) = interpreter(runtime).await {
            return Ok((runtime, program));
        }
    }
    Err("no python3.11 to python3.14 on PATH; install python3.11".into())
}

/// The first runtime that has a base image, and an interpreter on this machine.
async fn image_and_interpreter(images_dir: &Path) -> Result<(RuntimeKind, PathBuf), Cause> {
    let images = ImageStore::open(images_dir, None)?;
    for runtime in RUNTIMES {
        if images.base(runtime).is_ok()
            && let Some((program, _)) = interpreter(runtime).await
        {
            return Ok((runtime, program));
        }
    }
    let folder = images_dir.display();
    Err(format!(
        "no Python has both a base image in {folder} and an interpreter on PATH, which the bare process needs; build \
         the image of the one you have, for example: coracle image build PYTHON_3_11 --images-dir {folder}"
    )
    .into())
}

/// A number of milliseconds with as many digits as say something.
fn ms(value: f64) -> String {
    let digits = match value.abs() {
        ..10.0 => 3,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} ms")
}
