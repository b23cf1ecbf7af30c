//! `agentcore package`: the zip that `deploy` would upload, as a file.

use super::Place;
use crate::args::PackageCode;
use crate::failure::Failure;
use crate::output::{Printer, count, size};
use crate::package::{self, Arch, Package};
use crate::project::{Build, LOCKS, Project, RuntimeEntry};

/// How many left-out paths are named.
const NAMED_PATHS: usize = 6;

pub(super) async fn run(place: &Place<'_>, arguments: &PackageCode) -> Result<(), Failure> {
    let (printer, project) = (place.printer, place.project()?);
    let entry = project.runtime(place.global.runtime.as_deref())?;
    if entry.build == Build::Container {
        let hint = "`agentcore deploy` builds it and takes it there; buildah or docker build it from the Dockerfile alone";
        return Err(Failure::usage(
            format!("{} is a container image, not a zip", entry.name),
            hint,
        ));
    }
    let arch = arguments
        .arch
        .or_else(Arch::of_this_host)
        .ok_or_else(unknown_arch)?;
    let package = make(printer, project, entry, arch, arguments.refresh).await?;
    let output = match &arguments.output {
        Some(path) => path.clone(),
        None => format!("{}.zip", entry.name).into(),
    };
    let written = tokio::fs::copy(&package.file, &output).await;
    written.map_err(|source| Failure::Unwritable {
        path: output.clone(),
        source,
    })?;
    if printer.json {
        return printer.json(&serde_json::json!({
            "file": output, "sha256": package.sha256, "size": package.size, "files": package.files,
        }));
    }
    printer.line(&output.display().to_string())
}

/// Makes the zip of a runtime, and says what became of it.
pub(super) async fn make(
    printer: &Printer,
    project: &Project,
    entry: &RuntimeEntry,
    arch: Arch,
    refresh: bool,
) -> Result<Package, Failure> {
    let request = package::Request {
        code: project.root.join(&entry.code_location),
        entry_file: entry.entry_file().to_owned(),
        runtime: entry.runtime_version,
        arch,
        locks: project.root.join(LOCKS),
        refresh,
    };
    let package = package::build(request, printer).await?;
    let (zipped, unpacked) = (size(package.size), size(package.unpacked));
    let files = count(package.files, "file");
    printer.done(&format!("Packaged {files}: {zipped} zipped, {unpacked} unpacked"));
    if !package.left_out.is_empty() {
        printer.info(&format!("  left out: {}", some_of(&package.left_out)));
    }
    Ok(package)
}

/// This machine is of an architecture that no server has.
pub(super) fn unknown_arch() -> Failure {
    let hint = "name the server's with --arch";
    Failure::usage("this host's architecture cannot be packaged for", hint)
}

fn some_of(paths: &[String]) -> String {
    let named = paths[..paths.len().min(NAMED_PATHS)].join(", ");
    match paths.len().saturating_sub(NAMED_PATHS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_left_out_paths_are_named() {
        let paths: Vec<_> = (1..=8).map(|number| number.to_string()).collect();
        assert_eq!(some_of(&paths), "1, 2, 3, 4, 5, 6 and 2 more");
        assert_eq!(some_of(&paths[..2]), "1, 2");
    }
}
