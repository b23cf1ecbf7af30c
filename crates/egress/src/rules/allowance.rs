//! A list of what may be reached, as an operator or a developer writes it.
//!
//! Words with spaces between, because the values of tags have no commas: `api.example.com:443 .example.org 203.0.113.0/24:5432`.
//! A name stands for itself, with a dot before it for itself and everything below it. Without a port, all are meant.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use ipnet::Ipv4Net;

/// Longest list, in words.
const MAX_WORDS: usize = 1024;
/// Longest name, in bytes (RFC 1035).
const MAX_NAME: usize = 253;

/// What may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowance(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    target: Target,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    /// The name and all below it.
    Domain(String),
    Range(Ipv4Net),
}

/// Why a list is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowanceError {
    /// One word of it.
    #[error("{0:?} is not a name, .domain, IPv4 address or range, with or without a :port")]
    Word(String),
    /// Its length.
    #[error("it has more than {MAX_WORDS} entries")]
    TooLong,
}

impl FromStr for Allowance {
    type Err = AllowanceError;

    fn from_str(text: &str) -> Result<Self, AllowanceError> {
        let entries: Vec<Entry> = text
            .split_whitespace()
            .take(MAX_WORDS + 1)
            .map(entry)
            .collect::<Result<_, _>>()?;
        if entries.len() > MAX_WORDS {
            return Err(AllowanceError::TooLong);
        }
        Ok(Self(entries))
    }
}

impl FromIterator<Ipv4Net> for Allowance {
    fn from_iter<T: IntoIterator<Item = Ipv4Net>>(ranges: T) -> Self {
        let entry = |range| Entry {
            target: Target::Range(range),
            port: None,
        };
        Self(ranges.into_iter().map(entry).collect())
    }
}

impl Allowance {
    /// Whether the list has this address as such.
    pub(super) fn names_address(&self, to: SocketAddrV4) -> bool {
        self.0.iter().any(|entry| {
            entry.has_port(Some(to.port()))
                && matches!(&entry.target, Target::Range(range) if range.contains(to.ip()))
        })
    }

    /// Whether the list has this name, with this port if one is known.
    pub(super) fn names(&self, name: &str, port: Option<u16>) -> bool {
        self.0
            .iter()
            .any(|entry| entry.has_port(port) && entry.target.is(name))
    }
}

impl Entry {
    fn has_port(&self, port: Option<u16>) -> bool {
        self.port.is_none() || port.is_none() || self.port == port
    }
}

impl Target {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Domain(domain) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            Self::Range(_) => false,
        }
    }
}

fn entry(word: &str) -> Result<Entry, AllowanceError> {
    let unknown = || AllowanceError::Word(word.chars().take(MAX_NAME).collect());
    let (target, port) = match word.rsplit_once(':') {
        Some((target, port)) => (target, Some(port.parse().map_err(|_| unknown())?)),
        None => (word, None),
    };
    Ok(Entry {
        target: parse_target(target).ok_or_else(unknown)?,
        port,
    })
}

fn parse_target(text: &str) -> Option<Target> {
    if let Ok(range) = text.parse::<Ipv4Net>() {
        return Some(Target::Range(range));
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Some(Target::Range(ip.into()));
    }
    let name = text.to_ascii_lowercase();
    let (bare, domain) = match name.strip_prefix('.') {
        Some(bare) => (bare, true),
        None => (name.as_str(), false),
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    // What ends in a number is an address that somebody got wrong.
    let is_name = bare.len() <= MAX_NAME
        && bare.split('.').all(is_label)
        && !bare.rsplit('.').next().is_some_and(is_number);
    is_name.then(|| match domain {
        true => Target::Domain(bare.to_owned()),
        false => Target::Name(bare.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves_and_domains_for_all_below() {
        let list: Allowance = "api.example.com:443 .Example.org".parse().unwrap();
        assert!(list.names("api.example.com", Some(443)) && list.names("api.example.com", None));
        assert!(!list.names("api.example.com", Some(80)));
        assert!(!list.names("x.api.example.com", Some(443)));
        assert!(list.names("example.org", Some(1)) && list.names("a.b.example.org", Some(1)));
        assert!(!list.names("evilexample.org", Some(1)) && !list.names("example.org.evil", Some(1)));
    }

    #[test]
    fn addresses_and_ranges_are_no_names() {
        let list: Allowance = "203.0.113.7 198.51.100.0/24:5432".parse().unwrap();
        assert!(list.names_address("203.0.113.7:1".parse().unwrap()));
        assert!(list.names_address("198.51.100.9:5432".parse().unwrap()));
        assert!(!list.names_address("198.51.100.9:22".parse().unwrap()));
        assert!(!list.names("203.0.113.7", Some(1)));
    }

    #[test]
    fn what_is_nothing_is_refused_and_named() {
        for word in [
            "a..b",
            "*.example.com",
            "host:port",
            "10.0.0.0/33",
            "1.2.3",
            "[::1]:80",
            ".",
            "a:0x1",
        ] {
            let error = format!("example.com {word}").parse::<Allowance>().unwrap_err();
            assert_eq!(error, AllowanceError::Word(word.to_owned()));
        }
        assert_eq!(
            "a.b ".repeat(2000).parse::<Allowance>(),
            Err(AllowanceError::TooLong)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_list_or_none(text in ".{0,200}") {
            text.parse::<Allowance>().ok();
        }
    }
}
