//! `coracle rollout`: how an endpoint of a running server moves from one version to another.

use coracle_server::rollout::{OldSessions, Percent};
use coracle_types::{EndpointArn, InvocationTarget, VersionNumber};
use http::Method;
use serde_json::Value;

use super::CommandResult;
use super::connection::LocalServer;

/// Examples:
///   coracle rollout set ARN --version 4 --percent 10            a tenth of the new sessions begin with version 4
///   coracle rollout set ARN --old-sessions stop-when-idle       sessions of other versions end once unused
///   coracle rollout show ARN                                    what runs which version
///   coracle rollout back ARN                                    no new session begins with version 4 any more
///
/// ARN is that of an endpoint, as GetAgentRuntimeEndpoint tells it. To finish a rollout, point the endpoint at the
/// version with UpdateAgentRuntimeEndpoint, and roll the share back.
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
    /// Tell which versions an endpoint's sessions begin with, and which they run.
    Show(Endpoint),
    /// Have a share of the new sessions begin with a version, or say what becomes of sessions of other versions.
    Set {
        #[command(flatten)]
        endpoint: Endpoint,
        /// The version that the share begins with.
        #[arg(long, value_name = "NUMBER", requires = "percent")]
        version: Option<VersionNumber>,
        /// The share, from 1 to 100.
        #[arg(long, value_name = "NUMBER", requires = "version")]
        percent: Option<Percent>,
        /// What becomes of sessions of other versions: finish or stop-when-idle.
        #[arg(long, value_name = "WHAT")]
        old_sessions: Option<OldSessions>,
    },
    /// Have all new sessions begin with the version that the endpoint serves.
    Back(Endpoint),
}

#[derive(clap::Args)]
struct Endpoint {
    /// The endpoint's ARN.
    #[arg(value_name = "ARN", value_parser = endpoint_arn)]
    endpoint: EndpointArn,
}

fn endpoint_arn(text: &str) -> Result<EndpointArn, &'static str> {
    match text.parse() {
        Ok(InvocationTarget::Endpoint(endpoint)) => Ok(endpoint),
        _ => Err("expected the ARN of an endpoint, with /runtime-endpoint/ in it"),
    }
}

pub(crate) fn run(arguments: &Arguments) -> CommandResult {
    let (method, Endpoint { endpoint }) = match &arguments.command {
        Command::Show(endpoint) => (Method::GET, endpoint),
        Command::Set { endpoint, .. } => (Method::PUT, endpoint),
        Command::Back(endpoint) => (Method::DELETE, endpoint),
    };
    let mut parameters = vec![("endpoint", endpoint.to_string())];
    if let Command::Set {
        version,
        percent,
        old_sessions,
        ..
    } = &arguments.command
    {
        parameters.extend(version.map(|version| ("version", version.to_string())));
        parameters.extend(percent.map(|percent| ("percent", percent.to_string())));
        parameters.extend(old_sessions.map(|wanted| ("oldSessions", wanted.to_string())));
    }
    arguments.server.asked(async |mut server| {
        let answer = server.ask(method, "rollout", &parameters).await?;
        arguments.server.print(&answer, described);
        Ok(())
    })
}

fn described(answer: &Value) -> Vec<String> {
    let serves = match &answer["version"] {
        Value::Null => "serves no version yet".to_owned(),
        version => format!("serves version {version}"),
    };
    let mut lines = vec![match &answer["canary"] {
        Value::Null => serves,
        canary => format!(
            "{serves}; {} percent of new sessions begin with version {}",
            canary["percent"], canary["version"]
        ),
    }];
    let old_sessions = answer["oldSessions"].as_str().unwrap_or_default();
    lines.push(format!("sessions of other versions: {old_sessions}"));
    let sessions = answer["sessions"].as_object().into_iter().flatten();
    lines.extend(sessions.map(|(version, count)| format!("version {version}: {count} sessions")));
    lines
}
