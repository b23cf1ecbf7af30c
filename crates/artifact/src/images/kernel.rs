//! The guest kernel: Debian's cloud kernel, the same on every host, never installed there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::debian::{PrivateApt, architecture};
use super::modules::{self, MICROVM_MODULES, NESTED_KVM_MODULES};
use super::{ImageError, ImageStore, current, make_current, read_manifest, vmlinuz, write_manifest};
use crate::files;
use crate::progress::Progress;

/// The suite whose kernel is used.
const SUITE: &str = "bookworm";

/// A guest kernel with the modules it may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    folder: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    package: String,
    has_vmlinux: bool,
    /// Each module with those it needs.
    modules: BTreeMap<String, Vec<String>>,
    built_in: BTreeSet<String>,
}

impl KernelImage {
    /// The package it comes from, which names its release.
    pub fn package(&self) -> &str {
        &self.manifest.package
    }

    /// The kernel as boot loaders take it (bzImage or Image).
    pub fn vmlinuz(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The uncompressed ELF image, which boots faster in emulation, where the package allows taking it out.
    pub fn vmlinux(&self) -> Option<PathBuf> {
        self.manifest.has_vmlinux.then(|| self.folder.join("vmlinux"))
    }

    /// The files of `wanted` modules and of all they need, in the order in which to load them.
    ///
    /// # Errors
    /// When one is neither here nor built in.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<PathBuf>, ImageError> {
        let order = modules::load_order(wanted, &self.manifest.modules, &self.manifest.built_in)
            .map_err(|missing| bad_kernel(self.package(), format!("has no module {missing}")))?;
        Ok(order.iter().map(|name| module_file(&self.folder, name)).collect())
    }
}

impl ImageStore {
    /// The guest kernel in use.
    ///
    /// # Errors
    /// [`ImageError::NoKernel`] when there is none.
    pub fn kernel(&self) -> Result<KernelImage, ImageError> {
        let folder = current(&self.folder.join("kernel"))?.ok_or(ImageError::NoKernel)?;
        let manifest = read_manifest(&folder)?;
        Ok(KernelImage { folder, manifest })
    }

    /// Downloads the newest guest kernel and puts it into use.
    ///
    /// # Errors
    /// When a tool is missing or fails, or the package is not what it should be.
    pub fn build_kernel(&self, progress: &dyn Progress) -> Result<KernelImage, ImageError> {
        let _lock = self.lock("kernel", progress)?;
        self.fetch_kernel(progress)
    }

    /// The guest kernel in use; downloads one where there is none.
    ///
    /// # Errors
    /// As for [`ImageStore::build_kernel`].
    pub fn ensure_kernel(&self, progress: &dyn Progress) -> Result<KernelImage, ImageError> {
        match self.kernel() {
            Err(ImageError::NoKernel) => {}
            found => return found,
        }
        let _lock = self.lock("kernel", progress)?;
        match self.kernel() {
            Err(ImageError::NoKernel) => self.fetch_kernel(progress),
            made_meanwhile => made_meanwhile,
        }
    }

    fn fetch_kernel(&self, progress: &dyn Progress) -> Result<KernelImage, ImageError> {
        let kernels = self.folder.join("kernel");
        let apt = PrivateApt::new(&kernels, &self.mirrors, SUITE, progress)?;
        let meta = format!("linux-image-cloud-{}", architecture()?);
        let package = apt.dependency(&meta, "linux-image-")?;
        let unpacked = files::draft_folder(&kernels)?;
        apt.unpack(&package, unpacked.path(), progress)?;

        progress.step("Preparing the guest kernel", None);
        let draft = files::draft_folder(&kernels)?;
        let manifest = assemble(unpacked.path(), draft.path(), &package)?;
        write_manifest(draft.path(), &manifest)?;
        let folder = kernels.join(&package);
        files::publish_folder(draft, &folder)?;
        make_current(&kernels, &package)?;
        Ok(KernelImage { folder, manifest })
    }
}

/// Copies what is needed of an unpacked kernel package to `target`.
fn assemble(unpacked: &Path, target: &Path, package: &str) -> Result<Manifest, ImageError> {
    let image = find(&unpacked.join("boot"), "vmlinuz-")?
        .ok_or_else(|| bad_kernel(package, "holds no kernel".to_owned()))?;
    let vmlinuz = fs::read(image)?;
    put(&target.join("vmlinuz"), &vmlinuz)?;
    let vmlinux = vmlinuz::extract(&vmlinuz)?;
    if let Some(vmlinux) = &vmlinux {
        put(&target.join("vmlinux"), vmlinux)?;
    }

    let tree = find(&unpacked.join("lib/modules"), "")?
        .ok_or_else(|| bad_kernel(package, "holds no modules".to_owned()))?;
    let list = |name: &str| fs::read_to_string(tree.join(name));
    let built_in = list("modules.builtin")?
        .lines()
        .map(modules::canonical_name)
        .collect();
    let paths: BTreeMap<String, PathBuf> = list("modules.order")?
        .lines()
        .map(|line| (modules::canonical_name(line), tree.join(line)))
        .collect();
    let kept = copy_modules(&paths, &built_in, target, package)?;
    Ok(Manifest {
        package: package.to_owned(),
        has_vmlinux: vmlinux.is_some(),
        modules: kept,
        built_in,
    })
}

/// Copies the modules a microVM may need with all they need; what this architecture lacks is left out. Returns
/// them with what each needs.
fn copy_modules(
    paths: &BTreeMap<String, PathBuf>,
    built_in: &BTreeSet<String>,
    target: &Path,
    package: &str,
) -> Result<BTreeMap<String, Vec<String>>, ImageError> {
    let wanted = MICROVM_MODULES.iter().chain(&NESTED_KVM_MODULES);
    let mut ahead: Vec<String> = wanted.map(|name| (*name).to_owned()).collect();
    let mut kept = BTreeMap::new();
    fs::create_dir(target.join("modules"))?;
    while let Some(name) = ahead.pop() {
        if built_in.contains(&name) || kept.contains_key(&name) {
            continue;
        }
        let Some(path) = paths.get(&name) else { continue };
        let module = fs::read(path)?;
        let needed = modules::dependencies(&module)
            .ok_or_else(|| bad_kernel(package, format!("has an unreadable module {name}")))?;
        put(&module_file(target, &name), &module)?;
        ahead.extend(needed.iter().cloned());
        kept.insert(name, needed);
    }
    files::sync_folder(&target.join("modules"))?;
    Ok(kept)
}

fn module_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("modules").join(format!("{name}.ko"))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

fn find(folder: &Path, prefix: &str) -> Result<Option<PathBuf>, ImageError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn bad_kernel(package: &str, what: String) -> ImageError {
    ImageError::BadKernel {
        package: package.to_owned(),
        what,
    }
}
