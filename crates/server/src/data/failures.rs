//! What a caller is told when an agent or its session fails: the text of the service, which clients match on,
//! and then what really happened.

use coracle_supervisor::{AcquireError, EndReason, SessionEnd, StopError};
use coracle_wire::Error;
use http::StatusCode;

use super::relay::RelayError;
use crate::caps;

/// How much of an agent's error answer or output is passed on, in bytes.
const MAX_EXCERPT: usize = 2048;

const START_FAILED: &str =
    "An error occurred when starting the runtime. Please check your CloudWatch logs for more information.";
const HEALTH_FAILED: &str = "Runtime health check failed or timed out. Please make sure that health check is \
                             implemented according to the requirements";

/// The session could not be had.
pub(super) fn not_acquired(error: AcquireError) -> Error {
    match error {
        AcquireError::AgentExited { exit, last_log_lines } => Error::runtime_client(with_details(
            START_FAILED,
            &format!("The agent {exit} before it was healthy."),
            &last_log_lines,
        )),
        AcquireError::NotStarted { reason } => Error::runtime_client(with_details(
            START_FAILED,
            &format!("The agent's process could not be started: {reason}"),
            &[],
        )),
        AcquireError::NeverHealthy {
            timeout,
            last_failure,
            last_log_lines,
        } => {
            let seconds = timeout.as_secs();
            let text = format!(
                "Runtime initialization time exceeded. Please make sure that initialization completes in {seconds}s."
            );
            let found =
                last_failure.map_or_else(String::new, |found| format!(" The last look at it: {found}."));
            let what = format!("The agent did not answer GET /ping with 200 in time.{found}");
            Error::runtime_client(with_details(&text, &what, &last_log_lines))
        }
        AcquireError::Host(failure) => Error::internal(AcquireError::Host(failure)),
        AcquireError::Gone => Error::not_found("The runtime or endpoint does not exist"),
        AcquireError::InProgress => Error::retryable_conflict("Session operation in progress, please retry"),
        AcquireError::CapReached(reached) => caps::refusal(reached),
        AcquireError::TooManySessions { limit } => {
            Error::quota_exceeded(format!("The maximum of {limit} VMs of this server is reached"))
        }
        AcquireError::OutOfMemory { available } => Error::quota_exceeded(format!(
            "The maximum of VMs that this server has memory for is reached: {} MiB are left",
            available / (1024 * 1024)
        )),
        AcquireError::TooManyRequests { limit } => Error::throttling(format!(
            "The session has {limit} requests in flight, which is the most it may have"
        )),
        AcquireError::ShuttingDown => Error::unavailable("The server is shutting down, please retry"),
    }
}

/// The session could not be stopped.
pub(crate) fn not_stopped(error: StopError) -> Error {
    match error {
        StopError::NotFound => Error::not_found("The session does not exist or has ended"),
        StopError::InProgress => Error::retryable_conflict("Session operation in progress, please retry"),
    }
}

/// The agent answered with something other than success.
pub(super) fn answered(status: StatusCode, body: &[u8]) -> Error {
    let text = format!(
        "Received error ({}) from runtime. Please check your CloudWatch logs for more information",
        status.as_u16()
    );
    let body = excerpt(&String::from_utf8_lossy(body));
    Error::runtime_client(if body.is_empty() {
        text
    } else {
        format!("{text}. The agent answered: {body}")
    })
}

/// The agent gave no answer. `end` is how its session ended, if it did.
pub(super) fn unanswered(error: &RelayError, end: Option<&SessionEnd>) -> Error {
    let unreachable = error.unreachable();
    if let Some(SessionEnd {
        reason: EndReason::CapReached(reached),
        ..
    }) = end
    {
        return caps::refusal(*reached);
    }
    if let Some(end) = end {
        let when = if unreachable.is_some() { "Before" } else { "While" };
        let what = format!("{when} answering: {}.", end.reason);
        return Error::runtime_client(with_details(HEALTH_FAILED, &what, &end.last_log_lines));
    }
    if let Some(reason) = unreachable {
        return Error::runtime_client(format!("The agent accepts no connection on its port: {reason}"));
    }
    Error::runtime_client(match error {
        RelayError::Silent(after) => format!(
            "The agent timed out: it sent no answer within {} seconds",
            after.as_secs()
        ),
        broken => format!(
            "The agent closed the connection without an HTTP answer, and goes on running: {}",
            crate::error_chain(broken)
        ),
    })
}

fn with_details(text: &str, what: &str, last_log_lines: &[String]) -> String {
    let mut message = format!("{text} {what}");
    if !last_log_lines.is_empty() {
        message.push_str(" Last lines of its output:");
        message.push('\n');
        message.push_str(&excerpt_end(&last_log_lines.join("\n")));
    }
    message
}

/// The beginning of a text.
fn excerpt(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MAX_EXCERPT {
        return text.to_owned();
    }
    let end = (0..=MAX_EXCERPT)
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

/// The end of a text.
fn excerpt_end(text: &str) -> String {
    if text.len() <= MAX_EXCERPT {
        return text.to_owned();
    }
    let start = (text.len() - MAX_EXCERPT..text.len()).find(|index| text.is_char_boundary(*index));
    format!("…{}", &text[start.unwrap_or(text.len())..])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coracle_guest_proto::message::AgentExit;

    use super::*;

    #[test]
    fn an_exit_while_starting_is_told_with_code_and_lines() {
        let exit = AgentExit {
            code: Some(3),
            signal: None,
            out_of_memory: false,
        };
        let error = not_acquired(AcquireError::AgentExited {
            exit,
            last_log_lines: vec!["no module".to_owned()],
        });
        assert_eq!(error.status(), 424);
        assert!(error.message().starts_with(START_FAILED), "{}", error.message());
        assert!(
            error.message().contains("exited with code 3"),
            "{}",
            error.message()
        );
        assert!(error.message().ends_with("no module"), "{}", error.message());
    }

    #[test]
    fn the_words_clients_match_on_are_there() {
        let error = not_acquired(AcquireError::NeverHealthy {
            timeout: Duration::from_secs(30),
            last_failure: None,
            last_log_lines: Vec::new(),
        });
        assert!(
            error
                .message()
                .starts_with("Runtime initialization time exceeded."),
            "{}",
            error.message()
        );
        let error = answered(StatusCode::INTERNAL_SERVER_ERROR, b"{\"error\":\"boom\"}");
        assert!(
            error.message().starts_with("Received error (500) from runtime."),
            "{}",
            error.message()
        );
        assert!(error.message().contains("boom"), "{}", error.message());
    }

    #[test]
    fn long_answers_are_cut_between_characters() {
        let long = "ä".repeat(MAX_EXCERPT);
        assert!(excerpt(&long).len() <= MAX_EXCERPT + '…'.len_utf8());
        assert!(excerpt_end(&long).len() <= MAX_EXCERPT + '…'.len_utf8());
    }
}
