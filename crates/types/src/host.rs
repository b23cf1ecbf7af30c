//! Host names in URLs and registry references.

use std::net::IpAddr;

/// Whether a URL's host, an IPv6 address in brackets, means this machine itself: `localhost` or a loopback address.
/// Plain HTTP to it leaves nothing for others to read.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']);
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_look_like_this_machine_are_others() {
        for (host, here) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
            ("127.0.0.1.example", false),
            ("[::2]", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(host), here, "{host}");
        }
    }
}
