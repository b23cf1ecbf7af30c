//! Trace context: `X-Amzn-Trace-Id` and `traceparent` say the same in two spellings. Whichever is absent is made
//! from the other, and both anew where neither is there, so that every invocation can be followed.
//!
//! ```text
//! X-Amzn-Trace-Id: Root=1-<8 hex: seconds>-<24 hex>;Parent=<16 hex>;Sampled=1
//! traceparent:     00-<32 hex>-<16 hex>-01
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const AMZN: HeaderName = HeaderName::from_static("x-amzn-trace-id");
pub(super) const W3C: HeaderName = HeaderName::from_static("traceparent");

/// What both spellings say.
struct Context {
    /// 32 hexadecimal digits.
    trace: String,
    /// 16 hexadecimal digits.
    parent: String,
    sampled: bool,
}

/// Adds the trace headers that are absent.
pub(super) fn complete(headers: &mut HeaderMap) {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let context = text(&W3C)
        .and_then(Context::from_w3c)
        .or_else(|| text(&AMZN).and_then(Context::from_amzn))
        .unwrap_or_else(Context::random);
    for (name, value) in [(AMZN, context.amzn()), (W3C, context.w3c())] {
        // Both are hexadecimal digits and punctuation.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.entry(name).or_insert(value);
        }
    }
}

impl Context {
    fn from_w3c(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '-');
        let (_version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let flags = u8::from_str_radix(flags.get(..2)?, 16).ok()?;
        Self::of(trace, parent, flags & 1 == 1)
    }

    fn from_amzn(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.split(';').find_map(|field| {
                let (key, value) = field.split_once('=')?;
                (key.trim() == name).then(|| value.trim())
            })
        };
        let (seconds, rest) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let parent = field("Parent").map_or_else(|| random(16), str::to_owned);
        Self::of(
            &format!("{seconds}{rest}"),
            &parent,
            field("Sampled") != Some("0"),
        )
    }

    fn of(trace: &str, parent: &str, sampled: bool) -> Option<Self> {
        let is_hex = |text: &str, length| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_hexdigit())
                && text.bytes().any(|byte| byte != b'0')
        };
        (is_hex(trace, 32) && is_hex(parent, 16)).then(|| Self {
            trace: trace.to_ascii_lowercase(),
            parent: parent.to_ascii_lowercase(),
            sampled,
        })
    }

    fn random() -> Self {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            trace: format!("{:08x}{}", seconds & 0xffff_ffff, random(24)),
            parent: random(16),
            sampled: true,
        }
    }

    fn w3c(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.parent, u8::from(self.sampled))
    }

    fn amzn(&self) -> String {
        let (seconds, rest) = self.trace.split_at(8);
        format!(
            "Root=1-{seconds}-{rest};Parent={};Sampled={}",
            self.parent,
            u8::from(self.sampled)
        )
    }
}

/// So many random hexadecimal digits, at most 32.
fn random(digits: usize) -> String {
    let mut text = uuid::Uuid::new_v4().simple().to_string();
    // The version digit of a UUID is always 4, so that no run of digits is all zero.
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn completed(pairs: &[(&HeaderName, &str)]) -> (String, String) {
        let mut headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        complete(&mut headers);
        let text = |name| headers[name].to_str().unwrap().to_owned();
        (text(AMZN), text(W3C))
    }

    #[test]
    fn each_spelling_is_made_from_the_other() {
        let amzn = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";
        let w3c = "00-58406520a006649127e371903a2de979-4c721bf33e3caf8f-01";
        let expected = (amzn.to_owned(), w3c.to_owned());
        assert_eq!(completed(&[(&AMZN, amzn)]), expected);
        assert_eq!(completed(&[(&W3C, w3c)]), expected);
    }

    #[test]
    fn what_the_caller_sent_stays_as_it_was() {
        let (amzn, w3c) = completed(&[(&AMZN, "anything"), (&W3C, "else")]);
        assert_eq!((amzn.as_str(), w3c.as_str()), ("anything", "else"));
    }

    #[test]
    fn both_are_made_where_neither_is() {
        let (amzn, w3c) = completed(&[]);
        let context = Context::from_amzn(&amzn).unwrap();
        assert_eq!(context.w3c(), w3c);
        assert_ne!(completed(&[]).1, w3c);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(amzn in "[ -~]{0,128}", w3c in "[ -~]{0,128}") {
            completed(&[(&AMZN, &amzn)]);
            completed(&[(&W3C, &w3c)]);
        }
    }
}
