//! A file tree in memory: names and metadata, with contents left where they are.
//!
//! Archives are read into a [`Tree`], checked there, and written out from there, so that hostile names and links
//! never meet the host's file system. A tree holds these by construction: names are single components without
//! `/` and NUL, of at most 255 bytes; no path leads through anything but directories; every hard link names an
//! inode of the tree.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest file name, in bytes.
pub const MAX_NAME: usize = 255;
/// Longest path and longest target of a symbolic link, in bytes.
pub const MAX_PATH: usize = 4095;
/// How many names the resolution of one path passes: more than any path has, but bounded where links multiply them.
const MAX_STEPS: usize = 4 * MAX_PATH;
/// How many symbolic links the resolution of one path follows, as in Linux.
const MAX_LINKS_FOLLOWED: usize = 40;

/// Names an inode of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InodeId(usize);

/// Everything about an inode that does not depend on its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permissions with set-user-id, set-group-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification, in seconds since 1970.
    pub mtime: u64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A file's bytes, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Held in memory.
    Inline(Vec<u8>),
    /// `size` bytes which a [`ContentSource`] finds by `key`.
    Stored {
        /// What the source calls them.
        key: u64,
        /// How many there are.
        size: u64,
    },
    /// `size` bytes on a block device of their own, from this block on.
    External {
        /// Which of the devices, from 0.
        device: usize,
        /// The first block, in units of an image's blocks.
        block: u32,
        /// How many bytes there are.
        size: u64,
    },
}

impl Content {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored { size, .. } | Self::External { size, .. } => *size,
        }
    }
}

/// Where the contents of stored files are read from.
pub trait ContentSource {
    /// Opens the bytes called `key`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn open(&mut self, key: u64) -> io::Result<Box<dyn Read + '_>>;
}

/// The source of a tree that stores nothing outside itself.
pub struct NoContent;

impl ContentSource for NoContent {
    fn open(&mut self, _key: u64) -> io::Result<Box<dyn Read + '_>> {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this tree has no stored contents",
        ))
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory and its entries.
    Directory(BTreeMap<Vec<u8>, InodeId>),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
}

/// Which device a device node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Driver, at most 4095.
    pub major: u32,
    /// Instance, at most 1048575.
    pub minor: u32,
}

impl Kind {
    /// An empty directory.
    pub fn directory() -> Self {
        Self::Directory(BTreeMap::new())
    }

    /// A file held in memory.
    pub fn file(bytes: impl Into<Vec<u8>>) -> Self {
        Self::File(Content::Inline(bytes.into()))
    }
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Owner, permissions and the like.
    pub metadata: Metadata,
    /// Type and content.
    pub kind: Kind,
}

/// A change the tree cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TreeError {
    #[error("the name is empty, or longer than {MAX_NAME} bytes, or holds a NUL byte")]
    BadName,
    #[error("the path is longer than {MAX_PATH} bytes")]
    PathTooLong,
    #[error("something of this name exists already")]
    Exists,
    #[error("part of the path is not a directory")]
    NotADirectory,
    #[error("there is nothing of this name")]
    Missing,
}

/// Where a path leads when symbolic links are followed inside a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// To this inode.
    Found(InodeId),
    /// To a name inside the tree that does not exist.
    Dangling,
    /// Out of the tree.
    Outside,
    /// Round and round, or through more links and names than are followed.
    Loop,
}

/// A file tree. Paths are relative to its root, with components separated by `/`.
#[derive(Debug, Clone)]
pub struct Tree {
    inodes: Vec<Inode>,
}

impl Tree {
    /// The root directory of every tree.
    pub const ROOT: InodeId = InodeId(0);

    /// An empty tree.
    pub fn new(root: Metadata) -> Self {
        Self {
            inodes: vec![Inode {
                metadata: root,
                kind: Kind::directory(),
            }],
        }
    }

