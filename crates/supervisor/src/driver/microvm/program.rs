//! What a machine runs: the disks that hold it, and how its agent is started.
//!
//! Everything here blocks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_artifact::images::{ImageError, ImageStore};
use coracle_artifact::sandbox::{AGENT_ID, AGENT_USER, CODE_FOLDER};
use coracle_egress::Link;
use coracle_guest_proto::message::{MountedFolder, Network, RootFilesystem, SnapshotHook, StartAgent, User};
use coracle_types::{Architecture, Language, RuntimeKind, SandboxId};
use coracle_vmm::{Access, Disk};

use super::{Cause, MicrovmConfig, SCRATCH_DISK};
use crate::driver::{AgentSpec, CodeProgram, ImageProgram, PrepareError, Program, launch};

const CODE_DISK: &str = "code";
const BASE_DISK: &str = "base";
const IMAGE_DISK: &str = "image";
/// What processes of the agent run to hear of a restore.
pub(super) const RESUME_HOOK: &str = include_str!("resume_hook.py");
/// Where it finds the guest, as it says itself.
const RESUME_SOCKET: &str = "/run/coracle/resume";

/// A program whose disks are there.
pub(super) struct Loaded {
    /// What processors it is for.
    pub(super) architecture: Architecture,
    /// Digest of what was deployed.
    pub(super) digest: String,
    /// The file system below it.
    pub(super) base: String,
    /// Read-only disks.
    pub(super) disks: Vec<Disk>,
    /// How processes of the agent hear of a restore.
    pub(super) hook: SnapshotHook,
    /// Starts the agent in a machine with the name still to be set.
    start: StartAgent,
}

impl Loaded {
    /// What starts the agent in this sandbox.
    pub(super) fn start(&self, sandbox: SandboxId) -> StartAgent {
        let mut start = self.start.clone();
        start.hostname = sandbox.to_string();
        start
    }
}

/// Makes what sessions of this program share.
pub(super) fn prepare(config: &MicrovmConfig, program: &Program) -> Result<(), PrepareError> {
    match program {
        Program::Code(program) => {
            ensure_base(&config.images, program.runtime)?;
            let made = config.code.image(&program.code.digest).map(drop);
            made.map_err(|error| PrepareError::Failed(error.into()))
        }
        // Pulling has made everything.
        Program::Image(program) => match config.containers.get(&program.digest) {
            Ok(_) => Ok(()),
            Err(error) => Err(PrepareError::Failed(error.into())),
        },
    }
}

/// Finds the disks of the agent's program.
pub(super) fn load(config: &MicrovmConfig, agent: &AgentSpec) -> Result<Loaded, Cause> {
    let mut loaded = match &agent.program {
        Program::Code(program) => load_code(config, program, &agent.environment),
        Program::Image(program) => load_image(config, program, &agent.environment),
    }?;
    loaded.start.folders = (Link::FOLDER_PORT..)
        .zip(&agent.folders)
        .map(|(port, mount)| MountedFolder {
            server: Link::GATEWAY,
            port,
            mount_path: mount.mount_path.clone(),
            read_only: mount.is_read_only(),
        })
        .collect();
    Ok(loaded)
}

fn load_image(
    config: &MicrovmConfig,
    program: &ImageProgram,
    environment: &BTreeMap<String, String>,
) -> Result<Loaded, Cause> {
    let image = config.containers.get(&program.digest)?;
    let contents: Vec<String> = (0..image.disks.len())
        .map(|number| format!("layer{number}"))
        .collect();
    let mut disks = vec![shared_disk(IMAGE_DISK, image.image.clone())];
    disks.extend(
        contents
            .iter()
            .zip(image.disks)
            .map(|(serial, path)| shared_disk(serial, path)),
    );
    let mut variables = image.start.environment;
    variables.extend(environment.clone());
    Ok(Loaded {
        architecture: image.architecture,
        digest: image.digest,
        base: image.image.display().to_string(),
        disks,
        hook: SnapshotHook {
            socket: RESUME_SOCKET.to_owned(),
            files: BTreeMap::new(),
        },
        start: start(
            RootFilesystem {
                images: vec![IMAGE_DISK.to_owned()],
                scratch: SCRATCH_DISK.to_owned(),
                contents,
            },
            image.start.command,
            variables,
            image.start.working_directory,
            User {
                uid: image.start.uid,
                gid: image.start.gid,
                groups: image.start.groups,
            },
        ),
    })
}

fn load_code(
    config: &MicrovmConfig,
    program: &CodeProgram,
    environment: &BTreeMap<String, String>,
) -> Result<Loaded, Cause> {
    let code_image = config.code.image(&program.code.digest)?;
    let base_image = config.images.base(program.runtime)?.path;
    let folder = format!("/{CODE_FOLDER}");
    Ok(Loaded {
        architecture: config.own.architecture,
        digest: program.code.digest.clone(),
        base: base_image.display().to_string(),
        disks: vec![
            shared_disk(CODE_DISK, code_image),
            shared_disk(BASE_DISK, base_image),
        ],
        hook: snapshot_hook(program.runtime),
        start: start(
            RootFilesystem {
                images: vec![CODE_DISK.to_owned(), BASE_DISK.to_owned()],
                scratch: SCRATCH_DISK.to_owned(),
                contents: Vec::new(),
            },
            launch::command(program, program.runtime.interpreter()),
            launch::environment(environment, &folder, &format!("/home/{AGENT_USER}")),
            folder,
            User {
                uid: AGENT_ID,
                gid: AGENT_ID,
                groups: Vec::new(),
            },
        ),
    })
}

fn shared_disk(serial: &str, path: PathBuf) -> Disk {
    Disk {
        serial: serial.to_owned(),
        path,
        access: Access::Shared,
    }
}

fn start(
    root: RootFilesystem,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    working_directory: String,
    user: User,
) -> StartAgent {
    StartAgent {
        root: Some(root),
        hostname: String::new(),
        // Asks for it; whoever sends this fills it in.
        entropy_hex: Some(String::new()),
        command,
        environment,
        working_directory,
        user: Some(user),
        snapshot: None,
        network: Some(Network {
            card: Link::GUEST_CARD.map(|byte| format!("{byte:02x}")).join(":"),
            address: Link::GUEST,
            prefix: Link::PREFIX,
            gateway: Link::GATEWAY,
        }),
        storage: None,
        folders: Vec::new(),
    }
}

fn ensure_base(images: &ImageStore, runtime: RuntimeKind) -> Result<(), PrepareError> {
    match images.ensure_base(runtime, &()) {
        Ok(_) => Ok(()),
        Err(error @ (ImageError::NoBase { .. } | ImageError::NoRecipe(_))) => {
            Err(PrepareError::Refused(error.to_string()))
        }
        Err(error) => Err(PrepareError::Failed(error.into())),
    }
}

/// How processes of a runtime hear of a restore. Node.js has no such hook.
fn snapshot_hook(runtime: RuntimeKind) -> SnapshotHook {
    let mut files = BTreeMap::new();
    if runtime.language() == Language::Python {
        // Which of the two an interpreter looks into depends on who built it.
        for folder in ["dist-packages", "site-packages"] {
            let folder = format!("/usr/local/lib/{}/{folder}", runtime.interpreter());
            files.insert(format!("{folder}/_coracle_resume.py"), RESUME_HOOK.to_owned());
            files.insert(
                format!("{folder}/coracle-resume.pth"),
                "import _coracle_resume\n".to_owned(),
            );
        }
    }
    SnapshotHook {
        socket: RESUME_SOCKET.to_owned(),
        files,
    }
}
