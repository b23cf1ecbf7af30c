//! A2A: the agent's card, messages in both versions of the protocol, and what answers say.

use coracle_types::SessionId;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::Place;
use super::agent::{Agent, Message};
use super::given_session;
use crate::args::Card;
use crate::failure::Failure;

/// Members that hold what was said before.
const PAST: [&str; 2] = ["history", "metadata"];

/// `agentcore card`: prints the card.
pub(in super::super) async fn card(place: Place<'_>, arguments: &Card) -> Result<(), Failure> {
    let session = given_session(arguments.peer.session_id.as_deref())?;
    let printer = place.printer;
    let agent = Agent::find(place, &arguments.peer).await?;
    let card = agent
        .card(&session)
        .await
        .map_err(|failure| agent.told(failure))?;
    if printer.json {
        return printer.json(&card);
    }
    printer.line(&format!("{card:#}"))
}

/// The message that says this text, or the JSON-RPC request that the text is, in the version that the agent's card
/// names.
pub(super) async fn message(agent: &Agent<'_>, session: &SessionId, text: &str) -> Result<Message, Failure> {
    let given = serde_json::from_str::<Value>(text)
        .ok()
        .filter(|value| value["jsonrpc"] == "2.0");
    if let Some(request) = given {
        return Ok(Message::json(request.to_string()));
    }
    let card = agent.card(session).await?;
    let (request, headers) = request(&card, text);
    Ok(Message {
        body: request.to_string().into(),
        headers,
    })
}

fn request(card: &Value, text: &str) -> (Value, HeaderMap) {
    let streams = card["capabilities"]["streaming"] == true;
    let interfaces = card["supportedInterfaces"].as_array().into_iter().flatten();
    let speaks_v1 = interfaces
        .filter_map(|interface| interface["protocolVersion"].as_str())
        .any(|version| version.starts_with('1'));
    let id = Uuid::new_v4();
    let (method, message) = if speaks_v1 {
        let method = if streams {
            "SendStreamingMessage"
        } else {
            "SendMessage"
        };
        (
            method,
            json!({ "messageId": id, "role": "ROLE_USER", "parts": [{ "text": text }] }),
        )
    } else {
        let method = if streams { "message/stream" } else { "message/send" };
        let parts = json!([{ "kind": "text", "text": text }]);
        (
            method,
            json!({ "kind": "message", "messageId": id, "role": "user", "parts": parts }),
        )
    };
    let headers = speaks_v1.then(|| {
        (
            HeaderName::from_static("a2a-version"),
            HeaderValue::from_static("1.0"),
        )
    });
    let request = json!({ "jsonrpc": "2.0", "id": "1", "method": method, "params": { "message": message } });
    (request, headers.into_iter().collect())
}

/// The error of a JSON-RPC answer.
pub(super) fn error(answer: &Value) -> Option<String> {
    let error = answer.get("error")?;
    let text = error["message"].as_str().unwrap_or("no reason was given");
    Some(format!("{text} (code {})", error["code"]))
}

/// The text in the parts of an answer: of a message, of a task's artifacts and status, or of a streamed update. Each
/// part of a message is a line; the parts of an artifact, which grows by them, are pieces of one.
pub(super) fn text(answer: &Value) -> String {
    let mut lines = Vec::new();
    collect(&answer["result"], &mut lines);
    lines.join("\n")
}

/// Whether an answer is a further piece of the artifact that the one before it belongs to.
pub(super) fn goes_on(answer: &Value) -> bool {
    let result = &answer["result"];
    let update = result.get("artifactUpdate").unwrap_or(result);
    update["append"] == true
}

fn collect(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "parts" {
                    let parts = member.as_array().into_iter().flatten();
                    let texts: Vec<_> = parts.filter_map(|part| part["text"].as_str()).collect();
                    let between = if members.contains_key("artifactId") {
                        ""
                    } else {
                        "\n"
                    };
                    lines.extend(Some(texts.join(between)).filter(|text| !text.is_empty()));
                } else if !PAST.contains(&name.as_str()) {
                    collect(member, lines);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, lines)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_decides_the_version() {
        let v1 = json!({ "supportedInterfaces": [{ "protocolVersion": "1.0" }], "capabilities": { "streaming": true } });
        let (sent, headers) = request(&v1, "hi");
        assert_eq!(
            (&sent["method"], &headers["a2a-version"]),
            (&json!("SendStreamingMessage"), &HeaderValue::from_static("1.0"))
        );
        let (sent, headers) = request(&json!({ "protocolVersion": "0.3.0" }), "hi");
        assert_eq!((&sent["method"], headers.len()), (&json!("message/send"), 0));
        assert_eq!(sent["params"]["message"]["parts"][0]["text"], "hi");
    }

    #[test]
    fn pieces_of_an_artifact_belong_together_in_both_versions() {
        let update = |append| json!({ "artifact": { "parts": [{ "text": "x" }] }, "append": append });
        for wrap in [
            |update| json!({ "result": { "artifactUpdate": update } }),
            |update| json!({ "result": update }),
        ] {
            assert!(goes_on(&wrap(update(true))) && !goes_on(&wrap(update(false))));
        }
        assert!(!goes_on(&json!({ "result": { "message": { "parts": [] } } })));
    }

    #[test]
    fn what_the_user_said_is_not_repeated() {
        let answer = json!({ "result": { "task": {
            "history": [{ "parts": [{ "text": "question" }] }],
            "artifacts": [
                { "artifactId": "a", "parts": [{ "text": "one " }, { "data": {} }, { "text": "piece" }] },
                { "artifactId": "b", "parts": [{ "text": "two" }] },
            ],
            "status": { "message": { "parts": [{ "text": "three" }, { "text": "four" }] } },
        }}});
        assert_eq!(text(&answer), "one piece\ntwo\nthree\nfour");
        let refused = json!({ "error": { "code": -32001, "message": "no such task" } });
        assert_eq!(error(&refused).unwrap(), "no such task (code -32001)");
    }
}
