//! What makes two requests with one client token the same: a digest over everything else in them.

use coracle_wire::Error;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The digest of a request without its client token, in hexadecimal.
pub(crate) fn of(request: &impl Serialize) -> Result<String, Error> {
    let mut value = serde_json::to_value(request).map_err(Error::internal)?;
    if let Value::Object(members) = &mut value {
        members.remove("clientToken");
    }
    Ok(hex::encode(Sha256::digest(value.to_string())))
}

/// A response as it is recorded for repetitions of its request.
pub(crate) fn recorded(response: &impl Serialize) -> String {
    // The responses of this service always serialise; should one not, its repetition fails to parse.
    serde_json::to_string(response).unwrap_or_default()
}
