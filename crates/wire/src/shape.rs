//! The static table that requests are validated against and responses are split by.
//! The generator fills it with what the service model says of each shape.

use crate::Pattern;

/// A shape of the service model.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the model.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Whether its values must not be shown.
    pub sensitive: bool,
}

/// What the values of a shape are, and their constraints.
#[derive(Debug)]
pub enum Kind {
    /// An object with known members.
    Structure(Structure),
    /// An array.
    List {
        /// What it holds.
        item: &'static Shape,
        /// How many.
        length: Length,
    },
    /// An object with arbitrary members.
    Map {
        /// What its names are.
        key: &'static Shape,
        /// What its values are.
        value: &'static Shape,
        /// How many entries.
        length: Length,
    },
    /// A string.
    String {
        /// How many characters.
        length: Length,
        /// What the whole string must match.
        pattern: Option<Pattern>,
        /// The only values allowed; empty if any is.
        values: &'static [&'static str],
    },
    /// A whole number of 32 bits.
    Integer(Range),
    /// A whole number of 64 bits.
    Long(Range),
    /// A number.
    Float(Range),
    /// `true` or `false`.
    Boolean,
    /// A point in time.
    Timestamp(TimestampFormat),
    /// Bytes, as base64 text.
    Blob,
    /// Any JSON.
    Document,
}

/// An object with known members.
#[derive(Debug)]
pub struct Structure {
    /// Its members, but for a body that the handler reads or writes itself.
    pub members: &'static [Member],
    /// Where its unlocated members are in a message.
    pub payload: Payload,
    /// Set if exactly one member must be: what to tell callers who break that.
    pub union: Option<&'static str>,
}

/// Where the members without a location of their own are in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// In a JSON object.
    Members,
    /// The one member of this name is the whole body, as JSON.
    Member(&'static str),
    /// There are none: the body is a blob or an event stream and belongs to the handler.
    Raw,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it is.
    pub shape: &'static Shape,
    /// Whether it must be there.
    pub required: bool,
    /// Where it is in a message.
    pub location: Location,
}

/// Where a member is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the body, see [`Payload`].
    Body,
    /// The path label of this name.
    Label(&'static str),
    /// The query parameter of this name.
    Query(&'static str),
    /// The header of this name.
    Header(&'static str),
    /// The status code of the response.
    StatusCode,
}

/// Inclusive bounds of a length: characters of a string, items of a list, entries of a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// At least.
    pub min: Option<usize>,
    /// At most.
    pub max: Option<usize>,
}

/// Inclusive bounds of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// A string such as `2026-11-21T03:17:15Z`.
    Iso8601,
    /// A number of seconds.
    EpochSeconds,
}

impl Shape {
    /// The members, if this is a structure.
    pub fn structure(&self) -> Option<&Structure> {
        match &self.kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }
}
