//! What a payload asks the simulated agent to do; the table is in [the parent module](super).

use serde::Deserialize;
use serde_json::Value;

/// One thing to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Script {
    Remember {
        value: Value,
    },
    Recall,
    Stream {
        chunks: Vec<Value>,
        #[serde(default)]
        every_millis: u64,
    },
    Answer {
        status: u16,
        #[serde(default)]
        body: String,
    },
    Headers,
    Large {
        bytes: u64,
    },
    Hang,
    Close {
        #[serde(default)]
        after_bytes: usize,
    },
    Sleep {
        millis: u64,
    },
    Block {
        millis: u64,
    },
    Print {
        lines: u64,
        #[serde(default)]
        text: String,
    },
    Exit {
        code: i32,
        #[serde(default)]
        text: String,
    },
    Ping {
        status: String,
    },
    Burn {
        cpu_millis: u64,
    },
    Credentials,
    Linger,
    PowerOff,
}

impl Script {
    /// The script in a payload; `None` when it is to be echoed.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_parses_and_other_payloads_do_not() {
        for script in [
            r#"{"do":"remember","value":{"a":1}}"#,
            r#"{"do":"recall"}"#,
            r#"{"do":"stream","chunks":["a",1],"every_millis":10}"#,
            r#"{"do":"answer","status":404,"body":"no"}"#,
            r#"{"do":"headers"}"#,
            r#"{"do":"large","bytes":5}"#,
            r#"{"do":"hang"}"#,
            r#"{"do":"close"}"#,
            r#"{"do":"close","after_bytes":3}"#,
            r#"{"do":"sleep","millis":1}"#,
            r#"{"do":"block","millis":1}"#,
            r#"{"do":"print","lines":2,"text":"x"}"#,
            r#"{"do":"exit","code":3,"text":"bye"}"#,
            r#"{"do":"ping","status":"HealthyBusy"}"#,
            r#"{"do":"credentials"}"#,
            r#"{"do":"power_off"}"#,
        ] {
            assert!(Script::parse(script.as_bytes()).is_some(), "{script}");
        }
        for payload in ["", "hello", r#"{"prompt":"hi"}"#, r#"{"do":"dance"}"#] {
            assert!(Script::parse(payload.as_bytes()).is_none(), "{payload}");
        }
    }
}
