//! Whatever claims to be signed is canonicalised and judged without panic, and never accepted under a key that it was
//! not signed with.

#![no_main]

use coracle_auth::{HostAliases, SigV4Request};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;

fuzz_target!(|input: &[u8]| {
    let Some((parts, body)) = coracle_fuzz::request(input) else {
        return;
    };
    let Ok(Some(signed)) = SigV4Request::parse(&parts) else {
        return;
    };
    let nobodys = SecretString::from("a key that no corpus has been signed with");
    let judged = signed.verify(&parts, &nobodys, signed.signed_at(), &HostAliases::default());
    assert!(
        judged.and_then(|check| check.finish_with(body)).is_err(),
        "accepted"
    );
});
