//! The parameters of operator requests.

use std::collections::HashMap;
use std::str::FromStr;

use coracle_wire::Error;
use percent_encoding::percent_decode_str;

/// What a request's query says; each parameter is taken once.
pub(super) struct Query<'a>(HashMap<&'a str, String>);

impl<'a> Query<'a> {
    pub(super) fn of(query: &'a str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let decoded = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        Self(pairs.map(|(name, value)| (name, decoded(value))).collect())
    }

    /// A parameter that may be absent.
    pub(super) fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Error>
    where
        T::Err: std::fmt::Display,
    {
        let value = self.0.remove(name).map(|value| value.parse());
        value
            .transpose()
            .map_err(|error: T::Err| Error::validation_field(name, error.to_string()))
    }

    /// A parameter that must be there.
    pub(super) fn required<T: FromStr>(&mut self, name: &str) -> Result<T, Error>
    where
        T::Err: std::fmt::Display,
    {
        self.optional(name)?
            .ok_or_else(|| Error::validation_field(name, "Member is required"))
    }

    /// Whether a switch is on.
    pub(super) fn switch(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some_and(|value| value == "true")
    }

    /// Refuses what is left: a misspelt filter would filter nothing.
    pub(super) fn no_others(self) -> Result<(), Error> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::validation_field(*name, "There is no such parameter")),
        }
    }
}
