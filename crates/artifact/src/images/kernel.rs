//! The guest kernel: Debian's cloud kernel, the same on every host, never installed there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use coracle_types::Architecture;
use serde::{Deserialize, Serialize};

use super::debian::{Variant, Wanted};
use super::modules::{self, FOLDER_MODULES, MICROVM_MODULES, NESTED_KVM_MODULES};
use super::{ImageError, ImageStore, current, make_current, read_manifest, vmlinuz, write_manifest};
use crate::files;
use crate::progress::Progress;
use crate::tar_tree::{self, TarSource};
use crate::tree::{Content, ContentSource, Kind, Tree};

/// The suite whose kernel is used.
const SUITE: &str = "bookworm";
/// Largest file that is taken out of the kernel package, in bytes.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// A guest kernel with the modules it may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    folder: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    release: String,
    has_vmlinux: bool,
    /// Each module with those it needs.
    modules: BTreeMap<String, Vec<String>>,
    built_in: BTreeSet<String>,
    /// The modules that were to be taken out of the package; none in those of servers that did not say.
    #[serde(default)]
    wanted: BTreeSet<String>,
}

impl Manifest {
    /// Whether it was made with all modules in mind that machines may want now.
    fn is_complete(&self) -> bool {
        wanted_modules().all(|name| self.wanted.contains(name))
    }
}

impl KernelImage {
    /// The kernel's release, such as `6.1.0-56-cloud-amd64`.
    pub fn release(&self) -> &str {
        &self.manifest.release
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
            .map_err(|missing| bad_kernel(format!("has no module {missing}")))?;
        Ok(order.iter().map(|name| module_file(&self.folder, name)).collect())
    }
}

impl ImageStore {
    /// The guest kernel in use for this architecture.
    ///
    /// # Errors
    /// [`ImageError::NoKernel`] when there is none.
    pub fn kernel(&self, architecture: Architecture) -> Result<KernelImage, ImageError> {
        let folder = current(&self.kernels(architecture))?.ok_or(ImageError::NoKernel(architecture))?;
        let manifest = read_manifest(&folder)?;
        Ok(KernelImage { folder, manifest })
    }

