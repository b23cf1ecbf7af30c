//! What every base image has, whatever it was made from: the agent's user, the places the guest mounts things on,
//! and files of the host's that must not be in it replaced.

use std::io::Read;

use coracle_types::RuntimeKind;

use super::ImageError;
use crate::sandbox::{AGENT_ID, AGENT_USER, CODE_FOLDER};
use crate::tree::{Content, ContentSource, Inode, InodeId, Kind, Metadata, Resolution, Tree};

/// Largest account file that is taken over.
const MAX_ACCOUNT_FILE: u64 = 1024 * 1024;

/// What a Debian system has and no agent needs.
const UNNEEDED: [&str; 15] = [
    "boot",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/common-licenses",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
    "etc/apt",
];

/// Removes what a freshly installed Debian has and no agent needs.
pub(super) fn prune(tree: &mut Tree) {
    for path in UNNEEDED {
        tree.remove(path.as_bytes());
    }
}

/// Makes `tree` a base image for `runtime`.
///
/// # Errors
/// When the runtime's interpreter or a shell is not in it.
pub(super) fn complete(
    tree: &mut Tree,
    source: &mut dyn ContentSource,
    runtime: RuntimeKind,
) -> Result<(), ImageError> {
    require_programs(tree, runtime)?;
    add_agent_user(tree, source, runtime)?;
    for name in ["proc", "sys", "dev", "run"] {
        // The guest mounts over these: what an archive has there would never be seen.
        tree.remove(name.as_bytes());
        folder(tree, name, 0o755, 0);
    }
    for (path, mode, owner) in [
        ("mnt", 0o755, 0),
        ("var/cache", 0o755, 0),
        ("var/log", 0o755, 0),
        ("tmp", 0o1777, 0),
        ("var/tmp", 0o1777, 0),
        (CODE_FOLDER, 0o755, AGENT_ID),
        (&format!("home/{AGENT_USER}"), 0o750, AGENT_ID),
    ] {
        folder(tree, path, mode, owner);
    }
    for (path, content) in [
        ("etc/machine-id", ""),
        ("etc/hostname", "localhost\n"),
        (
            "etc/hosts",
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        ),
        (
            "etc/resolv.conf",
            "# The guest writes the name servers of the sandbox here.\n",
        ),
    ] {
        put(tree, path, content, 0o644, runtime)?;
    }
    Ok(())
}

fn require_programs(tree: &Tree, runtime: RuntimeKind) -> Result<(), ImageError> {
    if !["bin/bash", "usr/bin/bash"]
        .iter()
        .any(|path| is_program(tree, path))
    {
        return Err(ImageError::NotARootfs {
            runtime,
            what: "there is no /bin/bash in it".to_owned(),
        });
    }
    let interpreter = runtime.interpreter();
    let found = ["usr/local/bin", "usr/bin", "bin"]
        .iter()
        .any(|folder| is_program(tree, &format!("{folder}/{interpreter}")));
    if found {
        return Ok(());
    }
    let what = format!("there is no {interpreter} in /usr/local/bin or /usr/bin");
    Err(ImageError::NotARootfs { runtime, what })
}

fn is_program(tree: &Tree, path: &str) -> bool {
    let Resolution::Found(id) = tree.resolve_in_root(path.as_bytes()) else {
        return false;
    };
    let inode = tree.inode(id);
    matches!(inode.kind, Kind::File(_)) && inode.metadata.mode & 0o111 != 0
}

fn add_agent_user(
    tree: &mut Tree,
    source: &mut dyn ContentSource,
    runtime: RuntimeKind,
) -> Result<(), ImageError> {
    let id = AGENT_ID;
    let user = format!("{AGENT_USER}:x:{id}:{id}::/home/{AGENT_USER}:/bin/bash");
    let accounts = [
        ("etc/passwd", user, 0o644),
        ("etc/group", format!("{AGENT_USER}:x:{id}:"), 0o644),
        ("etc/shadow", format!("{AGENT_USER}:!::::::"), 0o600),
    ];
    for (path, line, mode) in accounts {
        let existing = read(tree, source, path)?;
        // Another account with this id would hide the agent's name.
        let has_our_id = |line: &str| path != "etc/shadow" && line.split(':').nth(2) == Some(&id.to_string());
        let is_ours = |line: &str| line.split(':').next() == Some(AGENT_USER);
        let mut text = String::new();
        for kept in existing
            .lines()
            .filter(|line| !is_ours(line) && !has_our_id(line))
        {
            text.push_str(kept);
            text.push('\n');
        }
        text.push_str(&line);
        text.push('\n');
        put(tree, path, &text, mode, runtime)?;
    }
    Ok(())
}

/// A small text file of the tree; empty when there is none.
fn read(tree: &Tree, source: &mut dyn ContentSource, path: &str) -> Result<String, ImageError> {
    let Some(id) = tree.find(path.as_bytes()) else {
        return Ok(String::new());
    };
    let bytes = match &tree.inode(id).kind {
        Kind::File(Content::Inline(bytes)) => bytes.clone(),
        Kind::File(Content::Stored { key, .. }) => {
            let mut bytes = Vec::new();
            source
                .open(*key)?
                .take(MAX_ACCOUNT_FILE)
                .read_to_end(&mut bytes)?;
            bytes
        }
        _ => Vec::new(),
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Puts a file of root's at `path`, whatever was there.
fn put(
    tree: &mut Tree,
    path: &str,
    text: &str,
    mode: u16,
    runtime: RuntimeKind,
) -> Result<InodeId, ImageError> {
    tree.remove(path.as_bytes());
    let inode = Inode {
        metadata: Metadata {
            mode,
            ..Metadata::default()
        },
        kind: Kind::file(text),
    };
    let parents = Metadata {
        mode: 0o755,
        ..Metadata::default()
    };
    tree.insert(path.as_bytes(), inode, &parents)
        .map_err(|error| ImageError::NotARootfs {
            runtime,
            what: format!("/{path}: {error}"),
        })
}

/// Makes a folder, or sets owner and mode of the one that is there.
fn folder(tree: &mut Tree, path: &str, mode: u16, owner: u32) {
    let metadata = Metadata {
        mode,
        uid: owner,
        gid: owner,
        ..Metadata::default()
    };
    if let Resolution::Found(id) = tree.resolve_in_root(path.as_bytes())
        && matches!(tree.inode(id).kind, Kind::Directory(_))
    {
        tree.inode_mut(id).metadata = metadata;
        return;
    }
    tree.remove(path.as_bytes());
    let inode = Inode {
        metadata,
        kind: Kind::directory(),
    };
    let parents = Metadata {
        mode: 0o755,
        ..Metadata::default()
    };
    if let Err(error) = tree.insert(path.as_bytes(), inode, &parents) {
        // The only way here is a parent that is no directory, and then nothing can be mounted below it either.
        tracing::warn!(path, %error, "the base image lacks a folder");
    }
}
