//! Limits of the service, with its published values (`docs/compatibility.md` says which can be configured).

use std::num::NonZeroU32;
use std::time::Duration;

/// Largest body of one invocation, in bytes.
pub const MAX_INVOCATION_BODY: u64 = 100_000_000;
/// Largest JSON body of a control-plane request, in bytes.
pub const MAX_CONTROL_BODY: u64 = 1024 * 1024;
/// Largest code zip, in bytes.
pub const MAX_CODE_ZIP: u64 = 250 * 1024 * 1024;
/// Largest code artifact once unpacked, in bytes.
pub const MAX_CODE_UNPACKED: u64 = 750 * 1024 * 1024;

/// Length of a session id, in characters.
pub const SESSION_ID_LENGTH: std::ops::RangeInclusive<usize> = 33..=256;

/// How long directly deployed code may take until its first healthy ping.
pub const CODE_INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a container, or a snapshot's first boot, may take until its first healthy ping.
pub const CONTAINER_INIT_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest non-streaming invocation: time until the first byte of the answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Longest streamed answer, and longest life of a WebSocket.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Longest payload of a WebSocket frame, in bytes.
pub const MAX_WEBSOCKET_FRAME: u32 = 64 * 1024;
/// Frames that the client of a WebSocket may send, per second.
pub const WEBSOCKET_FRAMES_PER_SECOND: NonZeroU32 = NonZeroU32::new(250).unwrap();

/// Size of a session's storage, in bytes.
pub const SESSION_STORAGE: u64 = 1024 * 1024 * 1024;
/// How long a session's storage is kept that nobody uses.
pub const SESSION_STORAGE_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Idle time after which a session ends, when the runtime does not say, in seconds.
pub const DEFAULT_IDLE_TIMEOUT_SECS: u32 = 900;
/// Life of a session, when the runtime does not say, in seconds.
pub const DEFAULT_MAX_LIFETIME_SECS: u32 = 28_800;
