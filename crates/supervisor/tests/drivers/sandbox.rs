//! A booted sandbox with a small agent, spoken to as the supervisor does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coracle_artifact::code::{self, CodeStore};
use coracle_guest_proto::message::{
    AgentExit, Dialed, Event, GoOn, Request, Response, Resume, StreamHeader, ToGuest, ToHost, Usage,
};
use coracle_guest_proto::{Channel, ChannelStream, HostEnd, frame, log};
use coracle_supervisor::driver::{AgentSpec, CodeArtifact, CodeProgram, Program, Start};
use coracle_types::{RuntimeKind, ServerProtocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Generous, because emulation on a busy machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;

/// Waits, but not forever.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took over {PATIENCE:?}"))
}

/// The statically built guest program, or why there is none.
pub(crate) fn guest_program() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = ["x86_64", "aarch64"]
        .map(|arch| folder.join(format!("{arch}-unknown-linux-gnu/debug/coracle-guest")));
    built
        .into_iter()
        .find(|program| program.is_file())
        .ok_or_else(|| "the guest program is missing; build it with `cargo xtask build`".to_owned())
}

/// The server program, which jails machines, or why there is none.
pub(crate) fn server_program() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug/coracle");
    program
        .canonicalize()
        .map_err(|_| "the server program is missing; build it with `cargo xtask build`".to_owned())
}

