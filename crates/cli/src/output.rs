//! What the user sees. Data goes to stdout, everything else to stderr; colour and moving progress only on a
//! terminal; nothing means less without colour.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Writes a line to stderr.
pub(crate) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints in the way the user asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) json: bool,
    pub(crate) debug: bool,
    colour: bool,
    moving: bool,
    stdout_is_terminal: bool,
}

/// A meaning that a colour stands for.
#[derive(Debug, Clone, Copy)]
enum Paint {
    Red,
    Green,
    Cyan,
    Dim,
}

impl Printer {
    pub(crate) fn new(json: bool, debug: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            json,
            debug,
            colour: terminal && !set("NO_COLOR") && !dumb,
            moving: terminal && !json && !debug && !dumb,
            stdout_is_terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Whether somebody can answer a question.
    pub(crate) fn is_interactive(&self) -> bool {
        !self.json && std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Red => "1;31",
            Paint::Green => "32",
            Paint::Cyan => "36",
            Paint::Dim => "2",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Data for people: one line on stdout.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        writeln!(std::io::stdout().lock(), "{text}").map_err(Failure::Output)
    }

    /// Data as it arrives: no line end is added. What an agent wrote cannot command the terminal.
    pub(crate) fn piece(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = if self.stdout_is_terminal {
            stdout.write_all(printable(text).as_bytes())
        } else {
            stdout.write_all(text.as_bytes())
        };
        written.and_then(|()| stdout.flush()).map_err(Failure::Output)
    }

    /// Data for machines: one line of JSON on stdout.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .map_err(Failure::Output)
    }

    /// Asks for a line of input, on the line that it is typed on.
    pub(crate) fn ask(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A closed stderr leaves nobody to ask.
        drop(write!(stderr, "{}", self.paint(Paint::Cyan, text)).and_then(|()| stderr.flush()));
    }

    /// Something was done.
    pub(crate) fn done(&self, text: &str) {
        note(&format!("{} {text}", self.paint(Paint::Green, "✓")));
    }

    /// Something went wrong, and we go on.
    pub(crate) fn warning(&self, text: &str) {
        note(&format!("{} {}", self.paint(Paint::Red, "✗"), printable(text)));
    }

    /// Something worth knowing.
    pub(crate) fn info(&self, text: &str) {
        note(&self.paint(Paint::Dim, text));
    }

    /// The user has had enough, which they know: some commands end in no other way.
    pub(crate) fn interrupted(&self) {
        if std::io::stderr().is_terminal() {
            // The terminal has shown the keys and stays behind them.
            note("");
        }
        self.info("interrupted");
    }

    /// Only with `--debug`.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            note(&format!("debug: {text}"));
        }
    }

    /// What failed, why, and what to do about it.
    pub(crate) fn failure(&self, failure: &Failure) {
        let causes = causes(failure);
        if self.json {
            let error = serde_json::json!({ "error": {
                "message": failure.to_string(), "causes": causes, "hint": failure.hint(),
                "exitCode": failure.exit_code(),
            }});
            return note(&error.to_string());
        }
        note(&format!(
            "{} {}",
            self.paint(Paint::Red, "error:"),
            printable(&failure.to_string())
        ));
        for cause in causes {
            note(&format!("  caused by: {}", printable(&cause)));
        }
        if let Some(hint) = failure.hint() {
            note(&format!("{} {hint}", self.paint(Paint::Cyan, "hint:")));
        }
    }

    /// Work of unknown length: a spinner on a terminal, one line elsewhere.
    pub(crate) fn working(&self, text: &str) -> Progress {
        if !self.moving {
            note(text);
            return Progress {
                bar: ProgressBar::hidden(),
                last: text.to_owned(),
                plain: true,
            };
        }
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        bar.set_style(style(
            "{spinner} {msg} {elapsed:.dim}",
            ProgressStyle::default_spinner(),
        ));
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress {
            bar,
            last: text.to_owned(),
            plain: false,
        }
    }

    /// Work on so many bytes: a bar on a terminal, one line elsewhere.
    pub(crate) fn transfer(&self, text: &str, total: u64) -> Progress {
        if !self.moving {
            return self.working(&format!("{text} ({})", size(total)));
        }
        let bar = ProgressBar::new(total).with_message(text.to_owned());
        let template = "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {eta}";
        bar.set_style(style(template, ProgressStyle::default_bar()));
        Progress {
            bar,
            last: text.to_owned(),
            plain: false,
        }
    }
}

fn style(template: &str, otherwise: ProgressStyle) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or(otherwise)
}

/// Work in progress; what is shown goes away when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    last: String,
    plain: bool,
}

impl Progress {
    /// Says what is being done now, if that has changed.
    pub(crate) fn now(&mut self, text: &str) {
        if self.last != text {
            text.clone_into(&mut self.last);
            if self.plain {
                note(text);
            }
            self.bar.set_message(text.to_owned());
        }
    }

    /// A function that moves the bar on.
    pub(crate) fn advance(&self) -> impl Fn(usize) + Send + Sync + 'static {
        let bar = self.bar.clone();
        move |amount| bar.inc(amount as u64)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The causes of an error, outermost first, without those that repeat what is above them.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut above = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !above.contains(&text) {
            causes.push(text.clone());
        }
        above = text;
        next = cause.source();
    }
    causes
}

/// Text without what could command a terminal: control characters other than line end and tab become `�`.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !matches!(c, '\n' | '\t' | '\r') {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// So many things of a kind.
pub(crate) fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// A number of bytes for people.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_cannot_command_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc\n\u{9b}1m"), "a�[2Jb\tc\n�1m");
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(
            [0, 999, 1_500, 12_345_678].map(size),
            ["0 B", "999 B", "1.5 kB", "12.3 MB"]
        );
    }
}
