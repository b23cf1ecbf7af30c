//! Which addresses and names a sandbox may reach. Pure decisions.
//!
//! Four questions, in this order, and each can only refuse: is egress on; is the address one that nobody may reach or
//! in a range that the operator has not opened; does every list that applies name it; and (asked by [`crate::outside`]
//! when it connects) is it this host's own. A list names addresses, or names: an address counts as a name's only while the answer
//! in which a name server gave it is valid, so a sandbox reaches what a name stands for, and not what it claims.

mod allowance;
mod pins;
mod ranges;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use ipnet::Ipv4Net;

pub use allowance::{Allowance, AllowanceError};
pub(crate) use pins::Pins;

/// What a sandbox may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Whether there is no egress at all, with the reason.
    pub off: Option<String>,
    /// Ranges that are closed to sandboxes unless named here: private ones. Others stay closed whatever is said here.
    pub open: Arc<[Ipv4Net]>,
    /// Lists that each must name what is reached. Without any, everything is reached that is not closed.
    pub allowances: Vec<Arc<Allowance>>,
}

/// Why something may not be reached. Shown in the session's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no egress.
    #[error("{0}")]
    Off(String),
    /// Nobody reaches this.
    #[error("{0} are closed to every sandbox")]
    Closed(&'static str),
    /// A private range.
    #[error("private addresses are closed unless the operator opens them: [egress] open = [\"{0}/32\"]")]
    Private(Ipv4Addr),
    /// This host.
    #[error("the host of the sandboxes is closed to them")]
    Host,
    /// Not on the list.
    #[error(
        "it is not on the egress list of this runtime (tag coracle:egress, or the operator's [egress] allow)"
    )]
    NotListed,
}

impl Rules {
    /// Whether a sandbox may reach this address, of which `pins` says by which names it is known.
    pub(crate) fn judge(&self, to: SocketAddrV4, pins: &Pins) -> Result<(), Refusal> {
        if let Some(reason) = &self.off {
            return Err(Refusal::Off(reason.clone()));
        }
        self.judge_range(*to.ip())?;
        let named = |allowance: &Arc<Allowance>| {
            allowance.names_address(to)
                || pins
                    .names(*to.ip())
                    .any(|name| allowance.names(name, Some(to.port())))
        };
        if self.allowances.iter().all(named) {
            Ok(())
        } else {
            Err(Refusal::NotListed)
        }
    }

    /// Whether addresses like this one may be reached at all.
    pub(crate) fn judge_range(&self, ip: Ipv4Addr) -> Result<(), Refusal> {
        if let Some(what) = ranges::never(ip) {
            return Err(Refusal::Closed(what));
        }
        if ranges::is_private(ip) && !self.open.iter().any(|range| range.contains(&ip)) {
            return Err(Refusal::Private(ip));
        }
        Ok(())
    }

    /// Whether a sandbox may ask for this name, without its final dot and in lower case.
    pub(crate) fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        if let Some(reason) = &self.off {
            return Err(Refusal::Off(reason.clone()));
        }
        if self
            .allowances
            .iter()
            .all(|allowance| allowance.names(name, None))
        {
            Ok(())
        } else {
            Err(Refusal::NotListed)
        }
    }

    /// Whether it matters by which name an address was found.
    pub(crate) fn have_lists(&self) -> bool {
        !self.allowances.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn to(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn rules(lists: &[&str]) -> Rules {
        let parse = |list: &&str| Arc::new(list.parse().unwrap());
        Rules {
            allowances: lists.iter().map(parse).collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn without_lists_the_public_internet_is_open_and_nothing_else() {
        let (rules, pins) = (Rules::default(), Pins::default());
        assert_eq!(rules.judge(to("203.0.113.9:443"), &pins), Ok(()));
        for closed in [
            "127.0.0.1:80",
            "0.0.0.0:80",
            "169.254.169.254:80",
            "10.1.2.3:80",
            "172.31.0.1:80",
            "192.168.1.1:80",
            "100.64.0.1:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "192.0.0.1:80",
            "198.18.0.1:1",
        ] {
            assert!(rules.judge(to(closed), &pins).is_err(), "{closed}");
        }
    }

    #[test]
    fn the_operator_opens_private_ranges_and_no_others() {
        let rules = Rules {
            open: ["10.1.0.0/16", "127.0.0.0/8", "169.254.0.0/16"]
                .map(|range| range.parse().unwrap())
                .into(),
            ..Rules::default()
        };
        let pins = Pins::default();
        assert_eq!(rules.judge(to("10.1.2.3:80"), &pins), Ok(()));
        for closed in ["10.2.0.1:80", "127.0.0.1:80", "169.254.169.254:80"] {
            assert!(rules.judge(to(closed), &pins).is_err(), "{closed}");
        }
    }

    #[test]
    fn every_list_must_name_what_is_reached() {
        let mut pins = Pins::default();
        pins.add(
            "api.example.com",
            [Ipv4Addr::new(203, 0, 113, 9)],
            Duration::from_secs(60),
            Instant::now(),
        );
        let reach = |lists: &[&str], address: &str| rules(lists).judge(to(address), &pins);
        assert_eq!(reach(&["api.example.com:443"], "203.0.113.9:443"), Ok(()));
        assert_eq!(
            reach(&["api.example.com:443"], "203.0.113.9:22"),
            Err(Refusal::NotListed)
        );
        assert_eq!(
            reach(&["api.example.com"], "203.0.113.8:443"),
            Err(Refusal::NotListed)
        );
        assert_eq!(
            reach(&[".example.com", "203.0.113.0/24"], "203.0.113.9:443"),
            Ok(())
        );
        assert_eq!(
            reach(&[".example.com", "198.51.100.0/24"], "203.0.113.9:443"),
            Err(Refusal::NotListed)
        );
    }

    #[test]
    fn a_list_does_not_open_what_is_closed() {
        let rules = rules(&["10.0.0.0/8", "127.0.0.1"]);
        assert!(rules.judge(to("10.0.0.1:80"), &Pins::default()).is_err());
        assert!(rules.judge(to("127.0.0.1:80"), &Pins::default()).is_err());
    }

    #[test]
    fn off_is_off() {
        let rules = Rules {
            off: Some("because".to_owned()),
            ..Rules::default()
        };
        assert!(rules.judge(to("203.0.113.9:443"), &Pins::default()).is_err());
        assert!(rules.judge_name("example.com").is_err());
    }
}
