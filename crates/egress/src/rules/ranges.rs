//! Ranges of addresses by what they are for, from IANA's registry of special-purpose addresses.

use std::net::Ipv4Addr;

/// What this address is, when no sandbox may reach its like.
pub(super) fn never(ip: Ipv4Addr) -> Option<&'static str> {
    let octets = ip.octets();
    match octets {
        [0, ..] => Some("addresses of \"this network\""),
        [127, ..] => Some("loopback addresses"),
        [169, 254, ..] => Some("link-local addresses, cloud metadata among them,"),
        [192, 0, 0, _] => Some("addresses between sandbox and host"),
        [224..=239, ..] => Some("multicast addresses"),
        [240..=255, ..] => Some("reserved and broadcast addresses"),
        _ => None,
    }
}

/// Whether this address belongs to somebody's own network.
pub(super) fn is_private(ip: Ipv4Addr) -> bool {
    // Shared by a provider's customers (RFC 6598), and for benchmarks of networks (RFC 2544).
    let shared = matches!(ip.octets(), [100, 64..=127, ..] | [198, 18 | 19, ..]);
    ip.is_private() || shared
}
