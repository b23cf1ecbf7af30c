//! What the frames say.
//!
//! A field added later is optional and needs no new version; a message added later does.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::command::RunCommand;
use crate::shell::AttachShell;

/// First frame of every stream: what the stream is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamHeader {
    /// [`ToGuest`] frames one way, [`ToHost`] frames the other. One at a time; a newer one replaces it.
    Control,
    /// Log records to the host. One at a time; a newer one replaces it.
    Logs,
    /// Raw bytes to and from a TCP port of the agent, after one [`Dialed`] frame from the guest.
    Agent {
        /// The port on the guest's loopback.
        port: u16,
    },
    /// A command beside the agent; what becomes of it comes back as [`crate::command`] events.
    Command(RunCommand),
    /// A shell beside the agent, begun or gone on with; [`crate::shell`] says what passes.
    Shell(AttachShell),
}

/// The guest's answer to [`StreamHeader::Agent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Dialed {
    /// Connected; raw bytes follow.
    Connected,
    /// Nobody listens there, or the agent is not running; the stream ends.
    Refused {
        /// What the guest's system said.
        reason: String,
    },
}

/// A frame from host to guest on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToGuest {
    /// Comes back in the answer.
    pub id: u64,
    /// What to do.
    pub request: Request,
}

/// A frame from guest to host on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToHost {
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// How it went; a text for the operator when it failed.
        result: Result<Response, String>,
    },
    /// Something happened. An agent's exit is repeated on every new control stream, so that none is missed.
    Event {
        /// What happened.
        event: Event,
    },
}

