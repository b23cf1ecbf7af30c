//! `agentcore sessions`: what Coracle's operator API knows of sessions. Looking wakes none and keeps none from being idle.

use coracle_types::RuntimeId;
use serde_json::Value;

use super::{Context, endpoint_name, session_id, stop_session};
use crate::args::{ListSessions, OneSession, SessionCommand, Sessions};
use crate::aws::operator::{SessionName, SessionQuery};
use crate::failure::Failure;

/// The steps of a session's start, in order.
const PHASES: [&str; 5] = ["queue", "disks", "machine", "kernel", "agent"];

pub(super) async fn run(context: &Context<'_>, arguments: &Sessions) -> Result<(), Failure> {
    let all = ListSessions::default();
    match &arguments.command {
        None => list(context, &all).await,
        Some(SessionCommand::List(wanted)) => list(context, wanted).await,
        Some(SessionCommand::Describe(wanted)) => describe(context, wanted).await,
        Some(SessionCommand::Stop(wanted)) => {
            stop_session::stop(context, &wanted.session_id, &wanted.endpoint).await
        }
        Some(SessionCommand::Kill(wanted)) => kill(context, wanted).await,
    }
}

/// The runtime that is meant, on a server that tells of sessions.
async fn runtime(context: &Context<'_>) -> Result<RuntimeId, Failure> {
    if context.client.settings.endpoints.value.is_aws {
        let hint = "Coracle does: pass its --endpoint-url";
        return Err(Failure::usage("AWS does not tell of sessions", hint));
    }
    context.runtime_id().await
}

async fn list(context: &Context<'_>, wanted: &ListSessions) -> Result<(), Failure> {
    let endpoint = wanted.endpoint.as_deref().map(endpoint_name).transpose()?;
    let runtime = runtime(context).await?;
    let query = SessionQuery {
        runtime: &runtime,
        endpoint: endpoint.as_ref(),
        state: wanted.state.as_deref(),
        limit: wanted.limit,
    };
    let sessions = context.client.sessions(&query).await?;
    if sessions.is_empty() {
        context.printer.info("no sessions");
    }
    for session in &sessions {
        if context.printer.json {
            context.printer.json(session)?;
        } else {
            context.printer.line(&in_one_line(session))?;
        }
    }
    Ok(())
}

/// A member as people read it; nothing if it is not known.
fn shown(session: &Value, name: &str) -> String {
    match &session[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn in_one_line(session: &Value) -> String {
    let text = |name: &str| shown(session, name);
    let state = match text("reason") {
        reason if reason.is_empty() => text("state"),
        reason => format!("{} ({reason})", text("state")),
    };
    let (id, version, endpoint) = (text("session"), text("version"), text("endpoint"));
    let since = seconds(&text("started"));
    let last = match text("ended") {
        ended if ended.is_empty() => format!("last used {}", seconds(&text("lastUsed"))),
        ended => format!("ended {}", seconds(&ended)),
    };
    format!("{id}  {state}, version {version} on {endpoint}, started {since}, {last}")
}

/// A moment to the second, as other commands show it.
fn seconds(time: &str) -> String {
    let parsed = time.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| time.to_owned(), |time| format!("{time:.0}"))
}

async fn named(context: &Context<'_>, wanted: &OneSession) -> Result<SessionName, Failure> {
    let (endpoint, session) = (endpoint_name(&wanted.endpoint)?, session_id(&wanted.session_id)?);
    Ok(SessionName {
        runtime: runtime(context).await?,
        endpoint,
        session,
    })
}

async fn describe(context: &Context<'_>, wanted: &OneSession) -> Result<(), Failure> {
    let name = named(context, wanted).await?;
    let description = context.client.describe_session(&name).await?;
    if context.printer.json {
        return context.printer.json(&description);
    }
    context.printer.line(&in_one_line(&description))?;
    for (label, text) in facts(&description) {
        context.printer.line(&format!("{label:<9} {text}"))?;
    }
    let lines = description["lastLines"].as_array().into_iter().flatten();
    for line in lines.filter_map(Value::as_str) {
        context.printer.piece(&format!("  | {line}\n"))?;
    }
    Ok(())
}

/// What is worth a line of its own.
fn facts(session: &Value) -> Vec<(&'static str, String)> {
    let known = |name: &str| Some(shown(session, name)).filter(|text| !text.is_empty());
    let mut facts = Vec::new();
    facts.extend(known("why").map(|why| ("Why", why)));
    let use_of = [
        ("runSeconds", "s run"),
        ("cpuSeconds", "s of a processor"),
        ("memoryGibSeconds", "GiB·s"),
    ];
    let used: Vec<_> = use_of
        .iter()
        .filter_map(|(name, unit)| Some(format!("{} {unit}", known(name)?)))
        .collect();
    if !used.is_empty() {
        facts.push(("Used", used.join(", ")));
    }
    let mut phases: Vec<_> = session["phases"]["origin"]
        .as_str()
        .into_iter()
        .map(str::to_owned)
        .collect();
    for phase in PHASES {
        if let Some(millis) = session["phases"][format!("{phase}Millis")].as_u64() {
            phases.push(format!("{phase} {millis} ms"));
        }
    }
    if !phases.is_empty() {
        facts.push(("Start", phases.join(", ")));
    }
    let earlier = session["earlier"].as_array().into_iter().flatten();
    facts.extend(earlier.map(|session| ("Earlier", in_one_line(session))));
    facts
}

async fn kill(context: &Context<'_>, wanted: &OneSession) -> Result<(), Failure> {
    let name = named(context, wanted).await?;
    let answer = context.client.kill_session(&name).await?;
    if context.printer.json {
        return context.printer.json(&answer);
    }
    context.printer.done(&format!(
        "Session {} is {}",
        name.session,
        shown(&answer, "state")
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sessions_are_told_in_one_line() {
        let mut session = json!({
            "session": "s", "state": "idle", "version": 3, "endpoint": "DEFAULT", "started": "2026-11-21T09:00:00.25Z",
            "lastUsed": "2026-11-21T09:05:00Z",
        });
        let line =
            "s  idle, version 3 on DEFAULT, started 2026-11-21T09:00:00Z, last used 2026-11-21T09:05:00Z";
        assert_eq!(in_one_line(&session), line);
        session["state"] = "ended".into();
        session["reason"] = "killed".into();
        session["ended"] = "2026-11-21T09:06:00Z".into();
        assert!(in_one_line(&session).starts_with("s  ended (killed), version 3"));
        assert!(in_one_line(&session).ends_with("ended 2026-11-21T09:06:00Z"));
    }

    #[test]
    fn of_a_description_what_is_known_is_told() {
        let session = json!({
            "why": "the agent exited with code 7", "runSeconds": 1.5,
            "phases": { "origin": "restored", "queueMillis": 0 },
        });
        let facts = facts(&session);
        assert_eq!(
            facts,
            [
                ("Why", "the agent exited with code 7".to_owned()),
                ("Used", "1.5 s run".to_owned()),
                ("Start", "restored, queue 0 ms".to_owned()),
            ]
        );
    }
}
