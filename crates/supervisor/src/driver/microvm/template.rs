//! Templates on disk: what sessions are restored from.
//!
//! ```text
//!  templates/<key>/             one template; the key is a digest of everything that decides what is in it
//!      memory                   the machine's memory, sparse; restored machines map it copy-on-write
//!      state                    the state of its devices
//!      scratch.ext4             its private disk; restored machines get a copy
//!      manifest.json            checksums of the three; the time it was last modified is when it was last used
//!  templates/.draft-<random>/   one being made; removed at start
//! ```
//!
//! A template appears under its key complete and synced, or not at all. It is checked against its manifest once per
//! server, before its first use: reading hundreds of megabytes for every restore would cost more than a restore. A
//! damaged one is removed, and made again when it is needed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_types::Architecture;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::checksum;
use super::draft::{DraftFolder, OWNER_ONLY_FILE, is_draft};

/// Changes whenever templates made before are of no use.
const FORMAT: u32 = 3;
/// The folder in the data folder.
pub(super) const TEMPLATES: &str = "templates";
const MANIFEST: &str = "manifest.json";

/// Everything that decides what is in a template.
#[derive(Debug, Serialize)]
pub(super) struct Ingredients<'a> {
    pub(super) code: &'a str,
    pub(super) base: &'a str,
    pub(super) architecture: Architecture,
    pub(super) kernel: &'a Path,
    /// Named by a digest of the guest program and the modules.
    pub(super) initramfs: &'a Path,
    pub(super) qemu_version: &'a str,
    pub(super) processor: &'a str,
    pub(super) accelerator: &'a str,
    pub(super) vcpus: u8,
    pub(super) memory_mib: u32,
    pub(super) scratch_mib: u32,
    pub(super) command: &'a [String],
    pub(super) environment: &'a std::collections::BTreeMap<String, String>,
    pub(super) protocol: String,
    pub(super) port: u16,
    pub(super) warm_up: Option<(u16, &'a str)>,
    /// What the guest puts into the file system.
    pub(super) hook: &'a str,
    /// Whether there is a disk for what sessions find again.
    pub(super) has_storage: bool,
    /// Name and place of each folder of the host's, and whether it is mounted read-only; not what is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) folders: Vec<(&'a str, &'a str, bool)>,
}

impl Ingredients<'_> {
    /// The name of the template made of these.
    pub(super) fn key(&self) -> io::Result<String> {
        let digest = Sha256::digest(serde_json::to_vec(&(FORMAT, self))?);
        Ok(hex::encode(&digest[..16]))
    }
}

/// What is known of a template besides its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    made_for: String,
    /// When, in Unix seconds.
    made_at: u64,
    /// The machine's kernel arguments; a restored machine is given the same.
    kernel_arguments: Vec<String>,
    memory_sha256: String,
    state_sha256: String,
    scratch_sha256: String,
}

/// A template that can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    folder: PathBuf,
    pub(super) kernel_arguments: Vec<String>,
}

impl Template {
    pub(super) fn memory(&self) -> PathBuf {
        memory_in(&self.folder)
    }

    pub(super) fn state(&self) -> PathBuf {
        state_in(&self.folder)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        scratch_in(&self.folder)
    }
}

/// A template being made.
#[derive(Debug)]
pub(super) struct Draft(DraftFolder);

impl Draft {
    pub(super) fn memory(&self) -> PathBuf {
        memory_in(self.0.path())
    }

    pub(super) fn scratch(&self) -> PathBuf {
        scratch_in(self.0.path())
    }

    pub(super) fn state(&self) -> PathBuf {
        state_in(self.0.path())
    }

    /// What is restored from it, once its files are complete.
    pub(super) fn template(&self, kernel_arguments: Vec<String>) -> Template {
        Template {
            folder: self.0.path().to_owned(),
            kernel_arguments,
        }
    }

