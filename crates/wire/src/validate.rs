//! Checks a JSON value against the shape table and tidies it for the typed structs: members that are `null` count
//! as absent and unknown ones are ignored, so both are removed. Every broken constraint is reported, none by
//! repeating the value.

use std::fmt;

use serde_json::{Map, Value};

use crate::FieldErrors;
use crate::shape::{Kind, Length, Member, Range, Shape, Structure, TimestampFormat};
use crate::timestamp;

/// Longest part of a map's key that an error repeats, in characters.
const MAX_KEY_SHOWN: usize = 64;

/// Reports into `errors` whatever of `value` breaks the constraints of `shape`.
pub(crate) fn validate(shape: &Shape, value: &mut Value, errors: &mut FieldErrors) {
    Checker { errors }.check(
        shape,
        value,
        &Path {
            parent: None,
            segment: String::new(),
        },
    );
}

struct Checker<'e> {
    errors: &'e mut FieldErrors,
}

impl Checker<'_> {
    fn check(&mut self, shape: &Shape, value: &mut Value, path: &Path<'_>) {
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Object(object)) => self.structure(structure, object, path),
            (Kind::List { item, length }, Value::Array(items)) => {
                self.length(*length, items.len(), path);
                for (index, value) in items.iter_mut().enumerate() {
                    self.element(item, value, &path.child((index + 1).to_string()));
                }
            }
            (Kind::Map { key, value, length }, Value::Object(object)) => {
                self.length(*length, object.len(), path);
                for (name, entry) in object {
                    let path = if shape.sensitive {
                        path.clone()
                    } else {
                        path.child(shown(name))
                    };
                    self.check(key, &mut Value::String(name.clone()), &path);
                    self.element(value, entry, &path);
                }
            }
            (Kind::String { .. }, Value::String(text)) => self.string(&shape.kind, text, path),
            (Kind::Integer(range), Value::Number(number)) if fits::<i32>(number) => {
                self.range(*range, number.as_f64(), path);
            }
            (Kind::Long(range), Value::Number(number)) if fits::<i64>(number) => {
                self.range(*range, number.as_f64(), path);
            }
            (Kind::Float(range), Value::Number(number)) => self.range(*range, number.as_f64(), path),
            (Kind::Timestamp(TimestampFormat::Iso8601), Value::String(text))
                if text.parse::<jiff::Timestamp>().is_ok() => {}
            (Kind::Timestamp(TimestampFormat::EpochSeconds), Value::Number(number))
                if number.as_f64().and_then(timestamp::from_seconds).is_some() => {}
            (Kind::Boolean, Value::Bool(_)) | (Kind::Blob, Value::String(_)) | (Kind::Document, _) => {}
            (kind, _) => self.report(path, format!("Member must be {}", type_name(kind))),
        }
    }

    fn structure(&mut self, structure: &Structure, object: &mut Map<String, Value>, path: &Path<'_>) {
        object.retain(|name, value| {
            let known = structure.members.iter().any(|member| member.name == name);
            if !known {
                tracing::debug!(member = ?path.child(shown(name)).to_string(), "unknown member of a request ignored");
            }
            known && !value.is_null()
        });
        if let Some(message) = structure.union
            && object.len() != 1
        {
            self.report(path, message);
        }
        for member in structure.members {
            self.member(member, object, path);
        }
    }

    fn member(&mut self, member: &Member, object: &mut Map<String, Value>, path: &Path<'_>) {
        match object.get_mut(member.name) {
            Some(value) => self.check(member.shape, value, &path.child(member.name)),
            None if member.required => self.report(&path.child(member.name), "Member must not be null"),
            None => {}
        }
    }

    fn element(&mut self, shape: &Shape, value: &mut Value, path: &Path<'_>) {
        if value.is_null() {
            self.report(path, "Member must not be null");
        } else {
            self.check(shape, value, path);
        }
    }

    fn string(&mut self, kind: &Kind, text: &str, path: &Path<'_>) {
        let Kind::String {
            length,
            pattern,
            values,
        } = kind
        else {
            return;
        };
        self.length(*length, text.chars().count(), path);
        if let Some(pattern) = pattern
            && !pattern.matches(text)
        {
            self.report(
                path,
                format!(
                    "Member must satisfy regular expression pattern: {}",
                    pattern.text()
                ),
            );
        }
        if !values.is_empty() && !values.contains(&text) {
            self.report(
                path,
                format!("Member must satisfy enum value set: [{}]", values.join(", ")),
            );
        }
    }

    fn length(&mut self, Length { min, max }: Length, length: usize, path: &Path<'_>) {
        if let Some(min) = min.filter(|min| length < *min) {
            self.report(
                path,
                format!("Member must have length greater than or equal to {min}"),
            );
        }
        if let Some(max) = max.filter(|max| length > *max) {
            self.report(
                path,
                format!("Member must have length less than or equal to {max}"),
            );
        }
    }

    fn range(&mut self, Range { min, max }: Range, number: Option<f64>, path: &Path<'_>) {
        let Some(number) = number else { return };
        if let Some(min) = min.filter(|min| number < *min) {
            self.report(
                path,
                format!("Member must have value greater than or equal to {min}"),
            );
        }
        if let Some(max) = max.filter(|max| number > *max) {
            self.report(
                path,
                format!("Member must have value less than or equal to {max}"),
            );
        }
    }

    fn report(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.errors.push(path.to_string(), message);
    }
}

fn fits<T: TryFrom<i64>>(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| T::try_from(number).is_ok())
}

fn shown(key: &str) -> String {
    key.chars().take(MAX_KEY_SHOWN).collect()
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Map { .. } => "an object",
        Kind::List { .. } => "a list",
        Kind::String { .. } => "a string",
        Kind::Integer(_) => "an integer of 32 bits",
        Kind::Long(_) => "an integer of 64 bits",
        Kind::Float(_) => "a number",
        Kind::Boolean => "true or false",
        Kind::Timestamp(TimestampFormat::Iso8601) => {
            "a timestamp in ISO 8601 format with its offset from UTC"
        }
        Kind::Timestamp(TimestampFormat::EpochSeconds) => "a timestamp in seconds since 1970",
        Kind::Blob => "a base64 string",
        Kind::Document => "JSON",
    }
}

/// Where in the request a value is; kept as links because it is written out only when something is wrong.
#[derive(Clone)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    segment: String,
}

impl Path<'_> {
    fn child(&self, segment: impl Into<String>) -> Path<'_> {
        Path {
            parent: Some(self),
            segment: segment.into(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !parent.segment.is_empty() {
                f.write_str(".")?;
            }
        }
        f.write_str(&self.segment)
    }
}
