//! `coracle template check`: do sessions restored from one template repeat each other?

use std::path::Path;
use std::time::SystemTime;

use coracle_types::{EndpointName, RuntimeId};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::repeats::{Comparison, compare};
use crate::commands::client::Call;
use crate::commands::connection::{Connection, Parameters};
use crate::commands::{CommandResult, output};

/// Lines of a session's log that are compared.
const LOG_LINES: usize = 1000;
const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
const ADVICE: &str = "What an agent makes before its snapshot is the same in all its sessions. Make it at the first \
                      request, or renew it when the agent is told of its restore: tag coracle:restore-hook.";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The runtime, by its id.
    runtime: RuntimeId,
    /// Its endpoint.
    #[arg(long, value_name = "NAME", default_value_t = EndpointName::default_endpoint())]
    endpoint: EndpointName,
    /// What both sessions are asked. The more of what it makes the agent shows, the more is compared.
    #[arg(long, value_name = "JSON", default_value = r#"{"prompt": "hello"}"#)]
    payload: String,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn run(arguments: &Arguments, data_dir: &Path, json: bool) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(check(arguments, data_dir))?;
    if json {
        output::data(serde_json::to_string_pretty(&found)?);
    } else {
        found.repeated.iter().for_each(output::data);
    }
    match (found.compared, found.repeated.len()) {
        (0, _) => Err("neither answer nor log of a session holds anything that looks random: nothing was compared. Ask \
                       for something else with --payload"
            .into()),
        (compared, 0) => {
            output::progress(format!("Of {compared} values that look random, none repeats."));
            Ok(())
        }
        (compared, repeated) => {
            Err(format!("of {compared} values that look random, {repeated} are the same in both sessions. {ADVICE}").into())
        }
    }
}

async fn check(arguments: &Arguments, data_dir: &Path) -> Result<Comparison, Cause> {
    let mut server = Connection::open(data_dir).await?;
    let described = Call::new(Method::GET, format!("/runtimes/{}/", arguments.runtime), "");
    let described: Value = serde_json::from_slice(&server.send(described).await?)?;
    let arn = described["agentRuntimeArn"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let sessions = [(); 2].map(|()| format!("template-check-{}", Uuid::new_v4()));
    output::progress("asking two new sessions the same");
    let mut said = Vec::new();
    for session in &sessions {
        said.push(ask(&mut server, arguments, &arn, session).await);
    }
    for session in &sessions {
        // One that did not start is not there to be stopped.
        server
            .send(request(&arn, "stopruntimesession", arguments, session, ""))
            .await
            .ok();
    }
    let said = said.into_iter().collect::<Result<Vec<_>, _>>()?;
    let known = [arn.as_str(), &arguments.payload, &sessions[0], &sessions[1]].join("\n");
    Ok(compare(&said[0], &said[1], &known, SystemTime::now()))
}

/// What a restored session answers and prints.
async fn ask(
    server: &mut Connection,
    arguments: &Arguments,
    arn: &str,
    session: &str,
) -> Result<String, Cause> {
    let asked = request(arn, "invocations", arguments, session, &arguments.payload);
    let answer = server.send(asked).await?;
    let mut said = String::from_utf8_lossy(&answer).into_owned();
    let mut name: Parameters = vec![
        ("runtime", arguments.runtime.to_string()),
        ("endpoint", arguments.endpoint.to_string()),
        ("session", session.to_owned()),
    ];
    let described = server.ask(Method::GET, "session", &name).await?;
    let origin = described["phases"]["origin"].as_str().unwrap_or_default();
    if !matches!(origin, "restored" | "warm") {
        return Err(format!(
            "the session was not restored from a template (its origin is {origin:?}): runtimes of platform version V1 \
             have none, and for another endpoint than DEFAULT it is made while the first session runs"
        )
        .into());
    }
    name.push(("limit", LOG_LINES.to_string()));
    let each = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap_or(json!({}));
        said.push('\n');
        said.push_str(entry["message"].as_str().unwrap_or_default());
    };
    server.lines("logs", &name, each).await?;
    Ok(said)
}

fn request(arn: &str, verb: &str, arguments: &Arguments, session: &str, body: &str) -> Call {
    let arn = utf8_percent_encode(arn, NON_ALPHANUMERIC);
    let target = format!("/runtimes/{arn}/{verb}?qualifier={}", arguments.endpoint);
    let call = Call::new(Method::POST, target, body.to_owned())
        .with(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match HeaderValue::from_str(session) {
        Ok(session) => call.with(SESSION_ID, session),
        Err(_) => call,
    }
}
