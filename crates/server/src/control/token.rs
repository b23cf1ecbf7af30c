//! Pagination: opaque tokens around the store's cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_store::Page;
use coracle_wire::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Items on a page when the caller does not say.
const DEFAULT_PAGE: u32 = 100;

/// The page a caller asks for.
pub(super) fn page<C: DeserializeOwned>(
    max_results: Option<i32>,
    next_token: Option<&str>,
) -> Result<Page<C>, Error> {
    let after = match next_token {
        None => None,
        Some(token) => Some(decode(token).ok_or_else(|| {
            Error::validation_field("nextToken", "The token is not one that this operation returned")
        })?),
    };
    let limit = max_results
        .and_then(|most| u32::try_from(most).ok())
        .unwrap_or(DEFAULT_PAGE);
    Ok(Page { limit, after })
}

/// The token for a cursor.
pub(super) fn token<C: Serialize>(cursor: &C) -> Result<String, Error> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).map_err(Error::internal)?))
}

fn decode<C: DeserializeOwned>(token: &str) -> Option<C> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use coracle_types::VersionNumber;

    use super::*;

    #[test]
    fn a_token_leads_back_to_its_cursor() {
        let token = token(&VersionNumber::FIRST).unwrap();
        assert_eq!(
            page(Some(3), Some(&token)).unwrap().after,
            Some(VersionNumber::FIRST)
        );
    }

    #[test]
    fn a_made_up_token_is_refused_by_name() {
        let error = page::<VersionNumber>(None, Some("bm9uc2Vuc2U")).unwrap_err();
        assert_eq!(error.fields()[0].name, "nextToken");
    }
}
