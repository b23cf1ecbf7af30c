//! `cargo xtask build`: the programs people run, and the guest beside them.
//!
//! The guest is linked statically, because it runs where there is no libc: as the first process of a microVM. It
//! is copied to the folder of the other programs, where the server looks for it. For another processor it is linked by
//! the toolchain's own linker, so that no cross compiler is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Builds with optimisation.
    #[arg(long)]
    release: bool,
    /// Builds the tests, too, and everything with the features that they need: `cargo test --workspace` then has
    /// nothing left to build.
    #[arg(long, conflicts_with = "release")]
    tests: bool,
    /// Builds the guest program for another processor, too, which container images for it need.
    #[arg(long, value_name = "ARCH")]
    guest: Option<Processor>,
}

/// A processor, in the words of container images.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Processor {
    Amd64,
    Arm64,
}

impl Processor {
    /// As Rust calls it.
    fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// What the guest program is linked for, and what it is called then.
struct Guest {
    target: String,
    name: String,
    /// What cargo is told of the target: the end of a variable's name, and its value.
    setting: (&'static str, &'static str),
}

impl Guest {
    /// For this machine's own processor, with its C library.
    fn own() -> anyhow::Result<Self> {
        let machine = std::env::consts::ARCH;
        ensure!(
            ["x86_64", "aarch64"].contains(&machine),
            "there are no microVMs for the processor architecture {machine}"
        );
        Ok(Self {
            target: format!("{machine}-unknown-linux-gnu"),
            name: "coracle-guest".to_owned(),
            setting: ("RUSTFLAGS", "-C target-feature=+crt-static"),
        })
    }

    /// For another, with the C library that Rust brings.
    fn other(processor: Processor) -> anyhow::Result<Self> {
        let value = clap::ValueEnum::to_possible_value(&processor).context("naming the processor")?;
        Ok(Self {
            target: format!("{}-unknown-linux-musl", processor.machine()),
            name: format!("coracle-guest-{}", value.get_name()),
            setting: ("LINKER", "rust-lld"),
        })
    }

    fn build(&self, profile: &str, output: &str) -> anyhow::Result<()> {
        let variables = self.target.to_uppercase().replace('-', "_");
        let (name, value) = self.setting;
        let settings = [(format!("CARGO_TARGET_{variables}_{name}"), value)];
        let arguments = [
            "build",
            "--profile",
            profile,
            "--package",
            "coracle-guest",
            "--target",
            &self.target,
        ];
        cargo(&arguments, &settings)?;
        let folder = target_folder();
        let (from, to) = (folder.join(&self.target).join(output), folder.join(output));
        // Renamed into place: a running copy cannot be overwritten.
        let draft = to.join(format!("{}.draft", self.name));
        std::fs::copy(from.join("coracle-guest"), &draft).context("copying the guest program")?;
        std::fs::rename(&draft, to.join(&self.name)).context("putting the guest program into place")
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let own = Guest::own()?;
    let (profile, output) = if arguments.release {
        ("release", "release")
    } else {
        ("dev", "debug")
    };
    let what: &[_] = if arguments.tests {
        &["--workspace", "--all-targets"]
    } else {
        &["--package", "coracle-server", "--package", "coracle-cli"]
    };
    cargo(&[&["build", "--profile", profile], what].concat(), &[])?;
    own.build(profile, output)?;
    match arguments.guest {
        Some(other) if other.machine() != std::env::consts::ARCH => {
            Guest::other(other)?.build(profile, output)
        }
        _ => Ok(()),
    }
}

/// Runs cargo with these variables.
fn cargo(arguments: &[&str], variables: &[(String, &str)]) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).envs(variables.iter().cloned());
    let status = command.status().context("running cargo")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    )
}
