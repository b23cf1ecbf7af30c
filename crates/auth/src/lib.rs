//! Who is calling, and may they: verification of AWS Signature Version 4, the access keys it is verified against,
//! [those of sessions](session_keys), [bearer tokens](token), [resource policies](policy), and
//! [what roles may do](permissions).
//!
//! A request is judged in three steps, so that a body never has to be held in memory:
//!
//! 1. [`SigV4Request::parse`] reads what the request claims: key, region, service, signed headers. Nothing
//!    is proven yet; the service is for routing, the key for looking up its secret in a [`CredentialTable`].
//! 2. [`SigV4Request::verify`] checks times and everything but the body, and gives a [`BodyCheck`].
//! 3. The body is fed to [`BodyCheck::update`] as it passes by, and [`BodyCheck::finish`] gives the verdict.
//!    When [`BodyCheck::is_authentic`] is true the caller was already proven in step 2.
//!
//! Every refusal is an [`AuthError`] that carries the code and text the service answers with.

mod canonical;
mod credentials;
mod credentials_file;
mod error;
mod pattern;
pub mod permissions;
pub mod policy;
mod request;
mod secret_file;
pub mod session_keys;
pub mod token;
mod verify;

pub use canonical::HostAliases;
pub use credentials::{AccessKeyId, Credential, CredentialTable, InvalidAccessKey, KeyPair};
pub use credentials_file::{CredentialsFileError, load_or_create, read};
pub use error::AuthError;
pub use request::{Payload, SigV4Request};
pub use secret_file::load_or_create_key;
pub use verify::BodyCheck;

#[cfg(test)]
mod suite;