    /// Downloads the newest guest kernel and puts it into use.
    ///
    /// # Errors
    /// When a tool is missing or fails, or the package is not what it should be.
    pub fn build_kernel(
        &self,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<KernelImage, ImageError> {
        let _lock = self.lock(&kernels_name(architecture), progress)?;
        self.fetch_kernel(architecture, progress)
    }

    /// The guest kernel in use for this architecture; downloads one where there is none, or an earlier server made one
    /// with fewer modules.
    ///
    /// # Errors
    /// As for [`ImageStore::build_kernel`].
    pub fn ensure_kernel(
        &self,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<KernelImage, ImageError> {
        let is_enough = |found: &KernelImage| found.manifest.is_complete();
        match self.kernel(architecture) {
            Ok(found) if is_enough(&found) => return Ok(found),
            Ok(_) | Err(ImageError::NoKernel(_)) => {}
            Err(error) => return Err(error),
        }
        let _lock = self.lock(&kernels_name(architecture), progress)?;
        match self.kernel(architecture) {
            Ok(found) if is_enough(&found) => Ok(found),
            // Agents that do not need what it lacks can go on with it.
            Ok(found) => self.fetch_kernel(architecture, progress).or_else(|error| {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the guest kernel lacks modules, and a new one could not be had; `coracle image build kernel` tries again");
                Ok(found)
            }),
            Err(ImageError::NoKernel(_)) => self.fetch_kernel(architecture, progress),
            Err(error) => Err(error),
        }
    }

    pub(super) fn kernels(&self, architecture: Architecture) -> PathBuf {
        self.folder.join(kernels_name(architecture))
    }

    fn fetch_kernel(
        &self,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<KernelImage, ImageError> {
        let kernels = self.kernels(architecture);
        fs::create_dir_all(&kernels)?;
        let wanted = Wanted {
            suite: SUITE,
            architecture,
            packages: &format!("linux-image-cloud-{architecture}"),
            variant: Variant::Extract,
        };
        let archive = self.debian(&wanted, &kernels, progress)?;

        progress.step("Preparing the guest kernel", None);
        let (tree, contents) = tar_tree::read_tar(archive.path())?;
        let mut unpacked = Unpacked { tree, contents };
        let draft = files::draft_folder(&kernels)?;
        let manifest = assemble(&mut unpacked, draft.path())?;
        write_manifest(draft.path(), &manifest)?;
        let folder = kernels.join(&manifest.release);
        files::publish_folder(draft, &folder)?;
        make_current(&kernels, &manifest.release)?;
        Ok(KernelImage { folder, manifest })
    }
}

/// What the folder of an architecture's kernels is called.
fn kernels_name(architecture: Architecture) -> String {
    if Architecture::host() == Some(architecture) {
        "kernel".to_owned()
    } else {
        format!("kernel-{architecture}")
    }
}

/// The files of the kernel package.
struct Unpacked {
    tree: Tree,
    contents: TarSource,
}

impl Unpacked {
    /// The name in `folder` that begins with `prefix`, without it.
    fn name(&self, folder: &str, prefix: &str) -> Option<String> {
        let Kind::Directory(entries) = &self.tree.inode(self.tree.find(folder.as_bytes())?).kind else {
            return None;
        };
        entries.keys().find_map(|name| {
            std::str::from_utf8(name)
                .ok()?
                .strip_prefix(prefix)
                .map(str::to_owned)
        })
    }

    /// The content of a file, which must be smaller than [`MAX_FILE`].
    fn read(&mut self, path: &str) -> Result<Vec<u8>, ImageError> {
        let missing = || bad_kernel(format!("has no {path}"));
        let inode = self
            .tree
            .inode(self.tree.find(path.as_bytes()).ok_or_else(missing)?);
        match &inode.kind {
            Kind::File(Content::Inline(bytes)) => Ok(bytes.clone()),
            Kind::File(Content::Stored { key, size }) if *size <= MAX_FILE => {
                let mut bytes = Vec::new();
                self.contents.open(*key)?.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            _ => Err(missing()),
        }
    }

    fn lines(&mut self, path: &str) -> Result<Vec<String>, ImageError> {
        Ok(String::from_utf8_lossy(&self.read(path)?)
            .lines()
            .map(str::to_owned)
            .collect())
    }
}

/// Copies what is needed of an unpacked kernel package to `target`.
fn assemble(unpacked: &mut Unpacked, target: &Path) -> Result<Manifest, ImageError> {
    let release = unpacked
        .name("boot", "vmlinuz-")
        .ok_or_else(|| bad_kernel("holds no kernel".to_owned()))?;
    let vmlinuz = unpacked.read(&format!("boot/vmlinuz-{release}"))?;
    put(&target.join("vmlinuz"), &vmlinuz)?;
    let vmlinux = vmlinuz::extract(&vmlinuz)?;
    if let Some(vmlinux) = &vmlinux {
        put(&target.join("vmlinux"), vmlinux)?;
    }

    let folder = format!("lib/modules/{release}");
    let built_in = unpacked.lines(&format!("{folder}/modules.builtin"))?;
    let built_in = built_in
        .iter()
        .map(|line| modules::canonical_name(line))
        .collect();
    let paths = unpacked.lines(&format!("{folder}/modules.order"))?;
    let paths = paths
        .iter()
        .map(|line| (modules::canonical_name(line), format!("{folder}/{line}")))
        .collect();
    let modules = copy_modules(unpacked, &paths, &built_in, target)?;
    Ok(Manifest {
        release,
        has_vmlinux: vmlinux.is_some(),
        modules,
        built_in,
        wanted: wanted_modules().map(str::to_owned).collect(),
    })
}

/// Copies the modules a microVM may need with all they need; what this architecture lacks is left out. Returns
/// them with what each needs.
fn copy_modules(
    unpacked: &mut Unpacked,
    paths: &BTreeMap<String, String>,
    built_in: &BTreeSet<String>,
    target: &Path,
) -> Result<BTreeMap<String, Vec<String>>, ImageError> {
    let mut ahead: Vec<String> = wanted_modules().map(str::to_owned).collect();
    let mut kept = BTreeMap::new();
    fs::create_dir(target.join("modules"))?;
    while let Some(name) = ahead.pop() {
        if built_in.contains(&name) || kept.contains_key(&name) {
            continue;
        }
        let Some(path) = paths.get(&name) else { continue };
        let module = unpacked.read(path)?;
        let needed = modules::dependencies(&module)
            .ok_or_else(|| bad_kernel(format!("has an unreadable module {name}")))?;
        put(&module_file(target, &name), &module)?;
        ahead.extend(needed.iter().cloned());
        kept.insert(name, needed);
    }
    files::sync_folder(&target.join("modules"))?;
    Ok(kept)
}

/// What is taken out of the package where it is there.
fn wanted_modules() -> impl Iterator<Item = &'static str> {
    let all = MICROVM_MODULES
        .iter()
        .chain(&FOLDER_MODULES)
        .chain(&NESTED_KVM_MODULES);
    all.copied()
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

fn bad_kernel(what: String) -> ImageError {
    ImageError::BadKernel(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_was_made_with_fewer_modules_is_not_complete() {
        let earlier = r#"{"release": "6.1", "has_vmlinux": true, "modules": {}, "built_in": []}"#;
        let mut manifest: Manifest = serde_json::from_str(earlier).unwrap();
        assert!(!manifest.is_complete());
        manifest.wanted = wanted_modules().map(str::to_owned).collect();
        assert!(manifest.is_complete());
    }
}
