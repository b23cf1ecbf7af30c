//! What is sent: the user's text and files in the form each protocol wants.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_types::limits::MAX_INVOCATION_BODY;
use coracle_types::{ServerProtocol, SessionId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::failure::Failure;

/// Kinds of files by their endings: the `type` and `format` of their media.
const KINDS: [(&str, &[&str]); 4] = [
    ("image", &["png", "jpeg", "jpg", "gif", "webp"]),
    (
        "document",
        &[
            "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md", "json",
        ],
    ),
    ("video", &["mp4", "mov", "mkv", "webm"]),
    ("audio", &["mp3", "wav", "ogg", "flac"]),
];

/// A conversation in one session.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) session: SessionId,
    protocol: ServerProtocol,
    /// What has been said so far, for AG-UI, whose agents are told everything each time.
    messages: Vec<Value>,
}

impl Dialogue {
    pub(super) fn new(session: SessionId, protocol: ServerProtocol) -> Self {
        Self {
            session,
            protocol,
            messages: Vec::new(),
        }
    }

    /// The body that says this text and these files.
    ///
    /// # Errors
    /// When it is larger than an invocation may be.
    pub(super) fn say(&mut self, text: &str, media: Vec<Value>) -> Result<String, Failure> {
        let body = match self.protocol {
            ServerProtocol::Agui if !is_object(text) => {
                self.messages
                    .push(json!({ "id": Uuid::new_v4(), "role": "user", "content": text }));
                json!({
                    "threadId": self.session, "runId": Uuid::new_v4(), "messages": self.messages, "state": {},
                    "tools": [], "context": [], "forwardedProps": with_media(json!({}), media),
                })
                .to_string()
            }
            ServerProtocol::A2a => text.to_owned(),
            _ if is_object(text) && media.is_empty() => text.to_owned(),
            _ => with_media(object(text), media).to_string(),
        };
        if body.len() as u64 > MAX_INVOCATION_BODY {
            return Err(Failure::usage(
                "the prompt and its files are larger than 100 MB",
                "have the agent fetch them from somewhere",
            ));
        }
        Ok(body)
    }

    /// Remembers the agent's answer.
    pub(super) fn heard(&mut self, text: &str) {
        if self.protocol == ServerProtocol::Agui && !text.is_empty() {
            self.messages
                .push(json!({ "id": Uuid::new_v4(), "role": "assistant", "content": text }));
        }
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

/// A JSON object as it is, anything else as the prompt.
fn object(text: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    parsed.unwrap_or_else(|| json!({ "prompt": text }))
}

fn with_media(mut object: Value, mut media: Vec<Value>) -> Value {
    if media.len() > 1 {
        object["media"] = media.into();
    } else if let Some(only) = media.pop() {
        object["media"] = only;
    }
    object
}

/// Files as the service's examples send them: `{"type": "image", "format": "png", "data": "…"}`.
pub(super) async fn media(files: &[PathBuf]) -> Result<Vec<Value>, Failure> {
    let mut media = Vec::new();
    for path in files {
        let failed = |source| Failure::File {
            path: path.clone(),
            source,
        };
        if tokio::fs::metadata(path).await.map_err(failed)?.len() > MAX_INVOCATION_BODY {
            return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
        }
        let data = tokio::fs::read(path).await.map_err(failed)?;
        let (kind, format) = kind(path);
        let name = path.file_name().map(|name| name.to_string_lossy());
        media.push(json!({ "type": kind, "format": format, "name": name, "data": STANDARD.encode(data) }));
    }
    Ok(media)
}

fn kind(path: &Path) -> (&'static str, String) {
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let kind = KINDS
        .iter()
        .find(|(_, endings)| endings.contains(&ending.as_str()));
    let format = if ending == "jpg" {
        "jpeg".to_owned()
    } else {
        ending
    };
    (kind.map_or("file", |(kind, _)| kind), format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(protocol: ServerProtocol, text: &str, media: Vec<Value>) -> String {
        Dialogue::new(SessionId::random(), protocol)
            .say(text, media)
            .unwrap()
    }

    #[test]
    fn objects_are_sent_as_they_are_and_text_as_a_prompt() {
        let http = |text| said(ServerProtocol::Http, text, Vec::new());
        assert_eq!(http(r#" {"a": 1}"#), r#" {"a": 1}"#);
        assert_eq!(http("{curly} words"), r#"{"prompt":"{curly} words"}"#);
        assert_eq!(http("[1]"), r#"{"prompt":"[1]"}"#);
    }

    #[test]
    fn one_file_is_an_object_and_several_are_a_list() {
        let http = |media| said(ServerProtocol::Http, "look", media);
        assert_eq!(http(vec![json!(1)]), r#"{"media":1,"prompt":"look"}"#);
        assert_eq!(
            http(vec![json!(1), json!(2)]),
            r#"{"media":[1,2],"prompt":"look"}"#
        );
        assert_eq!(kind(Path::new("a/B.JPG")), ("image", "jpeg".to_owned()));
        assert_eq!(kind(Path::new("notes")), ("file", String::new()));
    }

    #[test]
    fn an_ag_ui_agent_is_told_everything_again() {
        let mut dialogue = Dialogue::new(SessionId::random(), ServerProtocol::Agui);
        dialogue.say("one", Vec::new()).unwrap();
        dialogue.heard("two");
        let body: Value = serde_json::from_str(&dialogue.say("three", Vec::new()).unwrap()).unwrap();
        let told: Vec<_> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| {
                (
                    message["role"].as_str().unwrap(),
                    message["content"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(told, [("user", "one"), ("assistant", "two"), ("user", "three")]);
        assert_eq!(body["threadId"], dialogue.session.as_str());
    }
}
