//! `cargo xtask build`: the programs people run, and the guest beside them.
//!
//! The guest is linked statically, because it runs where there is no libc: as the first process of a microVM. It
//! is copied to the folder of the other programs, where the server looks for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Builds with optimisation.
    #[arg(long)]
    release: bool,
    /// Builds the tests, too, and everything with the features that they need: `cargo test --workspace` then has
    /// nothing left to build.
    #[arg(long, conflicts_with = "release")]
    tests: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let target = match std::env::consts::ARCH {
        arch @ ("x86_64" | "aarch64") => format!("{arch}-unknown-linux-gnu"),
        other => bail!("there are no microVMs for the processor architecture {other}"),
    };
    let profile = if arguments.release { "release" } else { "dev" };
    let what: &[_] = if arguments.tests {
        &["--workspace", "--all-targets"]
    } else {
        &["--package", "coracle-server", "--package", "coracle-cli"]
    };
    cargo(&[&["build", "--profile", profile], what].concat(), None)?;
    cargo(
        &[
            "build",
            "--profile",
            profile,
            "--package",
            "coracle-guest",
            "--target",
            &target,
        ],
        Some(&target),
    )?;
    let folder = target_folder();
    let output = if arguments.release { "release" } else { "debug" };
    let (from, to) = (folder.join(&target).join(output), folder.join(output));
    // Renamed into place: a running copy cannot be overwritten.
    let draft = to.join("coracle-guest.draft");
    std::fs::copy(from.join("coracle-guest"), &draft).context("copying the guest program")?;
    std::fs::rename(&draft, to.join("coracle-guest")).context("putting the guest program into place")
}

/// Runs cargo; for a static target with the C library linked in, for that target only.
fn cargo(arguments: &[&str], static_target: Option<&str>) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    if let Some(target) = static_target {
        let variable = format!(
            "CARGO_TARGET_{}_RUSTFLAGS",
            target.to_uppercase().replace('-', "_")
        );
        command.env(variable, "-C target-feature=+crt-static");
    }
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
