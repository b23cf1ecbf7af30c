//! What commands print: data on stdout, everything else on stderr.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

/// Prints a line of data.
pub(crate) fn data(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Prints what went wrong.
pub(crate) fn error(message: &str) {
    eprintln!("error: {message}");
}

/// Says what is being done.
pub(crate) fn progress(line: impl std::fmt::Display) {
    eprintln!("{line}");
}
