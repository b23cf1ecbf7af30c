//! How a registry wants to be asked. Pure.

use http_auth::parser::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A way to log in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user name and password.
    Basic,
    /// With a token from another server.
    Bearer {
        /// Its URL.
        realm: String,
        service: Option<String>,
    },
}

/// The way to take among those offered: tokens before passwords.
pub(super) fn best_of(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        for offered in ChallengeParser::new(value.to_str().ok()?).flatten() {
            let parameter = |name: &str| {
                let found = offered
                    .params
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if offered.scheme.eq_ignore_ascii_case("Bearer")
                && let Some(realm) = parameter("realm")
            {
                let service = parameter("service");
                return Some(Challenge::Bearer { realm, service });
            }
            if offered.scheme.eq_ignore_ascii_case("Basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn best(values: &[&'static str]) -> Option<Challenge> {
        let values = values
            .iter()
            .map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        best_of(&values.collect())
    }

    #[test]
    fn registries_are_understood() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
        };
        assert_eq!(best(&[hub]).as_ref(), Some(&expected));
        assert_eq!(best(&["Basic realm=\"x\"", hub]), Some(expected));
        let ecr = r#"Basic realm="https://123.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com""#;
        assert_eq!(best(&[ecr]), Some(Challenge::Basic));
        assert_eq!(best(&["Negotiate"]), None);
        assert_eq!(best(&[]), None);
    }
}
