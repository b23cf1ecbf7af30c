//! `coracle sessions`: the sessions of a running server on this machine.

mod show;

use coracle_types::{AccountId, EndpointName, RuntimeId, SessionId, VersionNumber};
use http::Method;
use serde_json::Value;

use super::connection::{Connection, LocalServer, Parameters};
use super::{CommandResult, output};

/// Examples:
///   coracle sessions list --state active           who is at work
///   coracle sessions list --state ended            who was, and why they ended
///   coracle sessions describe SESSION              all that is known of one, also after its end
///   coracle sessions logs SESSION --follow         what its agent prints
///   coracle sessions kill SESSION                  ends it now, whatever it is doing
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: LocalServer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List sessions that are there, or with --state ended those that were.
    List(Filter),
    /// Tell all that is known of a session. Ended ones are remembered for 30 days.
    Describe(Named),
    /// Print the last lines of a session's output.
    Logs {
        #[command(flatten)]
        named: Named,
        /// How many lines.
        #[arg(long, default_value_t = 100)]
        lines: u32,
        /// Go on with what comes.
        #[arg(long)]
        follow: bool,
    },
    /// Stop a session as its caller could: the agent is asked to end.
    Stop(Named),
    /// End a session now, without asking its agent.
    Kill(Named),
}

#[derive(clap::Args)]
struct Filter {
    /// Of this runtime, by its id.
    #[arg(long, value_name = "ID")]
    runtime: Option<RuntimeId>,
    /// Of endpoints with this name.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// Of this version.
    #[arg(long, value_name = "NUMBER", value_parser = version)]
    version: Option<VersionNumber>,
    /// In this state: starting, active, idle, stopping, hibernated or ended.
    #[arg(long)]
    state: Option<String>,
    /// Of runtimes of this account.
    #[arg(long)]
    account: Option<AccountId>,
    /// How many of those that have ended.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

#[derive(clap::Args)]
struct Named {
    /// Its id.
    session: SessionId,
    /// The runtime it belongs to, by its id; looked up unless there are several.
    #[arg(long, value_name = "ID")]
    runtime: Option<RuntimeId>,
    /// The endpoint it belongs to.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
}

fn version(text: &str) -> Result<VersionNumber, &'static str> {
    let number = text.parse().ok().and_then(VersionNumber::new);
    number.ok_or("a number from 1 on")
}

pub(crate) fn run(arguments: &Arguments) -> CommandResult {
    let local = &arguments.server;
    local.asked(async |mut server| {
        match &arguments.command {
            Command::List(filter) => {
                let found = server.ask(Method::GET, "sessions", &filter.parameters()).await?;
                local.print(&found, show::list);
            }
            Command::Describe(named) => {
                let key = find(&mut server, named).await?;
                let found = server.ask(Method::GET, "session", &key).await?;
                local.print(&found, show::description);
            }
            Command::Logs { named, lines, follow } => {
                let mut parameters = find(&mut server, named).await?;
                parameters.push(("limit", lines.to_string()));
                if *follow {
                    parameters.push(("follow", "true".to_owned()));
                }
                let json = local.json;
                server
                    .lines("logs", &parameters, |line| {
                        output::data(if json {
                            line.to_owned()
                        } else {
                            show::log_line(line)
                        });
                    })
                    .await?;
            }
            Command::Stop(named) => {
                let key = find(&mut server, named).await?;
                let done = server.ask(Method::POST, "session/stop", &key).await?;
                local.print(&done, show::state);
            }
            Command::Kill(named) => {
                let key = find(&mut server, named).await?;
                let done = server.ask(Method::POST, "session/kill", &key).await?;
                local.print(&done, show::state);
            }
        }
        Ok(())
    })
}

impl Filter {
    fn parameters(&self) -> Parameters {
        let all = [
            ("runtime", self.runtime.as_ref().map(ToString::to_string)),
            ("endpoint", self.endpoint.as_ref().map(ToString::to_string)),
            ("version", self.version.map(|version| version.to_string())),
            ("state", self.state.clone()),
            ("account", self.account.as_ref().map(ToString::to_string)),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let given = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.collect()
    }
}

/// The full name of a session, looked up if only its id was given.
async fn find(
    server: &mut Connection,
    named: &Named,
) -> Result<Parameters, Box<dyn std::error::Error + Send + Sync>> {
    let id = ("session", named.session.to_string());
    if let Some(runtime) = &named.runtime {
        let endpoint = named.endpoint.as_ref().map(|name| ("endpoint", name.to_string()));
        return Ok([("runtime", runtime.to_string()), id]
            .into_iter()
            .chain(endpoint)
            .collect());
    }
    let mut wanted = vec![id.clone()];
    wanted.extend(named.endpoint.as_ref().map(|name| ("endpoint", name.to_string())));
    let mut found = names(&server.ask(Method::GET, "sessions", &wanted).await?);
    if found.is_empty() {
        wanted.push(("state", "ended".to_owned()));
        found = names(&server.ask(Method::GET, "sessions", &wanted).await?);
    }
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Err(format!(
            "there is no session {}, and none that ended lately",
            named.session
        )
        .into()),
        [(runtime, endpoint)] => Ok(vec![
            ("runtime", runtime.clone()),
            ("endpoint", endpoint.clone()),
            id,
        ]),
        several => {
            let list: Vec<_> = several
                .iter()
                .map(|(runtime, endpoint)| format!("--runtime {runtime} --endpoint {endpoint}"))
                .collect();
            Err(format!(
                "there are several sessions of this id; say which one: {}",
                list.join(", or ")
            )
            .into())
        }
    }
}

/// Runtime and endpoint of each session in a list.
fn names(list: &Value) -> Vec<(String, String)> {
    let sessions = list["sessions"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    sessions
        .map(|session| (text(&session["runtime"]), text(&session["endpoint"])))
        .collect()
}
