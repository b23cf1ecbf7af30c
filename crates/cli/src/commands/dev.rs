//! `agentcore dev`: runs the agent here and shows what it does; with a prompt, talks to the one that runs already.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::Stdio;

use coracle_types::ServerProtocol;
use reqwest::Url;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::{Place, invoke};
use crate::args::Dev;
use crate::dev::{AddressFile, Agent, DevError, Event, Gate, Journal, Phase, Plan, bind};
use crate::failure::Failure;
use crate::output::Printer;

/// How much of a session's id is shown.
const SHOWN_ID: usize = 8;
/// The region an agent finds when nothing names one.
const LOCAL_REGION: &str = "us-east-1";

pub(super) async fn run(place: Place<'_>, arguments: &Dev) -> Result<(), Failure> {
    if let Some(prompt) = &arguments.prompt {
        return invoke::in_dev(place, prompt, arguments.port).await;
    }
    let printer = place.printer;
    let listener = bind(
        &arguments.host,
        arguments.port.unwrap_or(crate::dev::DEFAULT_PORT),
    )
    .await?;
    let address = listener.local_addr().map_err(DevError::Serve)?;
    let url = url(&address.to_string());
    let plan = plan(&place, arguments, &url)?;
    let _known = AddressFile::write(&plan.root, &plan.entry.name, &url);
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(crate::aws::ClientError::Setup)?;

    let journal = Journal::new();
    let agent = Agent::new(plan.clone(), journal.clone(), *printer, http.clone());
    let gate = Gate::new(plan.clone(), journal.clone(), http, agent.port(), address);
    greet(printer, &plan, &url, arguments)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = agent.run(async {
        // A sender that is gone says the same.
        stopped.await.ok();
    });
    let events = journal.listen();
    tokio::pin!(running);
    tokio::select! {
        result = gate.serve(listener) => result?,
        result = tell(printer, events) => result?,
        () = &mut running => {}
        () = interrupted() => {
            printer.info("Ending the agent");
            stop.send(()).ok();
            running.await;
        }
    }
    Ok(())
}

fn plan(place: &Place<'_>, arguments: &Dev, url: &Url) -> Result<Plan, Failure> {
    let project = place.project()?;
    let entry = project.runtime(place.global.runtime.as_deref())?.clone();
    let target = project.target(place.global.target.as_deref())?;
    let region = place
        .global
        .region
        .clone()
        .or_else(|| target.and_then(|target| target.region.clone()));
    let from_shell = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let variables = arguments
        .variables
        .iter()
        .map(|text| variable(text))
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Plan {
        code: project.root.join(&entry.code_location),
        root: project.root.clone(),
        entry,
        region: region.or(from_shell).unwrap_or_else(|| LOCAL_REGION.to_owned()),
        variables,
        url: url.as_str().trim_end_matches('/').to_owned(),
    })
}

fn variable(text: &str) -> Result<(String, String), Failure> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| {
        Failure::usage(
            "--env is not of the form NAME=value",
            "such as --env LOG_LEVEL=debug",
        )
    })
}

/// The address as a browser reaches it.
fn url(address: &str) -> Url {
    let address = address
        .replace("0.0.0.0:", "127.0.0.1:")
        .replace("[::]:", "[::1]:");
    let parsed = format!("http://{address}").parse();
    parsed.unwrap_or_else(|_| unreachable!("the address of a socket"))
}

fn greet(printer: &Printer, plan: &Plan, url: &Url, arguments: &Dev) -> Result<(), Failure> {
    let (name, protocol) = (&plan.entry.name, plan.entry.protocol);
    if printer.json {
        return printer.json(&serde_json::json!({ "type": "listening", "url": url.as_str(), "runtime": name, "protocol": protocol }));
    }
    printer.done(&format!("{name} is being started; look inside at {url}"));
    let wanted = arguments.port.unwrap_or(crate::dev::DEFAULT_PORT);
    if wanted != 0 && url.port_or_known_default() != Some(wanted) {
        printer.info(&format!("  port {wanted} is taken by another program"));
    }
    match protocol {
        ServerProtocol::Http | ServerProtocol::Agui => printer.info(&format!("  POST {url}invocations")),
        ServerProtocol::Mcp => printer.info(&format!("  MCP at {url}mcp")),
        ServerProtocol::A2a => printer.info(&format!(
            "  A2A at {url}, its card at {url}.well-known/agent-card.json"
        )),
    }
    let talking = match protocol {
        ServerProtocol::Mcp => "agentcore tools list --dev",
        _ => "agentcore invoke --dev \"Hello\"",
    };
    printer.info(&format!("  {talking}   talks to it; Ctrl-C ends it"));
    if !arguments.no_browser && std::io::stdout().is_terminal() && has_desktop() {
        open(url);
    }
    Ok(())
}

fn has_desktop() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some())
}

/// Opens the page. The address has been printed, so nothing is lost when this fails.
fn open(url: &Url) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = tokio::process::Command::new(program);
    command
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().ok();
}

/// Waits for Ctrl-C, or to be told to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        tokio::signal::ctrl_c().await.ok();
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

/// Prints what happens, until nothing does any more.
async fn tell(printer: &Printer, mut events: tokio::sync::broadcast::Receiver<Event>) -> Result<(), Failure> {
    loop {
        match events.recv().await {
            Ok(event) if printer.json => printer.json(&event)?,
            Ok(event) => show(printer, &event)?,
            Err(RecvError::Lagged(missed)) => printer.info(&format!("{missed} events were too many to show")),
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

fn show(printer: &Printer, event: &Event) -> Result<(), Failure> {
    match event {
        Event::Line(line) => {
            let mark = if line.stream == "stderr" { "!" } else { "│" };
            printer.piece(&format!(
                "{} {mark} {}\n",
                line.time.strftime("%H:%M:%S"),
                line.text
            ))?;
        }
        Event::State(state) => match state.phase {
            Phase::Ready if state.detail.is_empty() => {}
            Phase::Ready => printer.done(&format!("Ready {}", state.detail)),
            Phase::Preparing if state.starts > 0 => {
                printer.info(&format!("↻ {}: starting again", state.detail));
            }
            Phase::Failed => printer.warning(&format!(
                "{}; it is tried again when a file changes",
                state.detail
            )),
            Phase::Preparing | Phase::Starting | Phase::Busy => {}
        },
        Event::Trace(trace) => {
            if let Some(took) = trace.took {
                let session: String = trace.session.chars().take(SHOWN_ID).collect();
                let status = trace.status.map_or("-".to_owned(), |status| status.to_string());
                let events = trace.steps.iter().filter(|step| step.kind == "event").count() + trace.more;
                let streamed = match events {
                    0 => String::new(),
                    1 => ", 1 event".to_owned(),
                    _ => format!(", {events} events"),
                };
                printer.info(&format!(
                    "→ {} {status} in {took} ms{streamed}, session {session}",
                    trace.request
                ));
            }
        }
        Event::Step { .. } | Event::Span { .. } => {}
    }
    Ok(())
}