    /// An inode of this tree.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0]
    }

    /// An inode of this tree, to change it.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0]
    }

    /// The inode at `path`, following no symbolic links.
    pub fn find(&self, path: &[u8]) -> Option<InodeId> {
        let mut here = Self::ROOT;
        for name in components(path) {
            here = *self.entries(here)?.get(name)?;
        }
        Some(here)
    }

    /// Adds an inode. Missing parents are made with `parents` as their metadata.
    ///
    /// # Errors
    /// When the path is taken, no path, or leads through something that is no directory.
    pub fn insert(&mut self, path: &[u8], inode: Inode, parents: &Metadata) -> Result<InodeId, TreeError> {
        let id = InodeId(self.inodes.len());
        // Reserved first: making parents appends inodes too.
        self.inodes.push(inode);
        self.attach(path, id, parents)
    }

    /// Adds a second name for an inode that is not a directory.
    ///
    /// # Errors
    /// As for [`Tree::insert`].
    pub fn link(&mut self, path: &[u8], target: InodeId, parents: &Metadata) -> Result<InodeId, TreeError> {
        if matches!(self.inode(target).kind, Kind::Directory(_)) {
            return Err(TreeError::Exists);
        }
        self.attach(path, target, parents)
    }

    /// Removes a name, and with a directory everything below it. Whether it was there.
    pub fn remove(&mut self, path: &[u8]) -> bool {
        let (parent, name) = split(path);
        let Some(parent) = self.find(parent) else {
            return false;
        };
        match &mut self.inode_mut(parent).kind {
            Kind::Directory(entries) => entries.remove(name).is_some(),
            _ => false,
        }
    }

    /// Follows `path` as a process would whose root is this tree, except that an absolute link or too many
    /// `..` lead outside instead of staying at the root.
    pub fn resolve(&self, path: &[u8]) -> Resolution {
        self.follow(path, Leaving::IsOutside)
    }

    /// Follows `path` as a process would whose root is this tree.
    pub fn resolve_in_root(&self, path: &[u8]) -> Resolution {
        self.follow(path, Leaving::StaysAtRoot)
    }

    /// Where a process whose root is this tree would find or make `path`: the same place, named without symbolic
    /// links. Names that do not exist yet stay as they are. `None` when links lead round and round.
    pub fn real_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut passed: Vec<(Vec<u8>, Option<InodeId>)> = Vec::new();
        let mut ahead: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        for _ in 0..MAX_STEPS {
            let Some(name) = ahead.pop() else {
                return Some(
                    passed
                        .into_iter()
                        .map(|(name, _)| name)
                        .collect::<Vec<_>>()
                        .join(&b'/'),
                );
            };
            if name == b".." {
                passed.pop();
                continue;
            }
            let here = passed.last().map_or(Some(Self::ROOT), |(_, here)| *here);
            let next = here.and_then(|here| self.entries(here)?.get(&name).copied());
            let Some(Kind::Symlink(target)) = next.map(|next| &self.inode(next).kind) else {
                passed.push((name, next));
                continue;
            };
            links += 1;
            if links > MAX_LINKS_FOLLOWED {
                return None;
            }
            if target.starts_with(b"/") {
                passed.clear();
            }
            ahead.extend(components(target).rev().map(<[u8]>::to_vec));
        }
        None
    }

    fn follow(&self, path: &[u8], leaving: Leaving) -> Resolution {
        // Directories passed so far; `None` is a name that does not exist.
        let mut passed: Vec<Option<InodeId>> = vec![Some(Self::ROOT)];
        let mut ahead: Vec<&[u8]> = components(path).rev().collect();
        let mut links = 0;
        let mut steps = 0;
        while let Some(name) = ahead.pop() {
            steps += 1;
            if steps > MAX_STEPS {
                return Resolution::Loop;
            }
            if name == b".." {
                match (passed.len(), leaving) {
                    (1, Leaving::IsOutside) => return Resolution::Outside,
                    (1, Leaving::StaysAtRoot) => {}
                    _ => drop(passed.pop()),
                }
                continue;
            }
            let here = passed.last().copied().flatten();
            let next = here.and_then(|here| self.entries(here)?.get(name).copied());
            let Some(Kind::Symlink(target)) = next.map(|next| &self.inode(next).kind) else {
                passed.push(next);
                continue;
            };
            links += 1;
            if links > MAX_LINKS_FOLLOWED {
                return Resolution::Loop;
            }
            if target.starts_with(b"/") {
                if matches!(leaving, Leaving::IsOutside) {
                    return Resolution::Outside;
                }
                passed.truncate(1);
            }
            ahead.extend(components(target).rev());
        }
        passed
            .last()
            .copied()
            .flatten()
            .map_or(Resolution::Dangling, Resolution::Found)
    }

    /// Every name below the root with its inode, parents first, in the order of their bytes.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, InodeId)> + '_ {
        let mut path = Vec::new();
        // The directories around the current place: how long their paths are, and which entries are left.
        let mut around = Vec::from_iter(self.entries(Self::ROOT).map(|entries| (0, entries.iter())));
        std::iter::from_fn(move || {
            loop {
                let (length, entries) = around.last_mut()?;
                path.truncate(*length);
                let Some((name, id)) = entries.next() else {
                    around.pop();
                    continue;
                };
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                around.extend(self.entries(*id).map(|entries| (path.len(), entries.iter())));
                return Some((path.clone(), *id));
            }
        })
    }

    /// How many inodes there are, counting also those whose name was removed.
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    fn entries(&self, id: InodeId) -> Option<&BTreeMap<Vec<u8>, InodeId>> {
        match &self.inode(id).kind {
            Kind::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    fn attach(&mut self, path: &[u8], id: InodeId, parents: &Metadata) -> Result<InodeId, TreeError> {
        if path.len() > MAX_PATH {
            return Err(TreeError::PathTooLong);
        }
        let (parent, name) = split(path);
        check_name(name)?;
        let parent = self.make_directories(parent, parents)?;
        let Kind::Directory(entries) = &mut self.inode_mut(parent).kind else {
            return Err(TreeError::NotADirectory);
        };
        if entries.contains_key(name) {
            return Err(TreeError::Exists);
        }
        entries.insert(name.to_vec(), id);
        Ok(id)
    }

    fn make_directories(&mut self, path: &[u8], metadata: &Metadata) -> Result<InodeId, TreeError> {
        let mut here = Self::ROOT;
        for name in components(path) {
            check_name(name)?;
            let next = InodeId(self.inodes.len());
            let Kind::Directory(entries) = &mut self.inode_mut(here).kind else {
                return Err(TreeError::NotADirectory);
            };
            here = match entries.get(name) {
                Some(existing) => *existing,
                None => {
                    entries.insert(name.to_vec(), next);
                    self.inodes.push(Inode {
                        metadata: metadata.clone(),
                        kind: Kind::directory(),
                    });
                    next
                }
            };
        }
        match self.inode(here).kind {
            Kind::Directory(_) => Ok(here),
            _ => Err(TreeError::NotADirectory),
        }
    }
}

#[derive(Clone, Copy)]
enum Leaving {
    IsOutside,
    StaysAtRoot,
}

/// The components of a path; empty ones and `.` are left out.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn check_name(name: &[u8]) -> Result<(), TreeError> {
    let valid = (1..=MAX_NAME).contains(&name.len())
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    if valid { Ok(()) } else { Err(TreeError::BadName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Kind)]) -> Tree {
        let mut tree = Tree::new(Metadata::default());
        for (path, kind) in entries {
            let inode = Inode {
                metadata: Metadata::default(),
                kind: kind.clone(),
            };
            tree.insert(path.as_bytes(), inode, &Metadata::default()).unwrap();
        }
        tree
    }

    fn link(target: &str) -> Kind {
        Kind::Symlink(target.into())
    }

    #[test]
    fn names_are_taken_once_and_paths_lead_through_directories() {
        let mut tree = tree(&[("a/b", Kind::file("x")), ("l", link("a"))]);
        let file = || Inode {
            metadata: Metadata::default(),
            kind: Kind::file("y"),
        };
        let default = Metadata::default();
        assert_eq!(tree.insert(b"a/b", file(), &default), Err(TreeError::Exists));
        assert_eq!(tree.insert(b"a", file(), &default), Err(TreeError::Exists));
        assert_eq!(
            tree.insert(b"a/b/c", file(), &default),
            Err(TreeError::NotADirectory)
        );
        assert_eq!(
            tree.insert(b"l/c", file(), &default),
            Err(TreeError::NotADirectory)
        );
        for bad in [&b"a/.."[..], b"../a", b"", b"x/", b"nul\0", &[b'n'; 256]] {
            assert_eq!(
                tree.insert(bad, file(), &default),
                Err(TreeError::BadName),
                "{bad:?}"
            );
        }
        let names: Vec<_> = tree
            .walk()
            .map(|(path, _)| String::from_utf8(path).unwrap())
            .collect();
        assert_eq!(names, ["a", "a/b", "l"]);
    }

    #[test]
    fn links_are_followed_as_the_kernel_would_and_not_by_their_spelling() {
        let tree = tree(&[
            ("a/b/file", Kind::file("x")),
            ("a/b/up", link("../..")),
            ("inside", link("a/b/../b/file")),
            ("sneaky", link("a/b/up/../etc/passwd")),
            ("absolute", link("/a")),
            ("dangling", link("a/nothing/here")),
            ("one", link("two")),
            ("two", link("one")),
        ]);
        let file = tree.find(b"a/b/file").unwrap();
        assert_eq!(tree.resolve(b"inside"), Resolution::Found(file));
        assert_eq!(tree.resolve(b"sneaky"), Resolution::Outside);
        assert_eq!(tree.resolve(b"absolute"), Resolution::Outside);
        assert_eq!(tree.resolve_in_root(b"absolute/b/file"), Resolution::Found(file));
        assert_eq!(tree.resolve(b"dangling"), Resolution::Dangling);
        assert_eq!(tree.resolve(b"one"), Resolution::Loop);
    }

    #[test]
    fn a_real_path_has_no_links_and_stays_below_the_root() {
        let tree = tree(&[
            ("usr/lib/file", Kind::file("x")),
            ("lib", link("usr/lib")),
            ("run", link("/var/run")),
            ("up", link("../../../usr")),
            ("one", link("two")),
            ("two", link("one")),
        ]);
        for (path, real) in [
            ("lib/file", Some("usr/lib/file")),
            ("lib/new/file", Some("usr/lib/new/file")),
            ("run/new", Some("var/run/new")),
            ("up/lib", Some("usr/lib")),
            ("", Some("")),
            ("one/x", None),
        ] {
            assert_eq!(
                tree.real_path(path.as_bytes()).as_deref(),
                real.map(str::as_bytes),
                "{path}"
            );
        }
    }
}