    /// Makes a draft whose files are complete durable and checkable, and its owner's alone.
    pub(super) fn finish(&self, made_for: String, kernel_arguments: Vec<String>) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let manifest = Manifest {
            made_for,
            made_at: now.as_secs(),
            kernel_arguments,
            memory_sha256: seal(&self.memory())?,
            state_sha256: seal(&self.state())?,
            scratch_sha256: seal(&self.scratch())?,
        };
        self.0.finish(MANIFEST, &manifest)
    }
}

/// A template and what decides whether it is kept.
struct Kept {
    key: String,
    bytes: u64,
    last_used: SystemTime,
}

/// All templates of a server. Every method blocks.
#[derive(Debug)]
pub(super) struct TemplateStore {
    folder: PathBuf,
    /// Most bytes that all templates may take on disk.
    limit: u64,
    /// Keys of templates known to be undamaged.
    verified: Mutex<HashSet<String>>,
}

impl TemplateStore {
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            folder,
            limit,
            verified: Mutex::default(),
        }
    }

    /// The template of this key, if there is one that is undamaged.
    pub(super) fn find(&self, key: &str) -> io::Result<Option<Template>> {
        let folder = self.folder.join(key);
        let manifest = match fs::read(folder.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            manifest => manifest?,
        };
        let manifest: Option<Manifest> = serde_json::from_slice(&manifest).ok();
        let verified = self.verified().contains(key);
        match manifest {
            Some(manifest) if verified || is_undamaged(&folder, &manifest)? => {
                self.verified().insert(key.to_owned());
                File::open(folder.join(MANIFEST))?.set_modified(SystemTime::now())?;
                Ok(Some(Template {
                    folder,
                    kernel_arguments: manifest.kernel_arguments,
                }))
            }
            _ => {
                tracing::warn!(template = key, "a template is damaged and is removed");
                self.remove(key)?;
                Ok(None)
            }
        }
    }

    /// A folder to make a template in.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        DraftFolder::create(&self.folder).map(Draft)
    }

    /// Makes a finished draft a template. Says whether there is then more than there may be.
    pub(super) fn publish(&self, key: &str, draft: &Draft) -> io::Result<bool> {
        fs::rename(draft.0.path(), self.folder.join(key))?;
        File::open(&self.folder)?.sync_all()?;
        self.verified().insert(key.to_owned());
        let total: u64 = self.all()?.iter().map(|kept| kept.bytes).sum();
        Ok(total > self.limit)
    }

    /// Removes a template. Machines restored from it go on.
    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        self.verified().remove(key);
        // Renamed first, so that no half of it is ever found.
        let grave = DraftFolder::create(&self.folder)?;
        fs::rename(self.folder.join(key), grave.path().join("removed"))
    }

    /// Removes what a killed server was making. Returns how many there were.
    pub(super) fn sweep(&self) -> io::Result<usize> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            if is_draft(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes templates until the others fit: first those that are not needed, then the others, each time those
    /// unused for longest; but never the newest one.
    pub(super) fn make_room(&self, newest: &str, needed: &HashSet<String>) -> io::Result<()> {
        let mut kept = self.all()?;
        let mut total: u64 = kept.iter().map(|template| template.bytes).sum();
        kept.retain(|template| template.key != newest);
        kept.sort_by_key(|template| (needed.contains(&template.key), template.last_used));
        for template in kept {
            if total <= self.limit {
                break;
            }
            let Kept { key, bytes, .. } = template;
            let needed = needed.contains(&key);
            tracing::info!(
                template = key,
                bytes,
                needed,
                "a template unused for long makes room"
            );
            self.remove(&key)?;
            total -= bytes;
        }
        Ok(())
    }

    fn all(&self) -> io::Result<Vec<Kept>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let key = entry.file_name().to_string_lossy().into_owned();
            let manifest = fs::metadata(entry.path().join(MANIFEST));
            let (false, Ok(manifest)) = (is_draft(&key), manifest) else {
                continue;
            };
            found.push(Kept {
                key,
                bytes: size_on_disk(&entry.path())?,
                last_used: manifest.modified()?,
            });
        }
        Ok(found)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A template on disk, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateInfo {
    /// Its name: a digest of everything that decides what is in it.
    pub key: String,
    /// For whom it was made first.
    pub made_for: String,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// When it was made.
    pub made: SystemTime,
    /// When it was last restored, or made.
    pub last_used: SystemTime,
}

