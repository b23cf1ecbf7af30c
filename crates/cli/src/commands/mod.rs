//! One module for each command, and what they share: finding out where to go and which runtime is meant.

mod completion;
mod configure;
mod create;
mod deploy;
mod destroy;
mod dev;
mod doctor;
mod endpoints;
mod exec;
mod invoke;
mod logs;
mod package;
mod sessions;
mod status;
mod stop_session;
mod validate;
mod versions;
mod wait;

use std::path::{Path, PathBuf};

use coracle_types::{EndpointName, RuntimeArn, RuntimeId, RuntimeName, SessionId};
use coracle_wire::control::GetAgentRuntimeResponse;

pub(crate) use self::logs::Level;
use crate::args::{Cli, Command, Global};
use crate::aws::{Client, ClientError};
use crate::failure::Failure;
use crate::output::Printer;
use crate::project::{Project, ProjectError};
use crate::settings::{self, Flags, files};

/// Does what the command line asks for.
pub(crate) async fn run(cli: &Cli, printer: &Printer) -> Result<(), Failure> {
    let place = || Place::find(&cli.global, printer);
    let context = || place()?.with_runtime()?.connect(false);
    match &cli.command {
        Command::Configure(arguments) => configure::run(&cli.global, arguments, printer),
        Command::Create(arguments) => create::run(arguments, printer),
        Command::Deploy(arguments) => deploy::run(&context()?, arguments).await,
        Command::Dev(arguments) => dev::run(place()?, arguments).await,
        Command::Invoke(arguments) => invoke::run(place()?, arguments).await,
        Command::Tools(arguments) => invoke::tools(place()?, arguments).await,
        Command::Card(arguments) => invoke::card(place()?, arguments).await,
        Command::Exec(arguments) => exec::run(place()?, arguments).await,
        Command::Status(arguments) => status::run(&context()?, arguments).await,
        Command::Versions => versions::run(&context()?).await,
        Command::Endpoints(arguments) => endpoints::run(&context()?, arguments).await,
        Command::Logs(arguments) => logs::run(&context()?, arguments).await,
        Command::Sessions(arguments) => sessions::run(&context()?, arguments).await,
        Command::StopSession(arguments) => stop_session::run(&context()?, arguments).await,
        Command::Destroy(arguments) => destroy::run(&context()?, arguments).await,
        Command::Package(arguments) => package::run(&place()?, arguments).await,
        Command::Validate => validate::run(&cli.global, printer),
        Command::Doctor => doctor::run(&cli.global, printer).await,
        Command::Completion(arguments) => completion::run(arguments),
    }
}

/// Where the user is: what commands know before any server is asked.
struct Place<'a> {
    global: &'a Global,
    printer: &'a Printer,
    /// The project, or the folder in and above which there is none: only some commands need one.
    project: Result<Project, PathBuf>,
}

impl<'a> Place<'a> {
    fn find(global: &'a Global, printer: &'a Printer) -> Result<Self, Failure> {
        let project = match Project::find(global.path.as_deref().unwrap_or(Path::new("."))) {
            Ok(project) => Ok(project),
            Err(ProjectError::NotFound(folder)) => Err(folder),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            global,
            printer,
            project,
        })
    }

    fn project(&self) -> Result<&Project, Failure> {
        let missing = |folder: &PathBuf| ProjectError::NotFound(folder.clone()).into();
        self.project.as_ref().map_err(missing)
    }

    /// Makes sure that something says which runtime is meant, before anything about servers is asked.
    fn with_runtime(self) -> Result<Self, Failure> {
        match &self.project {
            Err(folder) if self.global.runtime.is_none() => Err(Failure::usage(
                format!(
                    "no runtime is named, and there is no project in `{}` or any folder above it",
                    folder.display()
                ),
                "`agentcore create` makes a project; or change into the folder of one, or name what is deployed with --runtime",
            )),
            _ => Ok(self),
        }
    }

    /// Finds out where to go, and as whom unless a bearer token will say that.
    fn connect(self, has_bearer_token: bool) -> Result<Context<'a>, Failure> {
        let Self {
            global,
            printer,
            project,
        } = self;
        let target = match &project {
            Ok(project) => project.target(global.target.as_deref())?.cloned(),
            Err(_) => None,
        };
        let flags = Flags {
            endpoint_url: global.endpoint_url.clone(),
            region: global.region.clone(),
            profile: global.profile.clone(),
            has_bearer_token,
        };
        // A variable that is not UTF-8 cannot be any that matters here.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut inputs = files::gather(flags, target, environment).map_err(settings::SettingsError::Files)?;
        inputs.ask_process()?;
        let settings = settings::resolve(&inputs)?;
        for line in settings.explain() {
            printer.debug(&line);
        }
        let client = Client::new(settings, printer.debug)?;
        Ok(Context {
            global,
            printer,
            project,
            client,
        })
    }
}

