//! Names for a sandbox: its questions go to the host's name servers, and their answers are what it may reach.
//!
//! | question | answer |
//! |---|---|
//! | a name that no list has | `REFUSED`, and a notice |
//! | A | the answer without addresses in closed ranges; the others count as this name's while they are valid |
//! | AAAA, HTTPS, SVCB | none: there is no IPv6, and hints must not lead past the lists |
//! | anything else | the answer as it is |
//! | no name server answers | `SERVFAIL` |

mod upstream;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::Instant;

use crate::notices::Notices;
use crate::rules::{Pins, Rules};

pub use upstream::{NameServers, NameServersError};

/// Where names are served.
pub(crate) const PORT: u16 = 53;
/// How long a connection for questions may be idle.
const IDLE: Duration = Duration::from_secs(30);
/// Longest question over a connection, in bytes. Questions are small; answers are not.
const MAX_QUESTION: usize = 4096;

/// Answers one sandbox's questions.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) rules: Arc<Rules>,
    pub(crate) servers: NameServers,
    pub(crate) pins: Mutex<Pins>,
    pub(crate) notices: Notices,
}

impl Names {
    /// The answer to a datagram; none to what is no question.
    pub(crate) async fn answer_datagram(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (answer, limit) = self.answer(question).await?;
        let bytes = answer.to_vec().ok()?;
        if bytes.len() <= limit {
            return Some(bytes);
        }
        answer.truncate().to_vec().ok()
    }

    /// Answers the questions of a connection until it ends.
    pub(crate) async fn serve(&self, mut connection: DuplexStream) {
        while let Ok(Ok(length)) = tokio::time::timeout(IDLE, connection.read_u16()).await {
            let mut question = vec![0; usize::from(length)];
            let read = tokio::time::timeout(IDLE, connection.read_exact(&mut question)).await;
            if question.len() > MAX_QUESTION || !matches!(read, Ok(Ok(_))) {
                return;
            }
            let answer = self
                .answer(&question)
                .await
                .and_then(|(answer, _)| answer.to_vec().ok());
            let Some((length, answer)) =
                answer.and_then(|answer| Some((u16::try_from(answer.len()).ok()?, answer)))
            else {
                return;
            };
            if connection.write_u16(length).await.is_err() || connection.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    /// The answer to a question, and how long a datagram with it may be.
    async fn answer(&self, question: &[u8]) -> Option<(Message, usize)> {
        let asked = Message::from_vec(question).ok()?;
        if asked.metadata.message_type != MessageType::Query {
            return None;
        }
        let limit = usize::from(asked.max_payload());
        let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
        answer.metadata.recursion_desired = asked.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_queries(asked.queries.iter().cloned());
        answer.metadata.response_code = match asked.queries.as_slice() {
            [query] if asked.metadata.op_code == OpCode::Query && query.query_class() == DNSClass::IN => {
                self.resolve(query, &mut answer).await
            }
            [_] => ResponseCode::NotImp,
            _ => ResponseCode::FormErr,
        };
        Some((answer, limit))
    }

    async fn resolve(&self, query: &Query, answer: &mut Message) -> ResponseCode {
        let name = plain(query);
        if let Err(refusal) = self.rules.judge_name(&name) {
            self.notices.give(format!("name {name} not resolved: {refusal}"));
            return ResponseCode::Refused;
        }
        if matches!(
            query.query_type(),
            RecordType::AAAA | RecordType::HTTPS | RecordType::SVCB
        ) {
            return ResponseCode::NoError;
        }
        let given = match self.servers.ask(query).await {
            Ok(given) => given,
            Err(error) => {
                self.notices.give(format!("name {name} not resolved: {error}"));
                return ResponseCode::ServFail;
            }
        };
        let mut addresses = Vec::new();
        let mut time_to_live = u32::MAX;
        for record in given.answers {
            if let RData::A(address) = record.data {
                if let Err(refusal) = self.rules.judge_range(address.0) {
                    self.notices
                        .give(format!("name {name} leads to {}: {refusal}", address.0));
                    continue;
                }
                time_to_live = time_to_live.min(record.ttl);
                addresses.push(address.0);
            } else if !is_plain(&record.data) {
                continue;
            }
            answer.add_answer(record);
        }
        answer.add_authorities(given.authorities);
        self.pin(&name, addresses, Duration::from_secs(time_to_live.into()));
        given.metadata.response_code
    }

    fn pin(&self, name: &str, addresses: Vec<Ipv4Addr>, time_to_live: Duration) {
        if self.rules.have_lists() {
            let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
            pins.add(name, addresses, time_to_live, Instant::now());
        }
    }
}

/// Whether a record may be passed on beside addresses.
fn is_plain(data: &RData) -> bool {
    !matches!(data, RData::AAAA(_) | RData::HTTPS(_) | RData::SVCB(_))
}

/// A question's name as lists have it.
fn plain(query: &Query) -> String {
    let mut name = query.name().to_ascii();
    name.make_ascii_lowercase();
    if name.ends_with('.') {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests;
