//! Tokens of the metadata service: random, valid for a time, and so many at most; beyond that the oldest goes.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

/// Most tokens at once.
const MOST: usize = 128;
/// Bytes of randomness in one.
const LENGTH: usize = 28;

/// The tokens of one sandbox.
#[derive(Debug, Default)]
pub(super) struct Tokens(VecDeque<(String, Instant)>);

impl Tokens {
    /// A new token.
    pub(super) fn give(&mut self, valid_for: Duration, now: Instant) -> String {
        self.0.retain(|(_, until)| *until > now);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let random: [u8; LENGTH] = rand::rng().random();
        let token = hex::encode(random);
        self.0.push_back((token.clone(), now + valid_for));
        token
    }

    /// Whether this is one. Whoever could guess one by the time that takes is in the sandbox, and may ask for one.
    pub(super) fn have(&self, token: &str, now: Instant) -> bool {
        self.0.iter().any(|(given, until)| given == token && *until > now)
    }
}
