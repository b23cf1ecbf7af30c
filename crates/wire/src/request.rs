//! From an HTTP request to the typed input of an operation: gather the members from path, query, headers and
//! body into one JSON object, validate that, and only then make the typed struct.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::operation::Modelled;
use crate::route::Labels;
use crate::shape::{Kind, Location, Member, Payload, Shape, Structure};
use crate::validate::validate;
use crate::{Error, FieldErrors, ValidationReason};

/// A request whose operation is known and whose body has been collected.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Labels from the path, as [`crate::route()`] found them.
    pub labels: &'a Labels,
    /// Headers and query.
    pub parts: &'a http::request::Parts,
    /// The body, empty if there is none.
    pub body: &'a [u8],
    /// Largest body accepted, in bytes.
    pub body_limit: usize,
}

/// Reads, validates and types a request.
///
/// # Errors
/// `ValidationException`: reason `CannotParse` if the body is too large or is not a JSON object,
/// `FieldValidationFailed` with every broken member otherwise.
pub fn parse<O: Modelled>(request: &Request<'_>) -> Result<O::Input, Error> {
    let shape = O::input_shape();
    let structure = shape
        .structure()
        .ok_or_else(|| Error::internal("the input is not a structure"))?;
    let mut errors = FieldErrors::new();
    let mut members = body_members(structure, request)?;
    for member in structure
        .members
        .iter()
        .filter(|member| member.location != Location::Body)
    {
        // A located member comes from its location only; the body must not be able to replace it.
        members.remove(member.name);
        if let Some(value) = located(member, request, &mut errors) {
            members.insert(member.name.to_owned(), value);
        }
    }
    let mut input = Value::Object(members);
    validate(shape, &mut input, &mut errors);
    errors.into_result()?;
    serde_json::from_value(input).map_err(Error::internal)
}

/// As [`parse`] for an operation whose body the caller streams: reads path, query and headers.
///
/// # Errors
/// `ValidationException` with every broken member.
pub fn parse_head<O: Modelled>(labels: &Labels, parts: &http::request::Parts) -> Result<O::Input, Error> {
    parse::<O>(&Request {
        labels,
        parts,
        body: &[],
        body_limit: 0,
    })
}

fn body_members(structure: &Structure, request: &Request<'_>) -> Result<Map<String, Value>, Error> {
    let cannot_parse = |message: String| Error::validation(ValidationReason::CannotParse, message);
    if request.body.len() > request.body_limit {
        return Err(cannot_parse(format!(
            "The request body is larger than {} bytes",
            request.body_limit
        )));
    }
    let in_body = structure
        .members
        .iter()
        .any(|member| member.location == Location::Body);
    if !in_body || request.body.is_empty() {
        return Ok(Map::new());
    }
    let body = crate::json::parse(request.body).map_err(cannot_parse)?;
    match (structure.payload, body) {
        (Payload::Member(name), body) => Ok(Map::from_iter([(name.to_owned(), body)])),
        (_, Value::Object(members)) => Ok(members),
        _ => Err(cannot_parse("The request body must be a JSON object".to_owned())),
    }
}

fn located(member: &Member, request: &Request<'_>, errors: &mut FieldErrors) -> Option<Value> {
    let texts: Result<Vec<String>, &str> = match member.location {
        Location::Label(name) => Ok(request.labels.get(name).map(str::to_owned).into_iter().collect()),
        Location::Query(name) => query_values(request.parts.uri.query().unwrap_or_default(), name),
        Location::Header(name) => header_values(&request.parts.headers, name),
        Location::Body | Location::StatusCode => return None,
    };
    let mut texts = texts.unwrap_or_else(|problem| {
        errors.push(member.name, problem);
        Vec::new()
    });
    if let Kind::List { item, .. } = &member.shape.kind {
        // A list without items leaves no trace outside the body: where it must be there, it is empty.
        return (member.required || !texts.is_empty())
            .then(|| texts.iter().map(|text| typed(item, text)).collect());
    }
    if texts.len() > 1 {
        errors.push(member.name, "Member must be given only once");
    }
    texts.pop().map(|text| typed(member.shape, &text))
}

/// Every value of a repeatable query parameter. `+` stands for itself.
fn query_values(query: &str, name: &str) -> Result<Vec<String>, &'static str> {
    let decode = |text| percent_decode_str(text).decode_utf8();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(key, _)| decode(key).is_ok_and(|key| key == name))
        .map(|(_, value)| decode(value).map(Into::into).map_err(|_| "Member must be UTF-8"))
        .collect()
}

/// A header's values, of which an empty one is none. Lines of a header that is a list are one value (RFC 9110
/// section 5.3); other headers are not joined, so that two session ids never make a third.
fn header_values(headers: &HeaderMap, name: &str) -> Result<Vec<String>, &'static str> {
    const LISTS: [&str; 3] = ["accept", "baggage", "tracestate"];
    let lines = headers.get_all(name).iter().filter(|value| !value.is_empty());
    let lines: Result<Vec<&str>, _> = lines.map(|value| std::str::from_utf8(value.as_bytes())).collect();
    let lines = lines.map_err(|_| "Member must be UTF-8")?;
    if lines.len() > 1 && LISTS.iter().any(|list| name.eq_ignore_ascii_case(list)) {
        return Ok(vec![lines.join(",")]);
    }
    Ok(lines.into_iter().map(str::to_owned).collect())
}

/// Text as the JSON of its shape. Text that is no such value stays text, which validation then reports.
fn typed(shape: &Shape, text: &str) -> Value {
    let value = match &shape.kind {
        Kind::Integer(_) | Kind::Long(_) => text.parse::<i64>().ok().map(Value::from),
        Kind::Float(_) => text.parse::<f64>().ok().map(Value::from),
        Kind::Boolean => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    value.unwrap_or_else(|| text.into())
}
