//! `coracle image`: guest kernel, base images and container images.

use std::path::PathBuf;
use std::time::Duration;

use coracle_artifact::Progress;
use coracle_artifact::images::{ImageError, ImageStore};
use coracle_artifact::oci::{OciStore, PullSettings};
use coracle_server::drivers;
use coracle_types::{Architecture, RuntimeKind};
use indicatif::{ProgressBar, ProgressStyle};

use super::{CommandResult, output};

/// What a server needs to run agents on this machine's recipes.
const STANDARD: [Target; 3] = [
    Target::Kernel,
    Target::Runtime(RuntimeKind::Python311),
    Target::Runtime(RuntimeKind::Python313),
];

/// Examples:
///   coracle image build                           kernel and Python base images, whatever is missing
///   coracle image build PYTHON_3_13 --again       a newer base image
///   coracle image build kernel --arch arm64       what images for another processor need
///   coracle image add PYTHON_3_12 --tar root.tar  a base image of your own
///   coracle image import agent.tar --name registry.example.com/team/agent:1
///                                                 a container image without a registry
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The server's data folder [default: the user's data folder].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Folder with kernel and base images [default: images in the data folder].
    #[arg(long, value_name = "DIR", global = true)]
    images_dir: Option<PathBuf>,
    /// A Debian mirror to use instead of Debian's own servers.
    #[arg(long, value_name = "URL", global = true)]
    mirror: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Build what is missing from Debian packages: everything, or what is named.
    Build {
        /// `kernel`, or a runtime such as PYTHON_3_13.
        #[arg(value_name = "WHAT")]
        targets: Vec<Target>,
        /// Build even if it is there, to get newer packages.
        #[arg(long)]
        again: bool,
        /// Processor that the kernel is for, instead of this machine's: amd64 or arm64.
        #[arg(long, value_name = "ARCH")]
        arch: Option<Architecture>,
    },
    /// Use a root file system of your own for a runtime.
    Add {
        /// A runtime such as PYTHON_3_12.
        runtime: RuntimeKind,
        /// Tar archive of a root file system that has the runtime's interpreter.
        #[arg(long, value_name = "FILE")]
        tar: PathBuf,
    },
    /// Take a container image from an OCI layout: a folder, or a tar archive of one.
    ///
    /// Runtimes whose containerUri is the name run it, and no registry is asked. A running server sees it at once.
    Import {
        /// The folder or archive.
        path: PathBuf,
        /// What the image is called from now on, such as registry.example.com/team/agent:1.
        #[arg(long, value_name = "REFERENCE")]
        name: String,
    },
    /// List what is there.
    List,
    /// Remove the base images of a runtime, or the name of an imported container image.
    Remove {
        /// A runtime such as PYTHON_3_12, or the name of a container image.
        what: String,
    },
}

#[derive(Clone, Copy)]
enum Target {
    Kernel,
    Runtime(RuntimeKind),
}