/// The templates of the server with this data folder, whether it runs or not; the last used first. Blocks.
///
/// # Errors
/// When they cannot be read.
pub fn templates(data_dir: &Path) -> io::Result<Vec<TemplateInfo>> {
    let entries = match fs::read_dir(data_dir.join(TEMPLATES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let key = entry.file_name().to_string_lossy().into_owned();
        match described(&entry.path(), key) {
            // It is a draft, or has just been removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            info => found.extend(info?),
        }
    }
    found.sort_by_key(|info| std::cmp::Reverse(info.last_used));
    Ok(found)
}

fn described(folder: &Path, key: String) -> io::Result<Option<TemplateInfo>> {
    let manifest = folder.join(MANIFEST);
    let last_used = fs::metadata(&manifest)?.modified()?;
    // One of another format is of no use to anybody, and is removed when it is needed or in the way.
    let Ok(parsed) = serde_json::from_slice::<Manifest>(&fs::read(manifest)?) else {
        return Ok(None);
    };
    let made = UNIX_EPOCH.checked_add(Duration::from_secs(parsed.made_at));
    Ok((!is_draft(&key)).then_some(TemplateInfo {
        key,
        made_for: parsed.made_for,
        bytes: size_on_disk(folder)?,
        made: made.unwrap_or(UNIX_EPOCH),
        last_used,
    }))
}

fn memory_in(folder: &Path) -> PathBuf {
    folder.join("memory")
}

fn state_in(folder: &Path) -> PathBuf {
    folder.join("state")
}

fn scratch_in(folder: &Path) -> PathBuf {
    folder.join("scratch.ext4")
}

fn size_on_disk(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        size += entry?.metadata()?.blocks() * 512;
    }
    Ok(size)
}

/// Makes a file durable and its owner's alone. Returns its checksum.
pub(super) fn seal(path: &Path) -> io::Result<String> {
    let file = File::options().read(true).write(true).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY_FILE))?;
    file.sync_all()?;
    checksum::of(&file)
}

