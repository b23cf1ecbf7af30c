//! The server's answers for people.

use serde_json::Value;

const COLUMNS: [(&str, &str); 8] = [
    ("SESSION", "session"),
    ("RUNTIME", "runtime"),
    ("ENDPOINT", "endpoint"),
    ("VERSION", "version"),
    ("STATE", "state"),
    ("STARTED", "started"),
    ("CPU S", "cpuSeconds"),
    ("WHY", "reason"),
];

/// One line a session, under a heading.
pub(super) fn list(answer: &Value) -> Vec<String> {
    let heading = COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
    let sessions = answer["sessions"].as_array().into_iter().flatten();
    let rows = sessions.map(|session| COLUMNS.map(|(_, member)| text(&session[member])).to_vec());
    let table: Vec<Vec<String>> = [heading].into_iter().chain(rows).collect();
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut lines: Vec<String> = table
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let padded: Vec<_> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        })
        .collect();
    if !answer["next"].is_null() {
        lines.push("(there are more: --limit)".to_owned());
    }
    lines
}

/// One line a fact; what belongs together is indented.
pub(super) fn description(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(entries) if entries.is_empty() => {}
            Value::Array(entries) => {
                lines.push(format!("{name}:"));
                lines.extend(entries.iter().map(|entry| format!("  {}", brief(entry))));
            }
            Value::Object(parts) => {
                lines.push(format!("{name}:"));
                lines.extend(
                    parts
                        .iter()
                        .map(|(part, value)| format!("  {part}: {}", text(value))),
                );
            }
            value => lines.push(format!("{name}: {}", text(value))),
        }
    }
    lines
}

/// The state a session is in now.
pub(super) fn state(answer: &Value) -> Vec<String> {
    vec![text(&answer["state"])]
}

/// Time and text of a line of output. What is no such line is shown as it is.
pub(super) fn log_line(line: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(line).ok();
    let shown = parsed.as_ref().and_then(|entry| {
        let (time, text) = (entry["time"].as_str()?, entry["line"].as_str()?);
        Some(format!("{time}  {text}"))
    });
    shown.unwrap_or_else(|| line.to_owned())
}

/// An earlier session in one line, or a line of output.
fn brief(entry: &Value) -> String {
    match entry {
        Value::Object(_) => ["started", "ended", "version", "reason"]
            .map(|member| text(&entry[member]))
            .join("  "),
        entry => text(entry),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table_and_says_when_there_is_more() {
        let session =
            json!({"session": "s", "runtime": "r", "version": 2, "state": "ended", "cpuSeconds": 1.25});
        let lines = list(&json!({"sessions": [session], "next": 7}));
        let column = lines[0].find("VERSION").unwrap();
        assert_eq!(&lines[1][column..=column], "2");
        assert!(lines[1].contains("1.2"), "{lines:?}");
        assert_eq!(lines.len(), 3);
        assert_eq!(list(&json!({"sessions": []})).len(), 1);
    }

    #[test]
    fn a_description_leaves_out_what_is_not_known() {
        let answer = json!({"why": null, "lastLines": ["one"], "earlier": [], "phases": {"agentMillis": 5}});
        assert_eq!(
            description(&answer),
            ["lastLines:", "  one", "phases:", "  agentMillis: 5"]
        );
    }

    #[test]
    fn a_log_line_that_is_none_is_shown_as_it_is() {
        assert_eq!(log_line(r#"{"time":"T","line":"hello"}"#), "T  hello");
        assert_eq!(log_line("{"), "{");
    }
}
