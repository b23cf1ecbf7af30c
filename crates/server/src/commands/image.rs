//! `coracle image`: guest kernel and base images.

use std::path::PathBuf;
use std::time::Duration;

use coracle_artifact::Progress;
use coracle_artifact::images::ImageStore;
use coracle_types::RuntimeKind;
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
///   coracle image add PYTHON_3_12 --tar root.tar  a base image of your own
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Folder with kernel and base images [default: images in the user's data folder].
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
    },
    /// Use a root file system of your own for a runtime.
    Add {
        /// A runtime such as PYTHON_3_12.
        runtime: RuntimeKind,
        /// Tar archive of a root file system that has the runtime's interpreter.
        #[arg(long, value_name = "FILE")]
        tar: PathBuf,
    },
    /// List what is there.
    List,
    /// Remove the base images of a runtime.
    Remove {
        /// A runtime such as PYTHON_3_12.
        runtime: RuntimeKind,
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
    let folder = arguments
        .images_dir
        .unwrap_or_else(|| crate::default_data_dir().join("images"));
    let images = ImageStore::open(&folder, arguments.mirror)?;
    match arguments.command {
        Command::Build { targets, again } => {
            let targets = if targets.is_empty() {
                STANDARD.to_vec()
            } else {
                targets
            };
            for target in targets {
                build(&images, target, again)?;
            }
        }
        Command::Add { runtime, tar } => {
            let bar = Bar::start();
            let image = images.add_base(runtime, &tar, &bar)?;
            bar.finish();
            output::data(format!("{runtime}  {}", image.path.display()));
        }
        Command::List => list(&images)?,
        Command::Remove { runtime } => {
            if !images.remove_base(runtime)? {
                return Err(format!("there is no base image for {runtime} in {}", folder.display()).into());
            }
            output::data(format!("{runtime}  removed"));
        }
    }
    Ok(())
}

fn build(images: &ImageStore, target: Target, again: bool) -> CommandResult {
    let bar = Bar::start();
    let (name, path) = match target {
        Target::Kernel => {
            let kernel = if again {
                images.build_kernel(&bar)?
            } else {
                images.ensure_kernel(&bar)?
            };
            ("kernel".to_owned(), kernel.vmlinuz())
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
    match images.kernel() {
        Ok(kernel) => output::data(format!("kernel       {}", kernel.release())),
        Err(error) => output::data(format!("kernel       none: {error}")),
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
