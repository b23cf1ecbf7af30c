use std::collections::BTreeSet;

use coracle_store::{Bucket, ListingPosition, ListingQuery, Object, Page, Part, Store, StoreError, Upload};
use proptest::prelude::*;

use crate::fixture::{Fixture, at, owner, stranger};

fn bucket(name: &str) -> Bucket {
    Bucket {
        name: name.to_owned(),
        owner: owner(),
        created_at: at(1),
    }
}

fn object(key: &str, blob: &str) -> Object {
    Object {
        key: key.to_owned(),
        etag: "etag".to_owned(),
        size: 3,
        content_type: Some("text/plain".to_owned()),
        metadata: "{}".to_owned(),
        blob: blob.to_owned(),
        last_modified: at(2),
    }
}

fn part(number: u32, blob: &str) -> Part {
    Part {
        number,
        etag: "etag".to_owned(),
        size: 5,
        blob: blob.to_owned(),
        last_modified: at(3),
    }
}

#[tokio::test]
async fn bucket_names_are_shared_by_all() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create_bucket(&bucket("code")).await.unwrap();
    assert!(matches!(
        store.create_bucket(&bucket("code")).await,
        Err(StoreError::BucketExists { yours: true })
    ));
    let other = Bucket {
        owner: stranger(),
        ..bucket("code")
    };
    assert!(matches!(
        store.create_bucket(&other).await,
        Err(StoreError::BucketExists { yours: false })
    ));
    assert_eq!(store.bucket("code").await.unwrap(), bucket("code"));
    assert!(matches!(
        store.bucket("other").await,
        Err(StoreError::NotFound(_))
    ));
    let page = Page {
        limit: 10,
        after: None,
    };
    assert_eq!(
        store.buckets(&owner().account, &page).await.unwrap().items,
        [bucket("code")]
    );
    assert!(
        store
            .buckets(&stranger().account, &page)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn replaced_and_deleted_objects_hand_back_their_blobs() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    assert!(matches!(
        store.put_object("code", &object("a", "b1")).await,
        Err(StoreError::NotFound(_))
    ));
    store.create_bucket(&bucket("code")).await.unwrap();
    assert_eq!(store.put_object("code", &object("a", "b1")).await.unwrap(), None);
    assert_eq!(
        store
            .put_object("code", &object("a", "b2"))
            .await
            .unwrap()
            .as_deref(),
        Some("b1")
    );
    assert_eq!(store.object("code", "a").await.unwrap(), object("a", "b2"));
    assert!(matches!(
        store.delete_bucket("code").await,
        Err(StoreError::BucketNotEmpty)
    ));
    assert_eq!(
        store.delete_object("code", "a").await.unwrap().as_deref(),
        Some("b2")
    );
    assert_eq!(store.delete_object("code", "a").await.unwrap(), None);
    assert!(matches!(
        store.object("code", "a").await,
        Err(StoreError::NotFound(_))
    ));
    assert!(store.delete_bucket("code").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_becomes_one_object() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create_bucket(&bucket("code")).await.unwrap();
    store.put_object("code", &object("big", "old")).await.unwrap();
    let upload = Upload {
        id: "u1".to_owned(),
        bucket: "code".to_owned(),
        key: "big".to_owned(),
        content_type: None,
        metadata: "{}".to_owned(),
        created_at: at(1),
    };
    store.create_upload(&upload).await.unwrap();
    assert_eq!(store.upload("code", "big", "u1").await.unwrap(), upload);
    assert!(matches!(
        store.upload("code", "other", "u1").await,
        Err(StoreError::NotFound(_))
    ));
    for (number, blob) in [(2, "p2"), (1, "p1")] {
        assert_eq!(
            store
                .put_part("code", "big", "u1", &part(number, blob))
                .await
                .unwrap(),
            None
        );
    }
    let replaced = store
        .put_part("code", "big", "u1", &part(2, "p2b"))
        .await
        .unwrap();
    assert_eq!(replaced.as_deref(), Some("p2"));
    let first = store
        .parts(
            "code",
            "big",
            "u1",
            &Page {
                limit: 1,
                after: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(first.items, [part(1, "p1")]);
    let second = store
        .parts(
            "code",
            "big",
            "u1",
            &Page {
                limit: 1,
                after: first.next,
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (second.items.as_slice(), second.next),
        ([part(2, "p2b")].as_slice(), None)
    );

    let garbage =
        |blobs: &[&str]| store.unreferenced_blobs(blobs.iter().map(|blob| (*blob).to_owned()).collect());
    assert_eq!(
        garbage(&["p1", "p2", "p2b", "old", "never"]).await.unwrap(),
        ["p2", "never"]
    );
    let freed: BTreeSet<_> = store
        .complete_upload("code", "u1", &object("big", "whole"))
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(
        freed,
        BTreeSet::from(["p1".to_owned(), "p2b".to_owned(), "old".to_owned()])
    );
    assert_eq!(store.object("code", "big").await.unwrap().blob, "whole");
    assert!(matches!(
        store.complete_upload("code", "u1", &object("big", "twice")).await,
        Err(StoreError::NotFound(_))
    ));
    assert_eq!(
        garbage(&["p1", "p2b", "old", "whole"]).await.unwrap(),
        ["p1", "p2b", "old"]
    );
}

#[tokio::test]
async fn aborted_uploads_and_deleted_buckets_hand_back_their_parts() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create_bucket(&bucket("code")).await.unwrap();
    for id in ["u1", "u2"] {
        let upload = Upload {
            id: id.to_owned(),
            bucket: "code".to_owned(),
            key: "big".to_owned(),
            content_type: None,
            metadata: "{}".to_owned(),
            created_at: at(1),
        };
        store.create_upload(&upload).await.unwrap();
        store
            .put_part("code", "big", id, &part(1, &format!("{id}-p1")))
            .await
            .unwrap();
    }
    let listed = store
        .uploads(
            "code",
            &Page {
                limit: 1,
                after: None,
            },
        )
        .await
        .unwrap();
    let rest = store
        .uploads(
            "code",
            &Page {
                limit: 1,
                after: listed.next,
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (listed.items[0].id.as_str(), rest.items[0].id.as_str(), rest.next),
        ("u1", "u2", None)
    );
    assert_eq!(store.abort_upload("code", "big", "u1").await.unwrap(), ["u1-p1"]);
    assert!(matches!(
        store.abort_upload("code", "big", "u1").await,
        Err(StoreError::NotFound(_))
    ));
    assert_eq!(store.delete_bucket("code").await.unwrap(), ["u2-p1"]);
}

/// What S3 answers, worked out from all keys at once: (objects, common prefixes) in order.
fn expected(
    keys: &BTreeSet<String>,
    prefix: &str,
    delimiter: &str,
    after: &str,
) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut common) = (Vec::new(), Vec::new());
    for key in keys.iter().filter(|key| key.as_str() > after) {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(end) => common.push(format!("{prefix}{}", &rest[..end + delimiter.len()])),
            None => objects.push(key.clone()),
        }
    }
    common.dedup();
    (objects, common)
}

async fn list_all(store: &Store, mut query: ListingQuery) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut common) = (Vec::new(), Vec::new());
    loop {
        let page = store.list_objects("code", &query).await.unwrap();
        assert!(page.objects.len() + page.common_prefixes.len() <= query.limit);
        objects.extend(page.objects.into_iter().map(|object| object.key));
        common.extend(page.common_prefixes);
        if page.next.is_none() {
            return (objects, common);
        }
        query.start = page.next;
    }
}

