//! What the store refuses, in the words of the service.

use coracle_store::StoreError;
use coracle_wire::{Error, ValidationReason};

/// The caller's side of a store's refusal.
pub(crate) fn refusal(error: StoreError) -> Error {
    match error {
        StoreError::NotFound(what) => Error::not_found(format!("{} does not exist", capitalised(what))),
        StoreError::NameTaken => Error::conflict("An agent runtime with the specified name already exists"),
        StoreError::EndpointExists => Error::conflict("An endpoint with the specified name already exists"),
        StoreError::WrongStatus(status) => Error::conflict(format!(
            "The operation is not allowed while the resource is in status {status}"
        )),
        StoreError::EndpointsExist => Error::conflict("This agent has endpoints that must be deleted first"),
        StoreError::DefaultEndpoint => {
            Error::conflict("Default endpoints are removed when you delete the agent")
        }
        StoreError::VersionInUse => Error::conflict(
            "The version is in use by an endpoint, or is the only version, and cannot be deleted",
        ),
        StoreError::VersionsExhausted => Error::quota_exceeded("The agent runtime can have no more versions"),
        StoreError::QuotaReached { what, limit } => {
            Error::quota_exceeded(format!("The quota of {limit} {what} is reached"))
        }
        StoreError::TooManyTags => Error::quota_exceeded("A resource can have at most 50 tags"),
        StoreError::TokenMismatch => Error::validation(
            ValidationReason::IdempotentParameterMismatch,
            "The clientToken was used before in a request with other parameters",
        ),
        error => Error::internal(error),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