/// What commands that talk to a server work with.
struct Context<'a> {
    global: &'a Global,
    printer: &'a Printer,
    /// The project, or the folder in and above which there is none: only some commands need one.
    project: Result<Project, PathBuf>,
    client: Client,
}

impl Context<'_> {
    /// The server, for people.
    fn place(&self) -> String {
        let settings = &self.client.settings;
        if settings.endpoints.value.is_aws {
            return format!("AWS {}", settings.region.value);
        }
        let host = settings.endpoints.value.control.origin().ascii_serialization();
        format!("{host} ({})", settings.region.value)
    }

    fn project(&self) -> Result<&Project, Failure> {
        self.project
            .as_ref()
            .map_err(|folder| ProjectError::NotFound(folder.clone()).into())
    }

    /// What the user calls the runtime.
    fn runtime_name(&self) -> Result<String, Failure> {
        match &self.global.runtime {
            Some(name) => Ok(name.clone()),
            None => Ok(self.project()?.runtime(None)?.name.to_string()),
        }
    }

    /// The id of the runtime that is meant, by its ARN, its id or its name.
    async fn runtime_id(&self) -> Result<RuntimeId, Failure> {
        let name = self.runtime_name()?;
        if let Ok(arn) = name.parse::<RuntimeArn>() {
            return Ok(arn.runtime);
        }
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let runtime: RuntimeName = name.parse().map_err(|_| {
            Failure::usage(
                format!("`{name}` is neither the name, the id nor the ARN of a runtime"),
                "a name is a letter followed by letters, digits and underscores, at most 48",
            )
        })?;
        let found = self.client.find_runtime(&runtime).await?;
        found
            .map(|item| item.agent_runtime_id)
            .ok_or_else(|| self.not_deployed(name))
    }

    /// The runtime that is meant.
    async fn runtime(&self) -> Result<GetAgentRuntimeResponse, Failure> {
        let id = self.runtime_id().await?;
        let found = self.client.runtime(&id, None).await?;
        found.ok_or_else(|| self.not_deployed(id.to_string()))
    }

    /// The ARN of the runtime that is meant; no server is asked if the user gave it.
    async fn runtime_arn(&self) -> Result<RuntimeArn, Failure> {
        if let Ok(arn) = self.runtime_name()?.parse() {
            return Ok(arn);
        }
        arn_of(&self.runtime().await?)
    }

    fn not_deployed(&self, name: String) -> Failure {
        Failure::NotDeployed {
            name,
            place: self.place(),
        }
    }
}

fn arn_of(runtime: &GetAgentRuntimeResponse) -> Result<RuntimeArn, Failure> {
    let arn = runtime.agent_runtime_arn.parse();
    arn.map_err(|_| Failure::Client(ClientError::Incomplete("a runtime's ARN")))
}

fn endpoint_name(text: &str) -> Result<EndpointName, Failure> {
    text.parse().map_err(|_| {
        let hint = "a name is a letter followed by letters, digits and underscores, at most 48";
        Failure::usage(format!("`{text}` is not the name of an endpoint"), hint)
    })
}

fn session_id(text: &str) -> Result<SessionId, Failure> {
    text.parse().map_err(|_| {
        let hint =
            "`agentcore sessions` lists those there are; without an id, invoke and exec begin a new one";
        Failure::usage(
            "a session id has 33 to 256 visible ASCII characters other than `/`",
            hint,
        )
    })
}
