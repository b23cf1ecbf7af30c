//! What the targets that read HTTP requests have in common.

use http::request::Parts;

/// A request as it is written down: a line with method and target, header lines, an empty line, the body. `None` for
/// what the HTTP library would refuse.
pub fn request(data: &[u8]) -> Option<(Parts, &[u8])> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    };
    let mut first = line().splitn(3, |byte| *byte == b' ');
    let mut request = http::Request::builder().method(first.next()?).uri(first.next()?);
    loop {
        let line = line();
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    let (parts, ()) = request.body(()).ok()?.into_parts();
    Some((parts, rest))
}
