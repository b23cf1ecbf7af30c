//! What sandboxes reach outside, and what they do not.
//!
//! ```text
//!  guest ── virtio-net ── QEMU ── stream socket ──▶ stack: one per sandbox, ends every connection here
//!                                                     │  rules: may this be reached?  ── no ──▶ refused, told in the log
//!                                                     ├──▶ inside: names (dns), metadata, folders (nfs), this server
//!                                                     └──▶ outside: an ordinary connection of the server's
//! ```
//!
//! A sandbox's network is a cable to a TCP/IP stack of its own in this process, and nothing else is on it: there is no
//! bridge, no route and no packet filter that could let it reach another sandbox or this host, and nothing to clean up
//! after a crash. The stack translates: for each connection that the rules allow, it opens one of the server's own and
//! carries the bytes. That needs no privileges, and leaves the host's network as it is.
//!
//! Every guest finds the same addresses ([`Link`]), so a restored one goes on with those it had. IPv4 only: guests have
//! no IPv6 address, and names have none for them. TCP and UDP only.
//!
//! What guests and name servers send is hostile: frames, connections, buffers and waits are bounded. A sandbox that
//! exceeds a bound, or makes its stack fail, loses packets or its network, and disturbs nobody else.

mod cable;
mod dns;
mod inside;
mod metadata;
mod notices;
mod outside;
mod route;
mod rules;
mod stack;

pub use cable::{Link, MAX_PACKET};
pub use dns::{NameServers, NameServersError};
pub use inside::Door;
pub use metadata::{Identity, SessionCredentials};
pub use notices::{Notices, notices};
pub use rules::{Allowance, AllowanceError, Rules};
pub use stack::{Egress, Reach, serve};
