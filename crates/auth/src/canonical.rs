//! The canonical request of Signature Version 4: one byte string that both sides derive from a request.
//!
//! It is made from the target as it came over the wire. Signers of every service but S3 normalise the path
//! and encode the encoded path once more, so that `%3A` becomes `%253A`; signers of S3 use it as it is.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::{HOST, HeaderName};
use http::request::Parts;

use crate::AuthError;
use crate::request::SigV4Request;

/// Most `Host` headers of one request that are considered.
const MAX_SENT_HOSTS: usize = 8;

/// Names clients may have signed for besides the one in their `Host` header, such as the service's own.
#[derive(Debug, Clone, Default)]
pub struct HostAliases(Vec<String>);

impl HostAliases {
    /// Aliases, each `name` or `name:port`.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }
}

/// The parts of a canonical request before and after the value of the `host` header, without the payload
/// hash that ends it.
pub(crate) struct CanonicalRequest {
    before_host: Vec<u8>,
    after_host: Vec<u8>,
}

impl CanonicalRequest {
    /// # Errors
    /// [`AuthError::Mismatch`] when a signed header is not there.
    pub(crate) fn new(request: &SigV4Request, parts: &Parts) -> Result<Self, AuthError> {
        let mut text = Vec::with_capacity(512);
        line(&mut text, parts.method.as_str().as_bytes());
        line(
            &mut text,
            canonical_path(parts.uri.path(), request.service() == "s3").as_bytes(),
        );
        line(
            &mut text,
            canonical_query(parts.uri.query().unwrap_or_default(), request.is_presigned()).as_bytes(),
        );
        let mut before_host = Vec::new();
        for name in request.signed_headers() {
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(b':');
            if *name == HOST {
                before_host = std::mem::take(&mut text);
            } else {
                header_value(&mut text, &parts.headers, name)?;
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        let names: Vec<&str> = request.signed_headers().iter().map(HeaderName::as_str).collect();
        line(&mut text, names.join(";").as_bytes());
        Ok(Self {
            before_host,
            after_host: text,
        })
    }

    /// The three pieces that, followed by the payload hash, are the canonical request for this host.
    pub(crate) fn pieces<'a>(&'a self, host: &'a str) -> [&'a [u8]; 3] {
        [&self.before_host, host.as_bytes(), &self.after_host]
    }
}

fn line(text: &mut Vec<u8>, content: &[u8]) {
    text.extend_from_slice(content);
    text.push(b'\n');
}

/// Every value of the header, in order, joined by commas; spaces trimmed and runs of them made one.
fn header_value(text: &mut Vec<u8>, headers: &HeaderMap, name: &HeaderName) -> Result<(), AuthError> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Err(AuthError::Mismatch);
    }
    while let Some(value) = values.next() {
        let words = value
            .as_bytes()
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
        if values.peek().is_some() {
            text.push(b',');
        }
    }
    Ok(())
}

/// The values of `host` a client may have signed: what it sent, with and without the port, and the aliases.
pub(crate) fn host_candidates(parts: &Parts, aliases: &HostAliases) -> BTreeSet<String> {
    let sent = parts
        .headers
        .get_all(HOST)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let sent = sent.chain(parts.uri.authority().map(http::uri::Authority::as_str));
    let mut hosts = BTreeSet::new();
    for host in sent.take(MAX_SENT_HOSTS) {
        let host = host.trim();
        let lower = host.to_ascii_lowercase();
        hosts.extend([host, without_port(host), &lower, without_port(&lower)].map(str::to_owned));
    }
    for alias in &aliases.0 {
        hosts.extend([alias.as_str(), without_port(alias)].map(str::to_owned));
    }
    hosts
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn canonical_path(path: &str, is_s3: bool) -> String {
    if is_s3 {
        return path.to_owned();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut canonical = String::with_capacity(path.len() + 16);
    for segment in &segments {
        canonical.push('/');
        percent_encode(&mut canonical, segment.as_bytes());
    }
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The parameters, each decoded as handlers decode them and encoded in the one canonical way, sorted, but
/// for the signature itself when it is there.
fn canonical_query(query: &str, is_presigned: bool) -> String {
    let encode = |text: &str| {
        let mut encoded = String::with_capacity(text.len());
        percent_encode(&mut encoded, &percent_decode(text));
        encoded
    };
    let mut pairs: Vec<(String, String)> = query_pairs(query)
        .filter(|(name, _)| !(is_presigned && *name == "X-Amz-Signature"))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// The parameters of a query, still encoded. A parameter without `=` has an empty value.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Encodes everything but unreserved characters.
fn percent_encode(encoded: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Decodes a query component as forms are decoded: `+` is a space, and a `%` without two digits stays.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [byte, rest @ ..] = bytes {
        let mut digits = [0];
        bytes = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if hex::decode_to_slice([*high, *low], &mut digits).is_ok() => {
                decoded.push(digits[0]);
                rest
            }
            (b'+', rest) => {
                decoded.push(b' ');
                rest
            }
            (byte, rest) => {
                decoded.push(*byte);
                rest
            }
        };
    }
    decoded
}
