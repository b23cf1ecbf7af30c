//! What the guest says to the operator: a microVM's serial console, or standard error.

use std::error::Error;
use std::io::Write as _;

/// Writes one line.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when the console fails.
    writeln!(std::io::stderr(), "coracle-guest: {line}").ok();
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
