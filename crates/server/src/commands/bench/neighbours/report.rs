//! What was measured, for people and for programs.

use serde::Serialize;

use super::super::ms;
use super::super::report::Head;
use super::super::statistics::Percentiles;

/// Everything one run found out.
#[derive(Serialize)]
pub(in super::super) struct Report {
    #[serde(flatten)]
    pub(super) head: Head,
    /// How many did the same at once.
    pub(super) sessions: u16,
    pub(super) besides: Vec<Beside>,
}

/// Invocations of a session beside others, in milliseconds.
#[derive(Serialize)]
pub(super) struct Beside {
    /// What these do.
    pub(super) load: &'static str,
    /// While they do nothing.
    pub(super) quiet: Percentiles,
    pub(super) loaded: Percentiles,
}

impl Report {
    /// The report as lines of text.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.head.line(),
            String::new(),
            format!(
                "{:<28}{:>12}{:>12}{:>12}{:>12}{:>10}{:>10}",
                format!("Invocation, beside {} of", self.sessions),
                "p50 alone",
                "p50",
                "p90 alone",
                "p90",
                "p50 ×",
                "p90 ×"
            ),
        ];
        lines.extend(self.besides.iter().map(|beside| {
            let Beside { load, quiet, loaded } = beside;
            format!(
                "  {load:<26}{:>12}{:>12}{:>12}{:>12}{:>10.2}{:>10.2}",
                ms(quiet.p50),
                ms(loaded.p50),
                ms(quiet.p90),
                ms(loaded.p90),
                loaded.p50 / quiet.p50,
                loaded.p90 / quiet.p90,
            )
        }));
        lines
    }
}
