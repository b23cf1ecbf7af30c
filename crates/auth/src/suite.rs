//! The AWS Signature Version 4 test suite, in `tests/vectors` (its licence is beside it). Each vector is a
//! signed request (`.sreq`) with its canonical request (`.creq`) and string to sign (`.sts`).
//!
//! Two vectors cannot reach this code, because no HTTP server of ours would accept such a request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::request::Parts;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::canonical::CanonicalRequest;
use crate::{AuthError, HostAliases, SigV4Request};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "example.amazonaws.com";
const NOW: &str = "2015-08-30T12:36:00Z";
const SKIPPED: [&str; 2] = [
    // A header value folded over several lines, which HTTP has forbidden since RFC 7230.
    "get-header-value-multiline",
    // A target with a space in it, which is no URI.
    "get-space",
];

struct Vector {
    name: String,
    folder: PathBuf,
}

impl Vector {
    fn read(&self, extension: &str) -> String {
        let path = self.folder.join(format!("{}.{extension}", self.name));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn signed_request(&self) -> (Parts, Vec<u8>) {
        let text = self.read("sreq");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let mut start = lines.next().unwrap().split(' ');
        let (method, target) = (start.next().unwrap(), start.next().unwrap());
        let mut request = http::Request::builder()
            .method(method)
            .uri(http::Uri::try_from(target.as_bytes()).unwrap());
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            request = request.header(name, value.trim());
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        // The .sreq of get-vanilla-with-session-token has a signature that is not that of its string to sign;
        // its .authz has the right one. In all other vectors the two agree.
        let authorization = self.read("authz").parse().unwrap();
        let written = parts.headers.insert(http::header::AUTHORIZATION, authorization);
        assert_eq!(
            written.as_ref() == parts.headers.get(http::header::AUTHORIZATION),
            self.name != "get-vanilla-with-session-token"
        );
        (parts, body.as_bytes().to_vec())
    }
}

fn vectors_below(folder: &Path) -> Vec<Vector> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.join(format!("{name}.creq")).exists() {
            found.push(Vector { name, folder: path });
        } else {
            found.extend(vectors_below(&path));
        }
    }
    found
}

fn usable_vectors() -> Vec<Vector> {
    let all = vectors_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"));
    let names: BTreeSet<&str> = all.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!((all.len(), names.len()), (34, 34), "the suite is complete");
    assert!(SKIPPED.iter().all(|name| names.contains(name)));
    all.into_iter()
        .filter(|vector| !SKIPPED.contains(&vector.name.as_str()))
        .collect()
}

#[test]
fn canonical_requests_and_strings_to_sign_are_those_of_the_suite() {
    for vector in usable_vectors() {
        let (parts, body) = vector.signed_request();
        let request = SigV4Request::parse(&parts).unwrap().unwrap();
        let mut canonical = CanonicalRequest::new(&request, &parts)
            .unwrap()
            .pieces(HOST)
            .concat();
        canonical.extend_from_slice(hex::encode(Sha256::digest(&body)).as_bytes());
        let canonical = String::from_utf8(canonical).unwrap();
        assert_eq!(canonical, vector.read("creq"), "{}", vector.name);
        let string_to_sign = request.string_to_sign_head() + &hex::encode(Sha256::digest(canonical));
        assert_eq!(string_to_sign, vector.read("sts"), "{}", vector.name);
    }
}

#[test]
fn signatures_of_the_suite_are_accepted_and_only_with_its_key() {
    let now = NOW.parse().unwrap();
    for vector in usable_vectors() {
        let (parts, body) = vector.signed_request();
        let authorization = parts.headers.get(http::header::AUTHORIZATION).unwrap();
        assert_eq!(
            authorization.to_str().unwrap(),
            vector.read("authz"),
            "{}",
            vector.name
        );
        let request = SigV4Request::parse(&parts).unwrap().unwrap();
        let verdict = |secret: &str| {
            request
                .verify(&parts, &SecretString::from(secret), now, &HostAliases::default())?
                .finish_with(&body)
        };
        assert_eq!(verdict(SECRET), Ok(()), "{}", vector.name);
        assert_eq!(
            verdict("another secret"),
            Err(AuthError::Mismatch),
            "{}",
            vector.name
        );
    }
}