fn is_undamaged(folder: &Path, manifest: &Manifest) -> io::Result<bool> {
    for (path, expected) in [
        (state_in(folder), &manifest.state_sha256),
        (scratch_in(folder), &manifest.scratch_sha256),
        (memory_in(folder), &manifest.memory_sha256),
    ] {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        if checksum::of(&file)? != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const KEY: &str = "00";

    fn store(folder: &Path, limit: u64) -> TemplateStore {
        TemplateStore::new(folder.join("templates"), limit)
    }

    fn publish(store: &TemplateStore, key: &str) {
        let draft = store.draft().unwrap();
        let memory = File::create(draft.memory()).unwrap();
        memory.set_len(16 * 1024 * 1024).unwrap();
        memory.write_all_at(b"in the middle", 5_000_000).unwrap();
        fs::write(draft.state(), b"state").unwrap();
        fs::write(draft.scratch(), vec![7; 100_000]).unwrap();
        draft
            .finish("a test".to_owned(), vec!["quiet".to_owned()])
            .unwrap();
        store.publish(key, &draft).unwrap();
    }

    #[test]
    fn a_template_is_found_by_later_servers() {
        let folder = tempfile::tempdir().unwrap();
        publish(&store(folder.path(), u64::MAX), KEY);
        let template = store(folder.path(), u64::MAX)
            .find(KEY)
            .unwrap()
            .expect("a template");
        assert_eq!(template.kernel_arguments, ["quiet"]);
        assert_eq!(fs::read(template.state()).unwrap(), b"state");
    }

    #[test]
    fn an_operator_sees_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(templates(folder.path()).unwrap(), []);
        let store = store(folder.path(), u64::MAX);
        publish(&store, "older");
        publish(&store, "newer");
        let _draft = store.draft().unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(86_400);
        let manifest = folder.path().join("templates/older").join(MANIFEST);
        File::open(manifest).unwrap().set_modified(yesterday).unwrap();
        let listed = templates(folder.path()).unwrap();
        let keys: Vec<_> = listed.iter().map(|info| info.key.as_str()).collect();
        assert_eq!(keys, ["newer", "older"]);
        assert_eq!(
            (listed[1].last_used, listed[1].made_for.as_str()),
            (yesterday, "a test")
        );
        assert!(
            (100_000..16 * 1024 * 1024).contains(&listed[0].bytes),
            "{listed:?}"
        );
    }

    #[test]
    fn nobody_but_the_owner_reads_what_is_in_an_agents_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), u64::MAX);
        publish(&store, KEY);
        let templates = folder.path().join("templates");
        for folder in [&templates, &templates.join(KEY)] {
            assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700, "{folder:?}");
        }
        for file in fs::read_dir(templates.join(KEY)).unwrap().flatten() {
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_flipped_byte_anywhere_is_noticed() {
        for (file, position) in [
            ("memory", 5_000_003),
            ("memory", 12_000_000),
            ("state", 0),
            ("scratch.ext4", 99_999),
        ] {
            let folder = tempfile::tempdir().unwrap();
            publish(&store(folder.path(), u64::MAX), KEY);
            let path = folder.path().join("templates").join(KEY).join(file);
            let damaged = File::options().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            damaged.read_exact_at(&mut byte, position).unwrap();
            damaged.write_all_at(&[byte[0] ^ 1], position).unwrap();
            let later = store(folder.path(), u64::MAX);
            assert_eq!(later.find(KEY).unwrap(), None, "{file} at {position}");
            assert_eq!(fs::read_dir(folder.path().join("templates")).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_was_being_made_is_neither_found_nor_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), u64::MAX);
        publish(&store, KEY);
        let draft = store.draft().unwrap();
        fs::write(draft.memory(), b"half").unwrap();
        // A server that is killed runs no destructors.
        #[expect(
            clippy::mem_forget,
            reason = "nothing else leaves a half-made template behind"
        )]
        std::mem::forget(draft);
        assert_eq!(store.sweep().unwrap(), 1);
        assert!(store.find(KEY).unwrap().is_some());
    }

    #[test]
    fn what_no_endpoint_needs_makes_room_first_and_then_what_is_unused_for_longest() {
        let folder = tempfile::tempdir().unwrap();
        let roomy = store(folder.path(), u64::MAX);
        for (key, age) in [("unneeded", 50), ("old", 100), ("older", 200)] {
            publish(&roomy, key);
            let used = SystemTime::now() - Duration::from_secs(age);
            let manifest = folder.path().join("templates").join(key).join(MANIFEST);
            File::open(manifest).unwrap().set_modified(used).unwrap();
        }
        let size = size_on_disk(&folder.path().join("templates/old")).unwrap();
        let needed = HashSet::from(["old", "older", "elsewhere"].map(str::to_owned));
        let left = |room: u64| {
            let store = store(folder.path(), room * size);
            store.make_room("new", &needed).unwrap();
            let mut left: Vec<_> = store.all().unwrap().into_iter().map(|kept| kept.key).collect();
            left.sort();
            left
        };
        publish(&roomy, "new");
        assert_eq!(left(4), ["new", "old", "older", "unneeded"]);
        assert_eq!(left(3), ["new", "old", "older"]);
        assert_eq!(left(2), ["new", "old"]);
        assert_eq!(left(0), ["new"], "the newest is about to be used");
    }
}
