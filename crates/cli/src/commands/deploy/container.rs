//! Builds a container image from a Dockerfile, with whatever builder this host has, and gets it to the server: into
//! its bucket as an archive, or into a registry.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::failure::Failure;
use crate::output::Printer;

/// What a build is described by, in the order they are looked for.
const RECIPES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// A program that builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builder {
    Buildah,
    Podman,
    Docker,
}

/// In the order they are looked for: those that need no daemon first.
const BUILDERS: [Builder; 3] = [Builder::Buildah, Builder::Podman, Builder::Docker];

/// A built image, in the builder's own store.
#[derive(Debug)]
pub(super) struct BuiltImage {
    builder: Builder,
    name: String,
    /// SHA-256 of its configuration in hexadecimal: the same for the same content.
    pub(super) id: String,
}

impl Builder {
    fn program(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    fn build(self, recipe: &Path, name: &str, folder: &Path) -> Vec<String> {
        let (recipe, folder) = (recipe.display().to_string(), folder.display().to_string());
        let mut build = words(&["build", "--file", &recipe, "--tag", name, &folder]);
        if self == Self::Buildah {
            // The others do so anyway: a step whose input is unchanged is not done again, so the image keeps its id.
            build.insert(1, "--layers".to_owned());
        }
        build
    }

    /// Prints the image's id.
    fn identify(self, name: &str) -> Vec<String> {
        match self {
            Self::Buildah => words(&["images", "--quiet", "--no-trunc", name]),
            Self::Podman | Self::Docker => words(&["image", "inspect", "--format", "{{.Id}}", name]),
        }
    }

    /// Writes the image as an archive of an OCI layout.
    fn save(self, name: &str, file: &Path) -> Vec<String> {
        let file = file.display().to_string();
        match self {
            Self::Buildah => words(&["push", name, &format!("oci-archive:{file}")]),
            Self::Podman => words(&["save", "--format", "oci-archive", "--output", &file, name]),
            Self::Docker => words(&["save", "--output", &file, name]),
        }
    }

    /// Puts the image into a registry; one call after another.
    fn push(self, name: &str, reference: &str) -> Vec<Vec<String>> {
        match self {
            Self::Buildah => vec![words(&["push", name, &format!("docker://{reference}")])],
            Self::Podman => vec![words(&["push", name, reference])],
            Self::Docker => vec![words(&["tag", name, reference]), words(&["push", reference])],
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Builds the image in `folder`, showing what the builder says.
pub(super) async fn build(folder: &Path, name: &str, printer: &Printer) -> Result<BuiltImage, Failure> {
    let recipe = recipe(folder)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let builder = find(&std::env::split_paths(&path).collect::<Vec<_>>())?;
    printer.info(&format!(
        "Building {} with {}",
        recipe.display(),
        builder.program()
    ));
    let name = format!("coracle/{}:latest", name.to_lowercase());
    run(builder, &builder.build(&recipe, &name, folder)).await?;
    let id = ask(builder, &builder.identify(&name)).await?;
    let id = id.lines().next().unwrap_or_default().trim();
    let id = id.trim_start_matches("sha256:").to_owned();
    if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(
            format!(
                "{} built the image, but says that its id is `{id}`",
                builder.program()
            ),
            "build the image yourself, push it to a registry, and create the runtime with the AWS CLI",
        ));
    }
    printer.done(&format!("Built image {}", &id[..12]));
    Ok(BuiltImage { builder, name, id })
}

impl BuiltImage {
    /// Writes it as an archive.
    pub(super) async fn save(&self, file: &Path) -> Result<(), Failure> {
        run(self.builder, &self.builder.save(&self.name, file)).await
    }

    /// Puts it into a registry, with the credentials that the builder has.
    pub(super) async fn push(&self, reference: &str) -> Result<(), Failure> {
        for arguments in self.builder.push(&self.name, reference) {
            run(self.builder, &arguments).await?;
        }
        Ok(())
    }
}

fn recipe(folder: &Path) -> Result<PathBuf, Failure> {
    let found = RECIPES
        .iter()
        .map(|name| folder.join(name))
        .find(|recipe| recipe.is_file());
    found.ok_or_else(|| {
        Failure::usage(
            format!("there is no Dockerfile in {}", folder.display()),
            "write one there, or set `build` of the runtime to CodeZip",
        )
    })
}

fn find(path: &[PathBuf]) -> Result<Builder, Failure> {
    let is_there = |builder: &Builder| path.iter().any(|folder| folder.join(builder.program()).is_file());
    BUILDERS.into_iter().find(is_there).ok_or_else(|| {
        Failure::usage(
            "this machine has nothing to build container images with: neither buildah nor podman nor docker",
            "install one (Debian: apt-get install buildah), or set `build` of the runtime to CodeZip",
        )
    })
}

/// Runs the builder; what it says goes to the user's stderr, since stdout is for results.
async fn run(builder: Builder, arguments: &[String]) -> Result<(), Failure> {
    let program = builder.program();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(Failure::Start)?;
    if status.success() {
        return Ok(());
    }
    Err(failed(program, arguments))
}

/// Runs the builder for what it prints.
async fn ask(builder: Builder, arguments: &[String]) -> Result<String, Failure> {
    let program = builder.program();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Failure::Start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(program, arguments))
}

fn failed(program: &str, arguments: &[String]) -> Failure {
    let called = arguments.first().map_or("", String::as_str);
    Failure::usage(
        format!("{program} {called} failed; what it said is above"),
        format!("run it by hand to see more: {program} {}", arguments.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_without_a_daemon_is_preferred() {
        let folder = tempfile::tempdir().unwrap();
        let path = [folder.path().to_owned()];
        let missing = find(&path).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("neither buildah nor podman nor docker"),
            "{missing}"
        );
        std::fs::write(folder.path().join("docker"), "").unwrap();
        assert_eq!(find(&path).unwrap(), Builder::Docker);
        std::fs::write(folder.path().join("buildah"), "").unwrap();
        assert_eq!(find(&path).unwrap(), Builder::Buildah);
    }

    #[test]
    fn every_builder_writes_archives_and_pushes() {
        let said = |builder: Builder| {
            let push: Vec<String> = builder
                .push("n", "r.example.com/n:1")
                .iter()
                .map(|call| call.join(" "))
                .collect();
            (builder.save("n", Path::new("/f")).join(" "), push.join("; "))
        };
        assert_eq!(
            said(Builder::Buildah),
            (
                "push n oci-archive:/f".to_owned(),
                "push n docker://r.example.com/n:1".to_owned()
            )
        );
        assert_eq!(
            said(Builder::Podman),
            (
                "save --format oci-archive --output /f n".to_owned(),
                "push n r.example.com/n:1".to_owned()
            )
        );
        assert_eq!(
            said(Builder::Docker),
            (
                "save --output /f n".to_owned(),
                "tag n r.example.com/n:1; push r.example.com/n:1".to_owned()
            )
        );
    }

    #[test]
    fn a_folder_without_a_recipe_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            recipe(folder.path())
                .unwrap_err()
                .to_string()
                .contains("no Dockerfile")
        );
        std::fs::write(folder.path().join("Containerfile"), "FROM scratch").unwrap();
        assert!(recipe(folder.path()).unwrap().ends_with("Containerfile"));
    }
}
