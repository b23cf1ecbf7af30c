//! Why a command failed, what the user can do about it, and the exit code that says so to a script.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use coracle_types::ResourceStatus;

use crate::aws::ClientError;
use crate::dev::DevError;
use crate::package::PackageError;
use crate::project::ProjectError;
use crate::scaffold::{Conflict, WriteError};
use crate::settings::SettingsError;
use crate::sse::EventTooLarge;

/// Why a command failed. `--help` documents the exit codes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Choices(#[from] Conflict),
    #[error("the project cannot be made")]
    Scaffold(#[from] WriteError),
    #[error(transparent)]
    Dev(#[from] DevError),
    /// What happened with the agent that `agentcore dev` runs.
    #[error(transparent)]
    InDev(Box<Failure>),
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("`{name}` is not deployed at {place}")]
    NotDeployed { name: String, place: String },
    #[error("{name} is {status}: {reason}")]
    Refused {
        name: String,
        status: ResourceStatus,
        reason: String,
    },
    #[error("{name} was still {status} after {} s", waited.as_secs())]
    TooSlow {
        name: String,
        status: ResourceStatus,
        waited: Duration,
    },
    #[error("{0} disappeared while it was waited for")]
    Vanished(String),
    #[error("the agent failed while it answered: {0}")]
    Agent(String),
    #[error("the command or the shell exited with code {0}")]
    Exited(u8),
    #[error("the command was not run to its end: {0}")]
    Command(String),
    #[error("the shell was left: {reason}")]
    Shell {
        reason: String,
        /// How to go on with it, if it does.
        again: Option<String>,
    },
    #[error("the terminal cannot be used for a shell")]
    Terminal(#[source] io::Error),
    #[error("the answer cannot be read")]
    Answer(#[from] EventTooLarge),
    #[error("this program cannot be started")]
    Start(#[source] io::Error),
    #[error("`{}` cannot be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` cannot be written", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} of the checks failed")]
    Unready(usize),
    #[error("stdin cannot be read")]
    Input(#[source] io::Error),
    #[error("stdout cannot be written")]
    Output(#[source] io::Error),
    #[error("nothing was deleted")]
    Declined,
    #[error("interrupted")]
    Interrupted,
}

const DEV_HINT: &str = "the terminal of `agentcore dev`, and its page, show what the agent printed";
const LOGS_HINT: &str = "`agentcore logs --since 10m` shows what the agent printed";

impl Failure {
    /// Something the user typed or wrote into the project is wrong.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Whether whoever read our output has had enough of it, which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// One piece of advice, if there is any.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => Some(error.hint()),
            Self::Project(error) => Some(error.hint()),
            Self::Package(error) => error.hint(),
            Self::Client(error) => client_hint(error).map(str::to_owned),
            Self::Choices(conflict) => Some(conflict.hint.clone()),
            Self::Scaffold(error) => error.hint(),
            Self::Dev(error) => error.hint(),
            Self::InDev(failure) => {
                let hint = failure.hint()?;
                Some(if hint == LOGS_HINT {
                    DEV_HINT.to_owned()
                } else {
                    hint
                })
            }
            Self::Usage { hint, .. } => Some(hint.clone()),
            Self::NotDeployed { .. } => {
                Some("`agentcore deploy` deploys it; --debug says why this server was asked".to_owned())
            }
            Self::Refused { .. } => Some(format!(
                "mend the cause and run `agentcore deploy` again; {LOGS_HINT}"
            )),
            Self::TooSlow { .. } => Some(
                "it goes on without us: see `agentcore status`, or wait longer with --timeout".to_owned(),
            ),
            Self::Agent(_) => Some(LOGS_HINT.to_owned()),
            Self::Unready(_) => Some("what to do is said beside each".to_owned()),
            Self::Shell { again, .. } => again.clone(),
            Self::Exited(_) | Self::Command(_) | Self::Terminal(_) => None,
            Self::Unwritable { .. } => None,
            Self::File { .. } | Self::Vanished(_) | Self::Answer(_) | Self::Input(_) | Self::Output(_) => {
                None
            }
            Self::Start(_) | Self::Declined | Self::Interrupted => None,
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(SettingsError::NoCredentials | SettingsError::ProfileWithoutKeys(_)) => 5,
            Self::Settings(_) | Self::Project(_) | Self::Package(_) | Self::Usage { .. } => 2,
            Self::File { .. } | Self::Unwritable { .. } => 2,
            Self::Choices(_) | Self::Scaffold(_) => 2,
            Self::Dev(DevError::NotRunning) => 4,
            Self::Dev(_) => 1,
            Self::InDev(failure) => failure.exit_code(),
            Self::Client(error) => client_exit_code(error),
            Self::NotDeployed { .. } => 3,
            Self::Refused { .. } | Self::Agent(_) => 6,
            Self::Exited(code) => *code,
            Self::Interrupted => 130,
            Self::Command(_) | Self::Shell { .. } | Self::Terminal(_) => 1,
            Self::Unready(_) | Self::TooSlow { .. } | Self::Vanished(_) | Self::Answer(_) => 1,
            Self::Input(_) | Self::Output(_) | Self::Start(_) | Self::Declined => 1,
        }
    }
}

fn is_refusal_of_credentials(error: &ClientError) -> bool {
    matches!(error.status(), Some(401 | 403))
}

fn client_hint(error: &ClientError) -> Option<&'static str> {
    if let ClientError::Unreachable { .. } = error {
        return Some(
            "is the server running? `coracle serve` starts one; --debug says which setting named this address",
        );
    }
    if let ClientError::NoKeys = error {
        return Some(
            "a bearer token alone calls runtimes by their ARN: pass it as --runtime, or set credentials, too",
        );
    }
    Some(match error.code() {
        "RuntimeClientError" => LOGS_HINT,
        "ThrottlingException" | "SlowDown" => "too many requests: try again in a moment",
        "ServiceQuotaExceededException" => "a limit was reached: end sessions with `agentcore stop-session`",
        "ConflictException" if error.to_string().contains("already exists") => {
            "`agentcore endpoints update NAME` moves an endpoint that is there, `agentcore deploy` updates a runtime"
        }
        "ConflictException" | "RetryableConflictException" => {
            "something else is changing it: try again in a moment"
        }
        "ResourceNotFoundException" => {
            "`agentcore status`, `versions`, `endpoints` and `sessions` list what is there"
        }
        _ if is_refusal_of_credentials(error) => {
            "the server does not accept these credentials: --debug says where they come from; Coracle's own \
             are in the `credentials` file of its data folder (AWS_SHARED_CREDENTIALS_FILE)"
        }
        _ => return None,
    })
}

fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Unreachable { .. } => 4,
        ClientError::BadRequest(_) => 2,
        ClientError::NoKeys => 5,
        _ if error.is_not_found() => 3,
        _ if is_refusal_of_credentials(error) => 5,
        _ => match error.code() {
            "RuntimeClientError" => 6,
            "ValidationException" => 2,
            _ => 1,
        },
    }
}
