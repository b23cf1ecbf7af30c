//! `coracle bench images`: how fast images are pulled, and whether sessions start slower from a large one.
//!
//! Two images with the same agent, one small and one large, are made with the host's interpreter and pushed to a
//! registry on this machine.
//!
//! | figure | before the clock runs | on the clock |
//! |---|---|---|
//! | pull, Coracle | a server without any image, which runs nothing | `CreateAgentRuntime` until `READY`: the image is on disk as machines mount it, synced |
//! | pull, others | an empty folder | `skopeo copy` into it, then `umoci unpack`: the image is a folder, not synced |
//! | start | both images have their templates | the first invocation of a new session, to its first byte |

mod pull;
mod registry;
mod report;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::registry::Registry;
pub(super) use self::report::Report;
use self::report::{ImageReport, Pulls};
use super::report::Head;
use super::script::Workshop;
use super::server::{Server, Setup};
use super::start::Agent;
use super::{Cause, Execution, host_interpreter, on_a_server, until_interrupted};
use crate::commands::output;

const MAKE: &str = include_str!("make.py");
const STARTS: &str = include_str!("starts.py");
const REQUIREMENTS: [&str; 2] = ["bedrock-agentcore==1.25.0", "boto3==1.44.5"];

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Size of the small image's files; it has what its agent needs, whatever is said here.
    #[arg(long, value_name = "MIB", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    small: u32,
    /// Size of the large image's files.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    large: u32,
    /// Pulls of each image each way.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pulls: u16,
    /// New sessions of each image.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    sessions: u16,
    /// A registry on this machine that speaks HTTP without TLS [default: docker-registry is started].
    #[arg(long, value_name = "HOST:PORT")]
    registry: Option<String>,
}

/// What `make.py` is told.
#[derive(Serialize)]
struct Wanted<'a> {
    mebibytes: u32,
    registry: &'a str,
    repository: &'a str,
    packages: &'a Path,
    /// The agent's main.py.
    agent: &'a Path,
}

/// What `make.py` says of an image.
#[derive(Clone, Serialize, Deserialize)]
struct Size {
    compressed_bytes: u64,
    unpacked_bytes: u64,
    files: u64,
    layers: u64,
}

/// An image in the registry.
#[derive(Serialize)]
struct Image {
    name: &'static str,
    uri: String,
    #[serde(skip)]
    size: Size,
}

/// What `starts.py` is told.
#[derive(Serialize)]
struct Plan<'a> {
    data_dir: &'a Path,
    sessions: u16,
    images: &'a [Image],
}

/// What it says of one image.
#[derive(Deserialize)]
struct Starts {
    create_to_ready_seconds: f64,
    seconds: Vec<f64>,
}

/// Measures all of it.
pub(super) async fn bench(arguments: &Arguments, setup: &Setup) -> Result<Report, Cause> {
    let measured = until_interrupted(async {
        let registry = match &arguments.registry {
            Some(host) => Registry::at(host),
            None => Registry::start().await?,
        };
        let workshop = Workshop::open(host_interpreter().await?, &REQUIREMENTS).await?;
        let images = make(arguments, &workshop, &registry).await?;
        let pulls = pulls(arguments, setup, &images).await?;
        Ok((registry, workshop, images, pulls))
    });
    let (_registry, workshop, images, pulls) = measured.await?;
    let (execution, starts) = on_a_server(setup, async |server| {
        starts(arguments, server, &workshop, &images).await
    })
    .await?;
    let reports = images.into_iter().zip(pulls).zip(starts);
    let reports = reports.map(|((image, pulls), starts)| ImageReport::new(image, &pulls, &starts));
    Ok(Report::new(
        Head::new(execution, workshop.runtime),
        reports.collect(),
    ))
}

/// The small image and the large one.
async fn make(arguments: &Arguments, workshop: &Workshop, registry: &Registry) -> Result<Vec<Image>, Cause> {
    let agent = workshop.folder().join("agent.py");
    std::fs::write(&agent, Agent::Hello.source())?;
    let mut images = Vec::new();
    for (name, mebibytes) in [("small", arguments.small), ("large", arguments.large)] {
        output::progress(format!("making an image of {mebibytes} MiB"));
        let repository = format!("coracle-bench/{name}");
        let wanted = Wanted {
            mebibytes,
            registry: &registry.host,
            repository: &repository,
            packages: workshop.packages(),
            agent: &agent,
        };
        let size: Size = workshop.run(MAKE, &wanted).await?;
        let uri = format!("{}/{repository}:latest", registry.host);
        images.push(Image { name, uri, size });
    }
    Ok(images)
}

/// Pulls of each image, in turn with the other way so that what else the machine does meets both.
async fn pulls(arguments: &Arguments, setup: &Setup, images: &[Image]) -> Result<Vec<Pulls>, Cause> {
    let with_others = pull::others_are_installed();
    if !with_others {
        output::progress(
            "skopeo and umoci are not both installed, so nothing is compared (Debian: apt-get install skopeo umoci)",
        );
    }
    let mut measured = Vec::new();
    for image in images {
        output::progress(format!("{} pulls of the {} image", arguments.pulls, image.name));
        let mut pulls = Pulls::default();
        for _ in 0..arguments.pulls {
            let pulled = pull::by_coracle(setup, &image.uri).await?;
            pulls.by_coracle.push(pulled.took);
            pulls.peak_memory = pulls.peak_memory.max(pulled.peak_memory);
            if with_others {
                pulls.by_others.push(pull::by_the_others(&image.uri).await?);
            }
        }
        measured.push(pulls);
    }
    Ok(measured)
}

async fn starts(
    arguments: &Arguments,
    server: &Server,
    workshop: &Workshop,
    images: &[Image],
) -> Result<(Execution, Vec<Starts>), Cause> {
    let plan = Plan {
        data_dir: &server.data_dir(),
        sessions: arguments.sessions,
        images,
    };
    Ok((server.execution(), workshop.measure(STARTS, server, &plan).await?))
}

impl Starts {
    fn times(&self) -> impl Iterator<Item = Duration> {
        self.seconds.iter().copied().map(Duration::from_secs_f64)
    }
}