#[tokio::test]
async fn a_listing_of_big_folders_is_complete() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create_bucket(&bucket("code")).await.unwrap();
    let keys: BTreeSet<String> = (0..700)
        .map(|n| format!("{}/{n:04}", n / 300))
        .chain(["z".to_owned()])
        .collect();
    for key in &keys {
        store.put_object("code", &object(key, key)).await.unwrap();
    }
    for (delimiter, limit) in [("/", 1), ("/", 1000), ("", 1000), ("", 300)] {
        let query = ListingQuery {
            delimiter: delimiter.to_owned(),
            limit,
            ..ListingQuery::default()
        };
        assert_eq!(list_all(store, query).await, expected(&keys, "", delimiter, ""));
    }
    assert_eq!(
        store
            .list_objects("code", &ListingQuery::default())
            .await
            .unwrap(),
        coracle_store::ObjectListing::default(),
        "a limit of none asks for nothing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn listings_are_those_of_s3(
        keys in prop::collection::btree_set("[ab/é\u{10ffff}]{1,5}", 0..40),
        queries in prop::collection::vec(("[ab/]{0,2}", "|/|a|b/", "[ab/é]{0,3}", 1..6usize), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.store.create_bucket(&bucket("code")).await.unwrap();
            for key in &keys {
                fixture.store.put_object("code", &object(key, key)).await.unwrap();
            }
            for (prefix, delimiter, after, limit) in queries {
                let start = Some(ListingPosition::After(after.clone()));
                let query = ListingQuery { prefix: prefix.clone(), delimiter: delimiter.clone(), start, limit };
                let listed = list_all(&fixture.store, query).await;
                prop_assert_eq!(listed, expected(&keys, &prefix, &delimiter, &after));
            }
            Ok(())
        })?;
    }
}
