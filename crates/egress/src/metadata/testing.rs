//! An identity for tests.

use jiff::Timestamp;

use super::{Identity, SessionCredentials};

/// A session under the role `front`.
#[derive(Debug)]
pub(crate) struct Front;

impl Identity for Front {
    fn role(&self) -> &str {
        "front"
    }

    fn account(&self) -> &str {
        "000000000000"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn credentials(&self) -> SessionCredentials {
        SessionCredentials {
            access_key: "ASIA".to_owned(),
            secret: "secret".into(),
            token: "token".into(),
            made: Timestamp::UNIX_EPOCH,
            expires: Timestamp::from_second(3600).unwrap(),
        }
    }
}
