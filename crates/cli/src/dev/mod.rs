//! `agentcore dev`: one agent on this machine, run as the platform would run it, with a page to look inside.
//!
//! ```text
//!                 ┌──────────────────────────────────────────────┐
//! page, CLI, curl │ gate    routes of the protocol, page, events │
//!        ────────►│  └─ relay    headers and errors of the       │
//!                 │      │       platform; every step is noted   │
//!                 │      ▼                                       │
//!                 │ agent   prepare ─► start ─► ready ─► ended    │
//!                 │          ▲                     │        │    │
//!                 │          └── a file changed ◄──┴────────┘    │
//!                 │ journal  output, states, traces; bounded     │
//!                 └──────────────────────────────────────────────┘
//! ```
//!
//! Other than on the platform all sessions share one process, which has the developer's own files, network and
//! environment beside what the platform gives. The agent listens where it always does, such as on port 8080; its
//! sockets are moved to a free port of the loopback device, so that several agents fit on one machine.
//!
//! An agent that cannot be prepared, does not start or ends says why, and is tried again when a file changes.

mod agent;
mod client;
mod environment;
mod gate;
mod journal;
mod otlp;
mod relay;
mod watch;

pub(crate) use self::agent::{Agent, DevError};
pub(crate) use self::client::{AddressFile, DEFAULT_PORT, DevServer};
pub(crate) use self::environment::Plan;
pub(crate) use self::gate::{Gate, bind};
pub(crate) use self::journal::{Event, Journal, Phase};
