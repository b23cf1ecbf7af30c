//! Layers one over the other, as one file tree.
//!
//! The rules are those of the OCI image specification ("Applying Changesets") with what container engines do where
//! it is silent: a layer's whiteouts concern only the layers below it, wherever they stand in its archive; a path that
//! leads through a symbolic link is followed within the image; a folder that comes again keeps what is in it.

use super::layer::{Change, Entry, LayerError};
use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Tree, TreeError};

const FOLDER_MODE: u16 = 0o755;

/// Why layers do not make a file tree.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ApplyError {
    #[error("the layer's entries could not be read")]
    Entries(#[source] LayerError),
    #[error("{path:?} cannot be placed in the image")]
    Place {
        path: String,
        #[source]
        source: TreeError,
    },
    #[error("{0:?} leads through symbolic links that go round and round")]
    Loop(String),
    #[error("{0:?} is a hard link to nothing in the image")]
    Dangling(String),
    #[error("the image has more than {0} entries")]
    TooMany(usize),
}

/// A folder that no layer describes.
pub(super) fn implied_folder() -> Metadata {
    Metadata {
        mode: FOLDER_MODE,
        ..Metadata::default()
    }
}

/// The tree before the first layer.
pub(super) fn empty() -> Tree {
    Tree::new(implied_folder())
}

/// Puts a layer over `tree`. `locate` says where the content at a block of the layer is found, given its size.
pub(super) fn apply(
    tree: &mut Tree,
    entries: &[Entry],
    max_entries: usize,
    locate: impl Fn(u32, u64) -> Content,
) -> Result<(), ApplyError> {
    for entry in entries {
        match entry.change {
            Change::Whiteout => drop(tree.remove(&real_parent(tree, &entry.path.0)?)),
            Change::Opaque => empty_folder(tree, &entry.path.0)?,
            _ => {}
        }
    }
    for entry in entries {
        add(tree, entry, &locate)?;
        if tree.inode_count() > max_entries {
            return Err(ApplyError::TooMany(max_entries));
        }
    }
    Ok(())
}

fn add(tree: &mut Tree, entry: &Entry, locate: impl Fn(u32, u64) -> Content) -> Result<(), ApplyError> {
    let path = real_parent(tree, &entry.path.0)?;
    let kind = match &entry.change {
        Change::Whiteout | Change::Opaque => return Ok(()),
        Change::HardLink { target } => return link(tree, &path, &target.0),
        Change::Directory => Kind::directory(),
        Change::File { size: 0, .. } => Kind::file([]),
        Change::File { block, size } => Kind::File(locate(*block, *size)),
        Change::Symlink { target } => Kind::Symlink(target.0.clone()),
        Change::Fifo => Kind::Fifo,
    };
    let metadata = entry.metadata();
    if matches!(kind, Kind::Directory(_))
        && let Some(existing) = tree.find(&path)
        && matches!(tree.inode(existing).kind, Kind::Directory(_))
    {
        tree.inode_mut(existing).metadata = metadata;
        return Ok(());
    }
    tree.remove(&path);
    let inserted = tree.insert(&path, Inode { metadata, kind }, &implied_folder());
    inserted.map(drop).map_err(|source| unplaceable(&path, source))
}

fn link(tree: &mut Tree, path: &[u8], target: &[u8]) -> Result<(), ApplyError> {
    let target = real_parent(tree, target)?;
    let inode: InodeId = tree
        .find(&target)
        .ok_or_else(|| ApplyError::Dangling(shown(path)))?;
    if tree.find(path) == Some(inode) {
        return Ok(());
    }
    tree.remove(path);
    let linked = tree.link(path, inode, &implied_folder());
    linked.map(drop).map_err(|source| unplaceable(path, source))
}

fn empty_folder(tree: &mut Tree, path: &[u8]) -> Result<(), ApplyError> {
    let path = real_parent(tree, path)?;
    if let Some(folder) = tree.find(&path)
        && let Kind::Directory(names) = &mut tree.inode_mut(folder).kind
    {
        names.clear();
    }
    Ok(())
}

/// The path with the links in its folders followed; the last name is the entry's own.
fn real_parent(tree: &Tree, path: &[u8]) -> Result<Vec<u8>, ApplyError> {
    let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
        return Ok(path.to_vec());
    };
    let parent = tree
        .real_path(&path[..slash])
        .ok_or_else(|| ApplyError::Loop(shown(path)))?;
    Ok(match parent.as_slice() {
        b"" => path[slash + 1..].to_vec(),
        parent => [parent, &path[slash + 1..]].join(&b'/'),
    })
}

