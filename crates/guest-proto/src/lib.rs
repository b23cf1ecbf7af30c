//! The protocol between the host and the guest of one sandbox.
//!
//! The host reaches a guest over one reliable byte stream, the *channel*: a virtio-serial port for a
//! microVM, a socket for the `process` driver, memory for the `simulated` one. Everything below is the same
//! for all three.
//!
//! ```text
//!  host                                                guest
//!   │ ── hello: magic, versions, nonce ───────────────▶ │   handshake, see [`handshake`]
//!   │ ◀─ hello: magic, version, nonce ───────────────── │
//!   │ ═══ yamux ═══════════════════════════════════════ │   many streams, flow control each
//!   │     stream 1: Control   request/response, events  │   see [`message`]
//!   │     stream 2: Logs      output of the agent       │   see [`log`]
//!   │     stream n: Agent     raw bytes to a TCP port   │   one per invocation
//!   │     stream n: Command   output of a command       │   see [`command`]
//!   │     stream n: Shell     a terminal                │   see [`shell`]
//! ```
//!
//! Only the host opens streams. The first frame of a stream is its [`StreamHeader`]. The host may go away at
//! any moment and another may connect: each connection begins with a handshake that discards whatever was
//! left in transit, and the guest keeps the agent running meanwhile.
//!
//! The guest is hostile to the host: every length is bounded before it is allocated, and a peer that breaks a
//! bound loses its channel.

pub mod command;
pub mod frame;
pub mod handshake;
pub mod log;
pub mod message;
mod mux;
pub mod piece;
pub mod shell;

pub use mux::{Channel, ChannelStream, GuestEnd, HostEnd, MuxError};

/// Newest protocol version of this build.
pub const VERSION: u16 = 4;
/// Oldest version this build still speaks.
pub const OLDEST_VERSION: u16 = 3;
/// First version with [`StreamHeader::Shell`].
pub const SHELLS_SINCE: u16 = 4;

/// Name of the virtio-serial port that carries the channel.
pub const PORT_NAME: &str = "coracle.channel";

/// Kernel argument that has the guest say [`PROBE_ANSWER`] on its console and power off.
pub const PROBE_ARGUMENT: &str = "coracle.probe";

/// What a guest started with [`PROBE_ARGUMENT`] says.
pub const PROBE_ANSWER: &str = "coracle-guest: this machine works";

/// What a guest says on its console when it can be snapshotted.
pub const SNAPSHOT_READY: &str = "the host has left, ready for a snapshot";

pub use message::StreamHeader;
