//! Folders of the host's, served to sandboxes as NFS version 3 (RFC 1813) over any byte stream.
//!
//! ```text
//!  connection ─▶ record (rpc) ─▶ worker, a thread that acts as the folder's owner ─▶ procedure ─▶ tree ─▶ the host's files
//! ```
//!
//! The protocol has no state: a client that was restored from a snapshot, or whose server is another process by now,
//! connects anew and goes on with the handles it has ([`handle`]). What lies beneath the folder is reached by
//! `openat2(2)`, which neither follows symbolic links nor leaves the folder or its file system ([`tree`]); links are for
//! clients to follow, among their own files.
//!
//! Clients are hostile. Records, names, answers and connections are bounded; handles are sealed with a key; a
//! connection's requests are served one after another, so a client waits only for itself. What a request asks in vain is
//! a status of the protocol's; a connection that does not speak the protocol is closed.
//!
//! Not served: locks (clients keep those among themselves), device nodes, pipes and sockets, the bits for another user's
//! rights (set-user-id, set-group-id), and other owners than the folder's.

mod folder;
mod handle;
mod owner;
mod procedures;
mod rpc;
mod status;
mod tree;
mod worker;
mod xdr;

pub use folder::{Folder, FolderError, FolderKey, FolderSettings};
pub use owner::Owner;