fn unplaceable(path: &[u8], source: TreeError) -> ApplyError {
    ApplyError::Place {
        path: shown(path),
        source,
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::layer::Name;
    use super::*;

    fn entry(path: &str, change: Change) -> Entry {
        Entry::new(Name(path.into()), change)
    }

    fn file(path: &str, block: u32) -> Entry {
        entry(path, Change::File { block, size: 1 })
    }

    fn link(path: &str, target: &str) -> Entry {
        let target = Name(target.into());
        entry(path, Change::Symlink { target })
    }

    fn hard_link(path: &str, target: &str) -> Entry {
        let target = Name(target.into());
        entry(path, Change::HardLink { target })
    }

    fn stacked(layers: &[&[Entry]]) -> Result<Tree, ApplyError> {
        let mut tree = empty();
        for (number, layer) in layers.iter().enumerate() {
            let key = number as u64;
            apply(&mut tree, layer, 1000, |block, size| Content::Stored {
                key: key * 100 + u64::from(block),
                size,
            })?;
        }
        Ok(tree)
    }

    /// Names in the tree, and for files where their content is.
    fn names(tree: &Tree) -> Vec<String> {
        let shown = |(path, id): (Vec<u8>, InodeId)| {
            let path = String::from_utf8(path).unwrap();
            match &tree.inode(id).kind {
                Kind::File(Content::Stored { key, .. }) => format!("{path}={key}"),
                _ => path,
            }
        };
        tree.walk().map(shown).collect()
    }

    #[test]
    fn whiteouts_concern_lower_layers_only_wherever_they_stand() {
        let lower = [
            file("a/old", 1),
            file("a/both", 2),
            file("b/old", 3),
            file("c", 4),
        ];
        let upper = [
            file("a/both", 1),
            entry("a/both", Change::Whiteout),
            file("b/new", 2),
            entry("b", Change::Opaque),
            entry("c", Change::Whiteout),
            entry("never", Change::Whiteout),
        ];
        let tree = stacked(&[&lower, &upper]).unwrap();
        assert_eq!(names(&tree), ["a", "a/both=101", "a/old=1", "b", "b/new=102"]);
    }

    #[test]
    fn a_folder_keeps_what_is_in_it_and_anything_else_is_replaced() {
        let lower = [file("folder/file", 1), file("file", 2), link("link", "folder")];
        let upper = [
            entry("folder", Change::Directory),
            entry("file", Change::Directory),
            entry("link", Change::Directory),
        ];
        let tree = stacked(&[&lower, &upper]).unwrap();
        assert_eq!(names(&tree), ["file", "folder", "folder/file=1", "link"]);
        let over_it = stacked(&[&lower, &[file("folder", 3)]]).unwrap();
        assert_eq!(names(&over_it), ["file=2", "folder=103", "link"]);
    }

    #[test]
    fn paths_and_hard_links_follow_the_links_of_lower_layers() {
        let lower = [file("usr/lib/a", 1), link("lib", "usr/lib"), link("abs", "/usr")];
        let upper = [
            file("lib/b", 2),
            hard_link("abs/c", "lib/a"),
            file("usr/lib/a", 3),
        ];
        let tree = stacked(&[&lower, &upper]).unwrap();
        assert_eq!(
            names(&tree),
            [
                "abs",
                "lib",
                "usr",
                "usr/c=1",
                "usr/lib",
                "usr/lib/a=103",
                "usr/lib/b=102"
            ],
            "a name that is replaced takes nothing from the other names of its file"
        );
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let round = [link("one", "two"), link("two", "one"), file("one/x", 1)];
        assert!(matches!(stacked(&[&round]), Err(ApplyError::Loop(_))));
        let dangling = [hard_link("a", "b")];
        assert!(matches!(stacked(&[&dangling]), Err(ApplyError::Dangling(_))));
        let below_file = [file("a", 1), file("a/b", 2)];
        assert!(matches!(stacked(&[&below_file]), Err(ApplyError::Place { .. })));
        let folder = [entry("a", Change::Directory), hard_link("b", "a")];
        assert!(matches!(stacked(&[&folder]), Err(ApplyError::Place { .. })));
        let many: Vec<Entry> = (0..2000).map(|number| file(&number.to_string(), 1)).collect();
        assert!(matches!(stacked(&[&many]), Err(ApplyError::TooMany(_))));
    }

    fn any_path() -> impl Strategy<Value = String> {
        proptest::collection::vec("[abc]|\\.\\.", 1..4).prop_map(|names| names.join("/"))
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let change = (0..6_u8, any_path()).prop_map(|(kind, target)| match kind {
            0 => Change::Directory,
            1 => Change::Whiteout,
            2 => Change::Opaque,
            3 => Change::Symlink {
                target: Name(target.into()),
            },
            4 => Change::HardLink {
                target: Name(target.into()),
            },
            _ => Change::File { block: 1, size: 1 },
        });
        (
            any_path().prop_filter("unpacking refuses these", |path| !path.contains("..")),
            change,
        )
            .prop_map(|(path, change)| entry(&path, change))
    }

    proptest! {
        /// Whatever order and kind: there is a tree or a reason, and a whiteout leaves nothing of lower layers.
        #[test]
        fn any_layers_are_applied_or_refused(
            layers in proptest::collection::vec(proptest::collection::vec(any_entry(), 0..8), 1..4),
            hidden in "[abc]",
        ) {
            let mut layers: Vec<&[Entry]> = layers.iter().map(Vec::as_slice).collect();
            let whiteout = [entry(&hidden, Change::Whiteout)];
            layers.push(&whiteout);
            if let Ok(tree) = stacked(&layers) {
                prop_assert!(tree.find(hidden.as_bytes()).is_none());
                prop_assert!(tree.walk().count() < 1000);
            }
        }
    }
}
