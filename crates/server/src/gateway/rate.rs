//! How often an account may ask: one allowance per account and class of operation, off unless configured.
//!
//! An allowance is a single moment, the time until which the account has used up its rate (the generic cell rate
//! algorithm). A request moves it on by one interval and is refused if it is more than a second ahead. There are no
//! more allowances than accounts with keys, times the classes. Frames of a WebSocket are counted in the same way.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coracle_types::AccountId;
use coracle_wire::{Error, Operation, Service};

use crate::config::RateLimitsConfig;

/// How far ahead of its rate an account may be.
const BURST: Duration = Duration::from_secs(1);

/// Operations that share an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Control-plane operations that change something.
    Mutation,
    /// Control-plane operations that read one thing.
    Get,
    /// Control-plane operations that list.
    List,
    /// Data-plane operations.
    Data,
    /// The start of a session.
    NewSession,
}

impl Class {
    /// The class of an operation.
    pub fn of(operation: &Operation) -> Self {
        match (operation.service, operation.name) {
            (Service::Data, _) => Self::Data,
            (Service::Control, name) if name.starts_with("List") => Self::List,
            (Service::Control, name) if name.starts_with("Get") => Self::Get,
            (Service::Control, _) => Self::Mutation,
        }
    }
}

/// How far something that has a rate has used it up: the moment until which nothing would be left.
#[derive(Debug, Clone, Copy)]
pub struct Allowance(Instant);

impl Allowance {
    /// One that nobody has used.
    pub fn unused(now: Instant) -> Self {
        Self(now)
    }

    /// Takes one of `per_second`.
    ///
    /// # Errors
    /// When it is used up: the time until it is not.
    pub fn take(&mut self, per_second: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let next = self.0.max(now) + Duration::from_secs(1) / per_second.get();
        match next.saturating_duration_since(now).checked_sub(BURST) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.0 = next;
                Ok(())
            }
        }
    }
}

/// The allowances of all accounts.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitsConfig,
    used: Mutex<HashMap<(AccountId, Class), Allowance>>,
}

impl RateLimits {
    /// Allowances that nobody has used.
    pub fn new(config: RateLimitsConfig) -> Self {
        Self {
            config,
            used: Mutex::default(),
        }
    }

    /// Takes one from the account's allowance.
    ///
    /// # Errors
    /// `ThrottlingException` when it is used up, with the time until it is not.
    pub fn take(&self, account: &AccountId, class: Class) -> Result<(), Error> {
        if !self.config.enabled {
            return Ok(());
        }
        self.take_at(account, class, Instant::now())
            .map_err(|wait| Error::throttling("Rate exceeded").retry_after(wait))
    }

    fn take_at(&self, account: &AccountId, class: Class, now: Instant) -> Result<(), Duration> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = used.entry((account.clone(), class));
        allowance
            .or_insert_with(|| Allowance::unused(now))
            .take(self.rate(class), now)
    }

    fn rate(&self, class: Class) -> NonZeroU32 {
        match class {
            Class::Mutation => self.config.mutations,
            Class::Get => self.config.gets,
            Class::List => self.config.lists,
            Class::Data => self.config.data,
            Class::NewSession => self.config.new_sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RateLimits {
        RateLimits::new(RateLimitsConfig {
            enabled: true,
            ..RateLimitsConfig::default()
        })
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_the_rate_holds() {
        let (limits, account, start) = (limits(), "000000000000".parse().unwrap(), Instant::now());
        let taken = |at: Instant| {
            (0..100)
                .take_while(|_| limits.take_at(&account, Class::Mutation, at).is_ok())
                .count()
        };
        assert_eq!(taken(start), 50);
        assert_eq!(taken(start + Duration::from_millis(100)), 5);
        assert_eq!(taken(start + Duration::from_secs(60)), 50);
    }

    #[test]
    fn who_is_refused_learns_how_long_to_wait_and_may_then_ask() {
        let (limits, account, start) = (limits(), "000000000000".parse().unwrap(), Instant::now());
        let wait = loop {
            if let Err(wait) = limits.take_at(&account, Class::List, start) {
                break wait;
            }
        };
        assert_eq!(wait, Duration::from_millis(40));
        assert!(limits.take_at(&account, Class::List, start + wait).is_ok());
    }

    #[test]
    fn accounts_and_classes_do_not_share() {
        let (limits, now) = (limits(), Instant::now());
        let (one, other) = ("000000000000".parse().unwrap(), "111111111111".parse().unwrap());
        while limits.take_at(&one, Class::List, now).is_ok() {}
        assert!(limits.take_at(&one, Class::Get, now).is_ok());
        assert!(limits.take_at(&other, Class::List, now).is_ok());
    }
}
