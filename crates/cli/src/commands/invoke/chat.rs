//! A conversation on a terminal: one prompt after the other in the same session.

use std::io::BufRead as _;

use coracle_types::SessionId;
use serde_json::Value;

use super::agent::Agent;
use super::exchange;
use super::payload::Dialogue;
use crate::failure::Failure;
use crate::output::Printer;

const HELP: &str = "/new begins another session, /session prints this one's id, /quit or Ctrl-D ends";

/// What a line of the user's means.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Nothing,
    Prompt(&'a str),
    New,
    Session,
    Help,
    Quit,
}

fn read(line: &str) -> Said<'_> {
    match line.trim() {
        "" => Said::Nothing,
        "/new" => Said::New,
        "/session" => Said::Session,
        "/quit" | "/exit" => Said::Quit,
        "/help" | "/?" => Said::Help,
        prompt => Said::Prompt(prompt),
    }
}

/// Talks until the user has had enough. A failed answer ends the turn, not the conversation.
pub(super) async fn run(
    printer: &Printer,
    agent: &Agent<'_>,
    mut dialogue: Dialogue,
    mut media: Vec<Value>,
) -> Result<(), Failure> {
    printer.info(HELP);
    loop {
        printer.ask("you › ");
        let Some(line) = next_line().await? else {
            return Ok(());
        };
        match read(&line) {
            Said::Nothing => {}
            Said::Quit => return Ok(()),
            Said::Help => printer.info(HELP),
            Said::Session => printer.info(dialogue.session.as_str()),
            Said::New => {
                dialogue = Dialogue::new(SessionId::random(), agent.protocol);
                printer.info(&format!("session {}", dialogue.session));
            }
            Said::Prompt(prompt) => {
                let body = dialogue.say(prompt, std::mem::take(&mut media))?;
                match exchange(printer, agent, &mut dialogue, body, false).await {
                    Err(failure @ (Failure::Agent(_) | Failure::Client(_) | Failure::InDev(_))) => {
                        printer.failure(&failure);
                    }
                    result => result?,
                }
            }
        }
    }
}

/// `None` at the end of the input.
async fn next_line() -> Result<Option<String>, Failure> {
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map(|read| (read > 0).then_some(line))
    });
    reading
        .await
        .map_err(|error| Failure::Input(error.into()))?
        .map_err(Failure::Input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_after_a_slash_are_commands() {
        assert_eq!(read(" /quit \n"), Said::Quit);
        assert_eq!(read("/new thing\n"), Said::Prompt("/new thing"));
        assert_eq!(read("\n"), Said::Nothing);
    }
}
