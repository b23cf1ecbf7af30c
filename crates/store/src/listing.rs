//! Listing objects the way `ListObjectsV2` does: in the order of the bytes of their keys, within a prefix,
//! and with keys that share what follows the prefix up to a delimiter rolled up into one *common prefix*.
//!
//! Rows are read in batches. Once a common prefix is known, the next batch begins behind everything that
//! starts with it, so a listing of few folders with many objects each stays short.

use serde::{Deserialize, Serialize};

use crate::buckets::require_bucket;
use crate::database::Connection;
use crate::{Object, Store, StoreError};

const BATCH: usize = 256;

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub struct ListingQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Roll up keys at this; an empty one rolls up nothing.
    pub delimiter: String,
    /// Where to begin; `None` for the first key.
    pub start: Option<ListingPosition>,
    /// How many objects and common prefixes together at most.
    pub limit: usize,
}

/// A place in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListingPosition {
    /// Behind this key.
    After(String),
    /// At this key, or behind it.
    From(String),
    /// Behind every key.
    End,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectListing {
    /// The objects, in order.
    pub objects: Vec<Object>,
    /// The common prefixes, in order.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<ListingPosition>,
}

impl ObjectListing {
    fn len(&self) -> usize {
        self.objects.len() + self.common_prefixes.len()
    }
}

impl Store {
    /// Lists objects of a bucket.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket, or when the database fails.
    pub async fn list_objects(
        &self,
        bucket: &str,
        query: &ListingQuery,
    ) -> Result<ObjectListing, StoreError> {
        let mut transaction = self.read().await?;
        require_bucket(&mut transaction, bucket).await?;
        let mut listing = ObjectListing::default();
        let mut position = query
            .start
            .clone()
            .unwrap_or(ListingPosition::From(String::new()));
        if query.limit == 0 {
            return Ok(listing);
        }
        loop {
            let batch = fetch(&mut transaction, bucket, &query.prefix, &position).await?;
            let is_last = batch.len() < BATCH;
            for object in batch {
                if position.is_behind(&object.key) {
                    continue;
                }
                if listing.len() == query.limit {
                    listing.next = Some(position);
                    return Ok(listing);
                }
                position = match common_prefix(&object.key, query) {
                    Some(common) => {
                        let common = common.to_owned();
                        let behind = successor(&common).map_or(ListingPosition::End, ListingPosition::From);
                        listing.common_prefixes.push(common);
                        behind
                    }
                    None => {
                        let behind = ListingPosition::After(object.key.clone());
                        listing.objects.push(object);
                        behind
                    }
                };
            }
            if is_last {
                return Ok(listing);
            }
        }
    }
}

impl ListingPosition {
    /// Whether this place is behind the key, so that the key is not wanted any more.
    fn is_behind(&self, key: &str) -> bool {
        match self {
            Self::After(place) => key <= place.as_str(),
            Self::From(place) => key < place.as_str(),
            Self::End => true,
        }
    }
}

/// The common prefix a key is rolled up into.
fn common_prefix<'a>(key: &'a str, query: &ListingQuery) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let end = query.prefix.len() + rest.find(query.delimiter.as_str())? + query.delimiter.len();
    Some(&key[..end])
}

/// The first text, in the order of bytes, behind every text that begins with this one. `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The order of UTF-8 bytes is the order of characters; a range of them skips the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

async fn fetch(
    connection: &mut Connection,
    bucket: &str,
    prefix: &str,
    position: &ListingPosition,
) -> Result<Vec<Object>, StoreError> {
    let (after, from) = match position {
        ListingPosition::After(key) => (Some(key.as_str()), ""),
        ListingPosition::From(key) => (None, key.as_str()),
        ListingPosition::End => return Ok(Vec::new()),
    };
    let rows = sqlx::query(
        "SELECT * FROM object
         WHERE bucket = $1 AND key >= $2 AND ($3 IS NULL OR key < $3) AND ($4 IS NULL OR key > $4)
         ORDER BY key LIMIT $5",
    )
    .bind(bucket)
    .bind(from.max(prefix).max(after.unwrap_or("")))
    .bind(successor(prefix))
    .bind(after)
    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.iter().map(Object::from_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_behind_the_prefix() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }

    proptest::proptest! {
        #[test]
        fn the_successor_parts_what_begins_with_the_prefix_from_what_is_behind(prefix in ".{1,4}", other in ".{0,6}") {
            let Some(behind) = successor(&prefix) else { return Ok(()) };
            let with_prefix = prefix.clone() + &other;
            proptest::prop_assert!(with_prefix < behind);
            proptest::prop_assert!(other < behind || other > prefix);
        }
    }
}
