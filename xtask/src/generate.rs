//! `cargo xtask generate`: writes `crates/wire/src/generated` from `crates/wire/model` and
//! `crates/wire/operations.toml`, and `docs/coverage.md`. With `--check` it writes nothing and fails if anything would change.
//!
//! One file of rendering per kind of output; each is a pure function from the model to text, formatted by rustfmt
//! at the end.

mod coverage;
mod dispatch;
mod model;
mod naming;
mod operations;
mod pattern;
mod selection;
mod shapes;
mod types;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use model::Model;
use selection::{Configuration, Selection};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if anything would change.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wire");
    let configuration = Configuration::read(&wire.join("operations.toml"))?;
    let control = Model::read(&wire.join("model/bedrock-agentcore-control.json"))?;
    let data = Model::read(&wire.join("model/bedrock-agentcore.json"))?;
    let control = Selection::new("control", &control, &configuration.control)?;
    let data = Selection::new("data", &data, &configuration.data)?;

    let generated = wire.join("src/generated");
    let sources = [
        ("operations.rs", operations::render(&[&control, &data])),
        (
            "control.rs",
            types::render(&control)? + &dispatch::render(&control)?,
        ),
        ("control_shapes.rs", shapes::render(&control)?),
        ("data.rs", types::render(&data)? + &dispatch::render(&data)?),
        ("data_shapes.rs", shapes::render(&data)?),
    ];
    let mut files = vec![(
        wire.join("../../docs/coverage.md"),
        coverage::render(&[&control, &data]),
    )];
    for (name, source) in sources {
        let source = rustfmt(&source).with_context(|| format!("{name} could not be formatted"))?;
        files.push((generated.join(name), source));
    }
    let mut stale = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if arguments.check {
            stale.push(path.display().to_string());
        } else {
            replace(&path, &text)?;
        }
    }
    ensure!(
        stale.is_empty(),
        "out of date: {}; run `cargo xtask generate`",
        stale.join(", ")
    );
    Ok(())
}

/// Formats source as `cargo fmt` would.
fn rustfmt(source: &str) -> anyhow::Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt could not be started")?;
    let mut input = child.stdin.take().context("rustfmt has no input")?;
    let source = source.to_owned();
    let writer = std::thread::spawn(move || input.write_all(source.as_bytes()));
    let output = child.wait_with_output()?;
    if let Ok(written) = writer.join() {
        written?;
    }
    if !output.status.success() {
        bail!("rustfmt failed: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn replace(path: &Path, source: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, source).with_context(|| format!("{} could not be written", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("{} could not be replaced", path.display()))
}
