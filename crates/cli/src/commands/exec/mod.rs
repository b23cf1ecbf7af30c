//! `agentcore exec`: runs a command beside the agent, or with `--it` opens a shell there.

mod command;
mod shell;
mod terminal;

use coracle_types::{SessionId, ShellId};

use super::{Place, endpoint_name, session_id};
use crate::args::Exec;
use crate::aws::data::Whereabouts;
use crate::failure::Failure;

pub(super) async fn run(user: Place<'_>, arguments: &Exec) -> Result<(), Failure> {
    let context = &user.with_runtime()?.connect(arguments.bearer_token.is_some())?;
    let endpoint = endpoint_name(&arguments.endpoint)?;
    let session = match &arguments.session_id {
        Some(text) => session_id(text)?,
        None => SessionId::random(),
    };
    let shell = match &arguments.shell_id {
        Some(text) => shell_id(text)?,
        None => ShellId::random(),
    };
    let runtime = context.runtime_arn().await?;
    let place = Whereabouts {
        runtime: &runtime,
        endpoint: &endpoint,
        session: &session,
        bearer: arguments.bearer_token.as_ref(),
    };
    if arguments.interactive {
        return shell::run(context, &place, &shell).await;
    }
    if !context.printer.json && arguments.session_id.is_none() {
        context
            .printer
            .info(&format!("session {session} (--session-id continues it)"));
    }
    command::run(context, &place, arguments.command.join(" "), arguments.timeout).await
}

fn shell_id(text: &str) -> Result<ShellId, Failure> {
    text.parse().map_err(|_| {
        let hint = "a shell id is 1 to 128 letters, digits, hyphens and underscores, and begins with a letter or digit";
        Failure::usage(format!("`{text}` is not the id of a shell"), hint)
    })
}
