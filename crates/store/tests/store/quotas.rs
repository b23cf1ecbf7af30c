use std::collections::HashMap;

use coracle_store::{NewEndpoint, Quota, Quotas, StoreError, Tags};

use crate::fixture::{Fixture, at, endpoint, new_runtime, owner, stranger};

fn new_endpoint(name: &str) -> NewEndpoint {
    NewEndpoint {
        name: endpoint(name),
        version: None,
        description: None,
        tags: Tags::new(),
    }
}

fn reached<T>(result: &Result<T, StoreError>, most: u32) -> bool {
    matches!(result, Err(StoreError::QuotaReached { limit, .. }) if *limit == most)
}

#[tokio::test]
async fn what_passes_a_quota_is_refused_and_leaves_nothing() {
    let quota = Quota {
        runtimes: Some(1),
        versions: Some(2),
        endpoints: Some(1),
    };
    let fixture = Fixture::new().await;
    let store = fixture.store.clone().with_quotas(Quotas {
        general: quota,
        accounts: HashMap::from([(stranger().account, Quota::default())]),
    });
    let id = fixture.ready("hello").await;
    assert!(reached(
        &store.create_runtime(&new_runtime("other"), None, at(3)).await,
        1
    ));
    let taken = store.create_runtime(&new_runtime("hello"), None, at(3)).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "the better answer");

    store
        .create_version(&owner(), &id, "{}", None, at(4))
        .await
        .unwrap();
    store
        .finish_version(&id, crate::fixture::version(2), Ok("{}"), at(5))
        .await
        .unwrap();
    assert!(reached(
        &store.create_version(&owner(), &id, "{}", None, at(6)).await,
        2
    ));
    let newest = store.runtime(&owner(), &id, None).await.unwrap().version.number;
    assert_eq!(newest, crate::fixture::version(2));

    let create = async |name| {
        store
            .create_endpoint(&owner(), &id, &new_endpoint(name), None, at(7))
            .await
    };
    create("one").await.unwrap();
    assert!(reached(&create("two").await, 1));

    for name in ["one", "two", "three"] {
        let mut new = new_runtime(name);
        new.owner = stranger();
        store.create_runtime(&new, None, at(8)).await.unwrap();
    }
}