impl std::str::FromStr for Target {
    type Err = coracle_types::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "kernel" {
            Ok(Self::Kernel)
        } else {
            text.parse().map(Self::Runtime)
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> CommandResult {
    let data_dir = arguments.data_dir.unwrap_or_else(crate::default_data_dir);
    let folder = arguments.images_dir.unwrap_or_else(|| data_dir.join("images"));
    let containers = || OciStore::open(data_dir.join("containers"));
    let images = ImageStore::open(&folder, arguments.mirror)?;
    match arguments.command {
        Command::Build { targets, again, arch } => {
            let own = drivers::own_architecture()?;
            let arch = arch.unwrap_or(own);
            let targets: &[Target] = match targets.as_slice() {
                [] if arch == own => &STANDARD,
                [] => &[Target::Kernel],
                named => named,
            };
            for target in targets {
                build(&images, *target, arch, again)?;
            }
        }
        Command::Add { runtime, tar } => {
            let bar = Bar::start();
            let image = images.add_base(runtime, &tar, &bar)?;
            bar.finish();
            output::data(format!("{runtime}  {}", image.path.display()));
        }
        Command::Import { path, name } => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let import = containers()?;
            let own = drivers::own_architecture()?;
            let settings = PullSettings {
                architectures: vec![own, own.other()],
                ..PullSettings::default()
            };
            let image = runtime.block_on(import.import(&path, Some(&name), &settings))?;
            output::data(format!("{name}  sha256:{}", image.digest));
            if image.architecture != own {
                output::progress(format!(
                    "the image is for linux/{}: it runs where other_architectures = true in [containers]",
                    image.architecture
                ));
            }
        }
        Command::List => {
            list(&images)?;
            list_containers(&containers()?)?;
        }
        Command::Remove { what } => remove(&images, &containers()?, &what)?,
    }
    Ok(())
}

fn build(images: &ImageStore, target: Target, arch: Architecture, again: bool) -> CommandResult {
    let bar = Bar::start();
    let (name, path) = match target {
        Target::Kernel => {
            let kernel = if again {
                images.build_kernel(arch, &bar)?
            } else {
                images.ensure_kernel(arch, &bar)?
            };
            ("kernel".to_owned(), kernel.vmlinuz())
        }
        Target::Runtime(runtime) if Architecture::host() != Some(arch) => {
            return Err(format!(
                "{runtime} cannot be built for {arch}: code runs on this machine's own processor; only container images \
                 run on others"
            )
            .into());
        }
        Target::Runtime(runtime) => {
            let image = if again {
                images.build_base(runtime, &bar)?
            } else {
                images.ensure_base(runtime, &bar)?
            };
            (runtime.to_string(), image.path)
        }
    };
    bar.finish();
    output::data(format!("{name}  {}", path.display()));
    Ok(())
}

fn list(images: &ImageStore) -> CommandResult {
    for architecture in Architecture::ALL {
        let is_own = Architecture::host() == Some(architecture);
        match images.kernel(architecture) {
            Ok(kernel) => output::data(format!("kernel       {}", kernel.release())),
            Err(ImageError::NoKernel(_)) if !is_own => {}
            Err(error) => output::data(format!("kernel       none: {error}")),
        }
    }
    for image in images.bases()? {
        let state = if image.current { "" } else { "  (superseded)" };
        let mib = image.manifest.size / (1024 * 1024);
        output::data(format!(
            "{:<12} {}  {mib} MiB  from {}{state}",
            image.manifest.runtime.as_str(),
            image.manifest.id,
            image.manifest.source
        ));
    }
    Ok(())
}

/// Container images: what was imported by its name, everything else by the reference it was pulled by.
fn list_containers(containers: &OciStore) -> CommandResult {
    let imported = containers.imported()?;
    for image in containers.list()? {
        let mib = image.size / (1024 * 1024);
        let known = imported.iter().filter(|(_, digest)| **digest == image.digest);
        let names: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        let origin = match names.as_slice() {
            [] => format!("pulled from {}", image.reference),
            names => format!("imported as {}", names.join(", ")),
        };
        output::data(format!(
            "container    sha256:{}  {}  {mib} MiB  {} layers  {origin}",
            image.digest, image.architecture, image.layers
        ));
    }
    Ok(())
}

fn remove(images: &ImageStore, containers: &OciStore, what: &str) -> CommandResult {
    let removed = match what.parse::<RuntimeKind>() {
        Ok(runtime) => images.remove_base(runtime)?,
        Err(_) => containers.remove_name(what)?,
    };
    if !removed {
        return Err(
            format!("there is neither a base image nor an imported container image called {what}").into(),
        );
    }
    output::data(format!("{what}  removed"));
    Ok(())
}

/// Progress on stderr: a moving line on a terminal, a line a step elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    fn finish(self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn step(&self, text: &str, fraction: Option<f32>) {
        let percent = fraction.map_or_else(String::new, |fraction| format!(" {:.0} %", fraction * 100.0));
        if self.0.is_hidden() {
            tracing::info!("{text}{percent}");
        } else {
            self.0.set_message(format!("{text}{percent}"));
        }
    }
}
