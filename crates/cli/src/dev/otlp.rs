//! Takes the spans that the agent exports by OTLP over HTTP, and makes them steps of the requests they belong to.
//!
//! Only the members that are shown are read, from binary protobuf, as OpenTelemetry's `trace/v1/trace.proto` and
//! `common/v1/common.proto` number them. A message, its spans and their attributes are bounded; what is beyond is
//! dropped, because it is the agent's own.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use prost::Message;
use serde::Serialize;

use super::journal::Journal;
use super::relay::refuse;

/// Where exporters that are given the address of `agentcore dev` send spans.
pub(super) const PATH: &str = "/_dev/otlp/v1/traces";
/// The beginning of it, as exporters are told.
pub(super) const BASE: &str = "/_dev/otlp";

/// Largest message, in bytes.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Most attributes of a span, and the most of one's value, in bytes.
const MAX_ATTRIBUTES: usize = 64;
const MAX_VALUE: usize = 2048;
const MAX_NAME: usize = 256;
/// `STATUS_CODE_ERROR`.
const FAILED: i32 = 2;

/// A stretch of an agent's work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Span {
    /// The trace of OpenTelemetry's that it is part of, in hexadecimal.
    #[serde(skip)]
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    /// Nanoseconds since 1970.
    #[serde(skip)]
    pub(super) start: u64,
    #[serde(skip)]
    pub(super) end: u64,
    pub(super) failed: bool,
    pub(super) attributes: Vec<(String, String)>,
}

/// Answers an exporter.
pub(super) async fn take(journal: &Journal, request: Request) -> Response {
    if !is_binary(request.headers()) {
        let text = "Only application/x-protobuf without compression is understood";
        return refuse(415, "UnsupportedMediaType", text);
    }
    let Ok(body) = to_bytes(request.into_body(), MAX_MESSAGE).await else {
        return refuse(413, "RequestEntityTooLarge", "The message is larger than 4 MB");
    };
    let Ok(message) = Export::decode(body) else {
        return refuse(400, "ValidationException", "This is no message of OTLP's traces");
    };
    for span in message.spans() {
        journal.span(span);
    }
    // A message without members: everything was taken.
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-protobuf")]).into_response()
}

fn is_binary(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|text| text == value);
    is(header::CONTENT_TYPE, "application/x-protobuf")
        && (!headers.contains_key(header::CONTENT_ENCODING) || is(header::CONTENT_ENCODING, "identity"))
}

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// Of the kinds of values, those that are one piece of text; lists and maps are left out.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Scalar", tags = "1, 2, 3, 4")]
    scalar: Option<Scalar>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Scalar {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Real(f64),
}

impl Export {
    fn spans(self) -> impl Iterator<Item = Span> {
        let scopes = self.resources.into_iter().flat_map(|resource| resource.scopes);
        scopes.flat_map(|scope| scope.spans).map(WireSpan::read)
    }
}

impl WireSpan {
    fn read(self) -> Span {
        let status = self.status.unwrap_or_default();
        let attributes = self.attributes.into_iter().filter_map(Attribute::read);
        let why = (!status.message.is_empty()).then(|| ("status".to_owned(), beginning(status.message)));
        Span {
            trace: hex::encode(self.trace),
            id: hex::encode(self.id),
            parent: hex::encode(self.parent),
            name: self.name[..self.name.floor_char_boundary(MAX_NAME)].to_owned(),
            start: self.start,
            end: self.end.max(self.start),
            failed: status.code == FAILED,
            attributes: why.into_iter().chain(attributes).take(MAX_ATTRIBUTES).collect(),
        }
    }
}

impl Attribute {
    fn read(self) -> Option<(String, String)> {
        let text = match self.value?.scalar? {
            Scalar::Text(text) => beginning(text),
            Scalar::Truth(truth) => truth.to_string(),
            Scalar::Whole(number) => number.to_string(),
            Scalar::Real(number) => number.to_string(),
        };
        Some((beginning(self.key), text))
    }
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_VALUE));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_shown_is_read_and_the_rest_is_skipped() {
        // One span as OpenTelemetry's Python exporter writes it, with members that are not read: resource, scope, kind.
        let wire = WireSpan {
            trace: vec![0xab; 16],
            id: vec![1; 8],
            parent: vec![],
            name: "chat".to_owned(),
            start: 20,
            end: 10,
            attributes: vec![
                Attribute {
                    key: "tokens".to_owned(),
                    value: Some(AnyValue {
                        scalar: Some(Scalar::Whole(42)),
                    }),
                },
                Attribute {
                    key: "list".to_owned(),
                    value: Some(AnyValue { scalar: None }),
                },
            ],
            status: Some(Status {
                message: "no".to_owned(),
                code: FAILED,
            }),
        };
        let mut scope = OfScope { spans: vec![wire] }.encode_to_vec();
        scope.extend([0x1a, 1, b'x']);
        let mut resource = vec![0x0a, 0];
        resource.extend([0x12, u8::try_from(scope.len()).unwrap()]);
        resource.extend(scope);
        let mut message = vec![0x0a, u8::try_from(resource.len()).unwrap()];
        message.extend(resource);
        let spans: Vec<_> = Export::decode(&message[..]).unwrap().spans().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].name.as_str(), spans[0].failed), ("chat", true));
        assert_eq!((spans[0].start, spans[0].end), (20, 20));
        assert_eq!(spans[0].trace, "ab".repeat(16));
        assert_eq!(spans[0].attributes, [pair("status", "no"), pair("tokens", "42")]);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(message) = Export::decode(&bytes[..]) {
                message.spans().for_each(drop);
            }
        }
    }
}
