//! From the typed output of an operation to an HTTP response: members go to the status, the headers or the JSON
//! body, as the shape table says.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::Error;
use crate::operation::Modelled;
use crate::shape::{Location, Member, Payload};

/// The whole response of an operation.
///
/// # Errors
/// `InternalServerException` if the output cannot be said in HTTP, such as a control character in a header.
pub fn respond<O: Modelled>(output: &O::Output) -> Result<Response<Bytes>, Error> {
    let (head, mut members, payload) = split::<O>(output)?;
    let body = match payload {
        Payload::Raw => Bytes::new(),
        _ if head.status == StatusCode::NO_CONTENT => Bytes::new(),
        Payload::Members => json(&Value::Object(members))?,
        Payload::Member(name) => members
            .remove(name)
            .map_or(Ok(Bytes::new()), |value| json(&value))?,
    };
    let mut response = Response::from_parts(head, body);
    if !response.body().is_empty() {
        response
            .headers_mut()
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// Status and headers of an operation whose response body the caller streams.
///
/// # Errors
/// As [`respond`].
pub fn response_head<O: Modelled>(output: &O::Output) -> Result<http::response::Parts, Error> {
    split::<O>(output).map(|(head, _, _)| head)
}

/// Separates what is in the head from what is in the body.
fn split<O: Modelled>(
    output: &O::Output,
) -> Result<(http::response::Parts, Map<String, Value>, Payload), Error> {
    let structure = O::output_shape()
        .structure()
        .ok_or_else(|| Error::internal("the output is not a structure"))?;
    let Value::Object(mut members) = serde_json::to_value(output).map_err(Error::internal)? else {
        return Err(Error::internal("the output is not an object"));
    };
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = O::STATUS;
    for member in structure.members {
        if member.location == Location::Body {
            continue;
        }
        let Some(value) = members.remove(member.name) else {
            continue;
        };
        place(member, value, &mut head)?;
    }
    Ok((head, members, structure.payload))
}

fn place(member: &Member, value: Value, head: &mut http::response::Parts) -> Result<(), Error> {
    match member.location {
        Location::Header(name) => {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?;
            let value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(Error::internal)?;
            head.headers.insert(name, value);
        }
        Location::StatusCode => {
            let code = value
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or_default();
            head.status = StatusCode::from_u16(code).map_err(Error::internal)?;
        }
        Location::Body | Location::Label(_) | Location::Query(_) => {}
    }
    Ok(())
}

fn json(value: &Value) -> Result<Bytes, Error> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(Error::internal)
}