/// The agent in `agent.py`, in a code store in this folder.
pub(crate) fn agent(folder: &Path, runtime: RuntimeKind) -> (CodeStore, AgentSpec) {
    let zip = folder.join("agent.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
    archive
        .start_file(
            "main.py",
            zip::write::SimpleFileOptions::default().unix_permissions(0o644),
        )
        .unwrap();
    archive.write_all(include_bytes!("agent.py")).unwrap();
    archive.finish().unwrap();
    let entry_point = vec!["main.py".to_owned()];
    let checked = code::check(&zip, &entry_point, runtime).unwrap();
    let store = CodeStore::open(folder.join("code")).unwrap();
    let stored = store.import(&zip, &checked).unwrap();
    let spec = AgentSpec {
        program: Program::Code(CodeProgram {
            runtime,
            code: CodeArtifact {
                digest: stored.digest,
                zip: stored.zip,
            },
            entry_point,
        }),
        environment: BTreeMap::new(),
        protocol: ServerProtocol::Http,
        port: PORT,
        path: "/invocations".into(),
        egress: Default::default(),
        storage: None,
        folders: Vec::new(),
        template: None,
    };
    (store, spec)
}

/// A connection to a guest.
pub(crate) struct Connection {
    host: HostEnd,
    control: ChannelStream,
    next_id: u64,
    exit: Option<AgentExit>,
}

impl Connection {
    pub(crate) async fn new(channel: impl Channel) -> Self {
        let nonce = rand_nonce();
        let host = patiently("the handshake", HostEnd::connect(channel, nonce))
            .await
            .unwrap();
        let control = host.open(&StreamHeader::Control).await.unwrap();
        Self {
            host,
            control,
            next_id: 0,
            exit: None,
        }
    }

    pub(crate) async fn request(&mut self, request: Request) -> Result<Response, String> {
        let id = self.next_id;
        self.next_id += 1;
        frame::write(&mut self.control, &ToGuest { id, request })
            .await
            .unwrap();
        loop {
            match patiently("an answer", frame::read(&mut self.control))
                .await
                .unwrap()
            {
                ToHost::Response { id: answered, result } if answered == id => return result,
                ToHost::Response { .. } => panic!("an answer to another request"),
                ToHost::Event {
                    event: Event::AgentExited(exit),
                } => self.exit = Some(exit),
            }
        }
    }

    /// Does what the supervisor does first: sets the clock, and starts the agent or resumes it.
    pub(crate) async fn start(&mut self, start: Start) {
        for _ in 0..2 {
            let told = self.clock(0).await;
            self.clock(unix_nanos() - told).await;
        }
        let entropy = || {
            let bytes: [u8; 32] = rand::random();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let request = match start {
            Start::Adopted => return,
            Start::Agent(mut start) => {
                start.entropy_hex = start.entropy_hex.map(|_| entropy());
                Request::Start(start)
            }
            Start::Resume { hostname } => Request::Resume(Resume {
                hostname,
                entropy_hex: entropy(),
                storage: None,
            }),
            Start::GoOn => Request::GoOn(GoOn {
                entropy_hex: entropy(),
                storage: None,
            }),
        };
        match self.request(request).await.unwrap() {
            Response::Started { .. } => {}
            Response::Done => {}
            Response::Resumed(resumed) => println!("{resumed:?}"),
            other => panic!("{other:?}"),
        }
    }

    async fn clock(&mut self, step_nanos: i64) -> i64 {
        match self.request(Request::Clock { step_nanos }).await.unwrap() {
            Response::Clock { unix_nanos } => unix_nanos,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn exited(&mut self) -> AgentExit {
        while self.exit.is_none() {
            let message = patiently("the agent's end", frame::read(&mut self.control))
                .await
                .unwrap();
            if let ToHost::Event {
                event: Event::AgentExited(exit),
            } = message
            {
                self.exit = Some(exit);
            }
        }
        self.exit.clone().unwrap()
    }

    pub(crate) async fn usage(&mut self) -> Usage {
        match self.request(Request::Usage).await.unwrap() {
            Response::Usage(usage) => usage,
            other => panic!("{other:?}"),
        }
    }

    /// Reads logs until both texts have been seen.
    pub(crate) async fn logs_until(&self, texts: &[&str]) {
        let mut stream = self.host.open(&StreamHeader::Logs).await.unwrap();
        let mut seen = String::new();
        while !texts.iter().all(|text| seen.contains(text)) {
            let record = patiently("a log record", log::read(&mut stream)).await.unwrap();
            seen.push_str(&String::from_utf8_lossy(&record.bytes));
        }
    }

    /// A stream to the agent, once it listens.
    async fn dial(&self) -> ChannelStream {
        let begun = Instant::now();
        loop {
            let mut stream = self.host.open(&StreamHeader::Agent { port: PORT }).await.unwrap();
            match patiently("dialing", frame::read(&mut stream)).await.unwrap() {
                Dialed::Connected => return stream,
                Dialed::Refused { reason } => assert!(begun.elapsed() < PATIENCE, "{reason}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The body of the answer; none when the agent ended instead of answering.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        let mut stream = self.dial().await;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        patiently(path, stream.read_to_string(&mut answer)).await.ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// What the agent says of itself.
    pub(crate) async fn identity(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/identity").await.unwrap()).unwrap()
    }

    /// How far the agent's clock is from the host's, beyond what the question took. The best of a few tries, because
    /// emulation on a busy machine is slow.
    pub(crate) async fn clock_difference(&self) -> Duration {
        let mut least = f64::MAX;
        for _ in 0..5 {
            let now = || {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.unwrap().as_secs_f64()
            };
            let asked = now();
            let told = self.identity().await["time"].as_f64().unwrap();
            let answered = now();
            let outside = (asked - told).max(told - answered).max(0.0);
            least = least.min(outside);
        }
        Duration::from_secs_f64(least)
    }

    /// What the agent sends back of what it was sent.
    pub(crate) async fn echo(&self, body: &[u8]) -> Vec<u8> {
        let (mut read, mut write) = tokio::io::split(self.dial().await);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sending = async {
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(body).await.unwrap();
        };
        let mut answer = Vec::new();
        let (_, received) = patiently("an echo", async {
            tokio::join!(sending, read.read_to_end(&mut answer))
        })
        .await;
        received.unwrap();
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        answer.split_off(end + 4)
    }
}

fn unix_nanos() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_nanos()).unwrap()
}

fn rand_nonce() -> [u8; 16] {
    std::array::from_fn(|_| rand::random())
}
