//! What the URL of a session says: `/sessions/{address}/{port}/…`.

use coracle_types::SessionAddress;
use coracle_wire::Error;
use http::Uri;
use http::uri::PathAndQuery;

const PREFIX: &str = "/sessions/";
/// Parameters of a signature in the query begin like this. They are this server's.
const SIGNATURE: &str = "x-amz-";

/// A request's target, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionUrl {
    /// Which session.
    pub(super) address: SessionAddress,
    /// The port in its sandbox.
    pub(super) port: u16,
    /// What the server there is asked for.
    pub(super) target: PathAndQuery,
}

/// Whether a request is to a session and not to an operation.
pub(crate) fn is_session_url(uri: &Uri) -> bool {
    uri.path().starts_with(PREFIX)
}

/// The path that leads to a session; a port and the path there follow.
pub(in crate::data) fn path_of(address: &SessionAddress) -> String {
    format!("{PREFIX}{address}")
}

/// The session that a URL leads to, if it may be one.
pub(in crate::data) fn address_in(uri: &Uri) -> Option<SessionAddress> {
    let rest = uri.path().strip_prefix(PREFIX)?;
    rest.split('/').next()?.parse().ok()
}

impl SessionUrl {
    /// Reads it from a request.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when it cannot be the URL of a session, `ValidationException` when it names no
    /// port.
    pub(super) fn read(uri: &Uri) -> Result<Self, Error> {
        let address = address_in(uri).ok_or_else(|| Error::not_found("No session has this URL"))?;
        let rest = uri.path().get(path_of(&address).len() + 1..).unwrap_or_default();
        let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
        let invalid = || {
            Error::validation_field(
                "port",
                "The URL of a session is followed by a port, as in /9000/index.html",
            )
        };
        let port = port.parse().map_err(|_| invalid())?;
        let query = uri.query().map_or_else(String::new, query_without_signature);
        let target = format!("/{path}{query}").parse().map_err(|_| invalid())?;
        Ok(Self {
            address,
            port,
            target,
        })
    }

    /// The path before what the server in the session is asked for.
    pub(super) fn prefix(&self) -> String {
        format!("{}/{}", path_of(&self.address), self.port)
    }
}

/// The query with its question mark, byte for byte but for the parameters of a signature.
fn query_without_signature(query: &str) -> String {
    let is_ours = |pair: &&str| {
        let name = pair.get(..SIGNATURE.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(SIGNATURE))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0123456789abcdef0123456789abcdef";

    fn read(rest: &str) -> Result<SessionUrl, Error> {
        SessionUrl::read(&format!("/sessions/{ADDRESS}{rest}").parse().unwrap())
    }

    #[test]
    fn path_and_query_reach_the_server_as_they_are() {
        for (rest, target) in [
            ("/9000", "/"),
            ("/9000/", "/"),
            ("/9000/a%2Fb//c/../d", "/a%2Fb//c/../d"),
            ("/9000/?b=1&a=%20&a", "/?b=1&a=%20&a"),
            ("/9000?q", "/?q"),
            (
                "/9000/x?a=1&X-Amz-Signature=00&X-Amz-Date=1&x=X-Amz-",
                "/x?a=1&x=X-Amz-",
            ),
            ("/9000/x?X-Amz-Algorithm=AWS4-HMAC-SHA256", "/x"),
        ] {
            let url = read(rest).unwrap();
            assert_eq!((url.port, url.target.as_str()), (9000, target), "{rest}");
            assert_eq!(url.prefix(), format!("/sessions/{ADDRESS}/9000"));
        }
    }

    #[test]
    fn what_names_no_session_or_no_port_is_refused() {
        for rest in ["", "/", "/x", "/99999/", "/-1", "/+", "//9000"] {
            assert_eq!(read(rest).unwrap_err().status(), 400, "{rest}");
        }
        for path in ["/sessions/", "/sessions/ABC/9000/", "/sessions//9000"] {
            let uri: Uri = path.parse().unwrap();
            assert!(is_session_url(&uri));
            assert_eq!(SessionUrl::read(&uri).unwrap_err().status(), 404, "{path}");
        }
        assert!(!is_session_url(&Uri::from_static("/sessions")));
    }
}