/// What the host asks of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// Moves the wall clock and tells it. A guest that shares its host's clock only tells it.
    Clock {
        /// How far to move it, in nanoseconds.
        step_nanos: i64,
    },
    /// Mounts the file system and starts the agent. Once per guest.
    Start(Box<StartAgent>),
    /// Announces that the host will leave the channel for a snapshot to be taken. Once the guest has seen it leave, it
    /// says [`crate::SNAPSHOT_READY`] on its console: a snapshot taken earlier could not be spoken to.
    Snapshot,
    /// Tells a restored guest, whose agent runs, who it is now. Before any request to the agent.
    Resume(Resume),
    /// Tells a guest whose machine stood still that it goes on. Before any request to the agent.
    GoOn(GoOn),
    /// Sends a signal to the agent's process group.
    Signal {
        /// Signal number.
        signal: i32,
    },
    /// Asks the agent to end (SIGTERM), kills what is left after the grace, syncs, and powers off.
    Shutdown {
        /// Milliseconds between the request and the kill.
        grace_millis: u64,
    },
    /// Asks what the sandbox has used so far.
    Usage,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Clock`].
    Clock {
        /// The wall clock after the step, in Unix nanoseconds.
        unix_nanos: i64,
    },
    /// To [`Request::Start`].
    Started {
        /// The agent's process id inside the guest.
        pid: u32,
        /// How long the guest itself took, in microseconds.
        timing: StartTiming,
    },
    /// To [`Request::Resume`].
    Resumed(Resumed),
    /// To [`Request::Snapshot`], [`Request::GoOn`], [`Request::Signal`] and [`Request::Shutdown`].
    Done,
    /// To [`Request::Usage`].
    Usage(Usage),
}

/// Where the guest's part of a start went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartTiming {
    /// Power-on to the guest program, by the guest's clock; zero where there is no machine to power on.
    pub kernel_micros: u64,
    /// Mounting and preparing the file system.
    pub mount_micros: u64,
    /// Starting the agent's process.
    pub spawn_micros: u64,
}

/// What a sandbox has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all processes, in microseconds.
    pub cpu_micros: u64,
    /// Memory in use now, in bytes.
    pub memory_bytes: u64,
    /// Private disk in use now, in bytes.
    pub disk_bytes: u64,
}

/// What happened in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The agent's main process ended, and with it everything it started.
    AgentExited(AgentExit),
}

/// How the agent's main process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentExit {
    /// Exit code, when it exited by itself.
    pub code: Option<i32>,
    /// Signal number, when a signal ended it.
    pub signal: Option<i32>,
    /// The kernel killed it because memory ran out.
    pub out_of_memory: bool,
}

impl fmt::Display for AgentExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.out_of_memory, self.code, self.signal) {
            (true, ..) => f.write_str("was killed because memory ran out"),
            (_, Some(code), _) => write!(f, "exited with code {code}"),
            (_, _, Some(signal)) => write!(f, "was killed by signal {signal}"),
            _ => f.write_str("ended"),
        }
    }
}

/// Everything the guest needs to start an agent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAgent {
    /// The file system to build; absent where the guest is a process that uses the host's.
    pub root: Option<RootFilesystem>,
    /// Host name inside the sandbox.
    pub hostname: String,
    /// Fresh random bytes from the host for the guest's kernel, in hexadecimal; absent where the kernel is shared.
    pub entropy_hex: Option<String>,
    /// Program and arguments. A program without a slash is looked up in the environment's `PATH`.
    pub command: Vec<String>,
    /// The whole environment of the agent.
    pub environment: BTreeMap<String, String>,
    /// Working directory.
    pub working_directory: String,
    /// Who the agent runs as; absent to stay the user the guest runs as.
    pub user: Option<User>,
    /// Present when the machine will be snapshotted once the agent is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotHook>,
    /// Present when the machine has a network card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What the session finds again, to be there before the agent starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Folders of the host's, to be there before the agent starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<MountedFolder>,
}

/// A folder of the host's that is mounted over the network, by NFS version 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedFolder {
    /// Who serves it.
    pub server: Ipv4Addr,
    /// At which port.
    pub port: u16,
    /// Where the agent is to find it.
    pub mount_path: String,
    /// Whether nothing in it can be changed.
    pub read_only: bool,
}

/// A file system that outlives its sandbox. It belongs to the agent's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Where it is.
    pub source: StorageSource,
    /// Where the agent is to find it.
    pub mount_path: String,
}

/// Where a file system is that outlives its sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StorageSource {
    /// An ext4 file system on a block device.
    Disk {
        /// The serial number of the disk.
        serial: String,
    },
    /// A folder of the host's, where the guest is a process that sees the host's files.
    Folder {
        /// Its path.
        path: String,
    },
}

/// The only network of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The hardware address of its card, in lower-case hexadecimal with colons.
    pub card: String,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
    /// Where everything else is, and who is asked for names.
    pub gateway: Ipv4Addr,
}

/// How processes of the agent hear that they have been restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHook {
    /// A socket for the guest to listen on. After a restore the guest writes one byte on each of its connections,
    /// and waits a while for one byte back.
    pub socket: String,
    /// Files to put into the file system before the agent starts: path and text.
    pub files: BTreeMap<String, String>,
}

/// What a restored sandbox must not share with others of its template.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Host name inside the sandbox.
    pub hostname: String,
    /// Fresh random bytes from the host for the guest's kernel, in hexadecimal.
    pub entropy_hex: String,
    /// What its session finds again, if that is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// Shows no entropy.
impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume")
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// What a machine that stood still has missed, but for the time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoOn {
    /// Fresh random bytes from the host for the guest's kernel, in hexadecimal.
    pub entropy_hex: String,
    /// What its session finds again, if it has got that only now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// Shows no entropy.
impl fmt::Debug for GoOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoOn").finish_non_exhaustive()
    }
}

/// How a resumption went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Processes that had asked to be told.
    pub told: u32,
    /// Those of them that did not confirm in time, or could not be told.
    pub silent: u32,
    /// How long the guest took, in microseconds.
    pub took_micros: u64,
}

/// Shows what is started, without the environment's values: they may be secret.
impl fmt::Debug for StartAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartAgent")
            .field("root", &self.root)
            .field("hostname", &self.hostname)
            .field("command", &self.command)
            .field("environment", &self.environment.keys())
            .field("working_directory", &self.working_directory)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// An overlay of read-only images under a private writable layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFilesystem {
    /// Block devices with EROFS images, topmost first, by the serial number of the disk.
    pub images: Vec<String>,
    /// Block device with an empty ext4 file system, by the serial number of the disk.
    pub scratch: String,
    /// Block devices that hold contents of the last of the images, in the order of that image's device table, by the
    /// serial number of the disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<String>,
}

/// A numeric user and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guests outlive servers: these bytes must parse for as long as version 3 is spoken.
    #[test]
    fn version_3_on_the_wire() {
        let golden = r#"{"id":1,"request":{"kind":"start","root":{"images":["code","base"],"scratch":"scratch"},"hostname":"h","entropy_hex":"00","command":["python3"],"environment":{"A":"b"},"working_directory":"/var/task","user":{"uid":1000,"gid":1000}}}"#;
        let parsed: ToGuest = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden =
            r#"{"kind":"event","event":{"kind":"agent_exited","code":null,"signal":9,"out_of_memory":true}}"#;
        let parsed: ToHost = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"kind":"response","id":1,"result":{"Err":"no"}}"#;
        let parsed: ToHost = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"kind":"agent","port":8080}"#;
        let parsed: StreamHeader = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"id":1,"request":{"kind":"resume","hostname":"h","entropy_hex":"00"}}"#;
        let parsed: ToGuest = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"id":1,"request":{"kind":"clock","step_nanos":-1}}"#;
        let parsed: ToGuest = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"kind":"response","id":1,"result":{"Ok":{"kind":"clock","unix_nanos":1}}}"#;
        let parsed: ToHost = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
        let golden = r#"{"kind":"response","id":1,"result":{"Ok":{"kind":"resumed","told":1,"silent":0,"took_micros":9}}}"#;
        let parsed: ToHost = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
    }

    #[test]
    fn version_4_on_the_wire() {
        let golden = r#"{"kind":"shell","id":"a"}"#;
        let parsed: StreamHeader = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), golden);
    }

    #[test]
    fn the_environment_is_not_printed() {
        let start = StartAgent {
            root: None,
            hostname: "h".into(),
            entropy_hex: None,
            command: vec!["python3".into()],
            environment: [("API_KEY".to_owned(), "hunter2".to_owned())].into(),
            working_directory: "/".into(),
            user: None,
            snapshot: None,
            network: None,
            storage: None,
            folders: Vec::new(),
        };
        assert!(!format!("{start:?}").contains("hunter2"));
    }
}
