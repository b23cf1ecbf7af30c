use coracle_store::{EndpointChange, NewEndpoint, StoreError, Tags};
use coracle_types::ResourceStatus;

use crate::fixture::{Fixture, at, endpoint, now, owner, version};

pub(crate) fn new_endpoint(name: &str) -> NewEndpoint {
    NewEndpoint {
        name: endpoint(name),
        version: None,
        description: Some("for tests".to_owned()),
        tags: Tags::new(),
    }
}

#[tokio::test]
async fn an_endpoint_keeps_its_version_when_the_runtime_moves_on() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let created = now(store
        .create_endpoint(&owner(), &id, &new_endpoint("prod"), None, at(3))
        .await
        .unwrap());
    assert_eq!(
        (created.status, created.live_version),
        (ResourceStatus::Creating, None)
    );
    assert_eq!((created.target_version, created.suffix.len()), (version(1), 10));
    let ready = store
        .finish_endpoint(&id, &endpoint("prod"), Ok(()), at(4))
        .await
        .unwrap();
    assert_eq!(
        (ready.status, ready.live_version),
        (ResourceStatus::Ready, Some(version(1)))
    );

    store
        .create_version(&owner(), &id, "{}", None, at(5))
        .await
        .unwrap();
    store
        .finish_version(&id, version(2), Ok("{}"), at(6))
        .await
        .unwrap();
    assert_eq!(
        store.endpoint(&owner(), &id, &endpoint("prod")).await.unwrap(),
        ready
    );
    assert!(matches!(
        store
            .delete_version(&owner(), &id, version(1), None, at(99))
            .await,
        Err(StoreError::VersionInUse)
    ));
}

#[tokio::test]
async fn an_update_keeps_the_old_version_live_until_it_is_finished() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let prod = endpoint("prod");
    store
        .create_endpoint(&owner(), &id, &new_endpoint("prod"), None, at(3))
        .await
        .unwrap();
    let change = EndpointChange {
        version: Some(version(2)),
        description: None,
    };
    let update = || async {
        store
            .update_endpoint(&owner(), &id, &prod, &change, None, at(5))
            .await
    };
    assert!(matches!(
        update().await,
        Err(StoreError::WrongStatus(ResourceStatus::Creating))
    ));
    store.finish_endpoint(&id, &prod, Ok(()), at(4)).await.unwrap();
    assert!(matches!(update().await, Err(StoreError::NotFound("the version"))));
    store
        .create_version(&owner(), &id, "{}", None, at(5))
        .await
        .unwrap();
    let updating = now(update().await.unwrap());
    assert_eq!(
        (updating.live_version, updating.target_version),
        (Some(version(1)), version(2))
    );
    assert_eq!(updating.description.as_deref(), Some("for tests"));
    let failed = store
        .finish_endpoint(&id, &prod, Err("version 2 failed"), at(6))
        .await
        .unwrap();
    assert_eq!(
        (failed.status, failed.live_version),
        (ResourceStatus::UpdateFailed, Some(version(1)))
    );
    assert_eq!(failed.failure_reason.as_deref(), Some("version 2 failed"));
    now(update().await.unwrap());
    let ready = store.finish_endpoint(&id, &prod, Ok(()), at(7)).await.unwrap();
    assert_eq!(
        (ready.live_version, ready.failure_reason),
        (Some(version(2)), None)
    );
}

#[tokio::test]
async fn default_can_neither_be_made_nor_changed_nor_deleted() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let default = endpoint("DEFAULT");
    assert!(matches!(
        store
            .create_endpoint(&owner(), &id, &new_endpoint("DEFAULT"), None, at(3))
            .await,
        Err(StoreError::EndpointExists)
    ));
    assert!(matches!(
        store
            .update_endpoint(&owner(), &id, &default, &EndpointChange::default(), None, at(3))
            .await,
        Err(StoreError::DefaultEndpoint)
    ));
    assert!(matches!(
        store
            .begin_delete_endpoint(&owner(), &id, &default, None, at(3))
            .await,
        Err(StoreError::DefaultEndpoint)
    ));
}

#[tokio::test]
async fn a_runtime_with_other_endpoints_is_not_deleted() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let prod = endpoint("prod");
    store
        .create_endpoint(&owner(), &id, &new_endpoint("prod"), None, at(3))
        .await
        .unwrap();
    assert!(matches!(
        store
            .begin_delete_endpoint(&owner(), &id, &prod, None, at(4))
            .await,
        Err(StoreError::WrongStatus(ResourceStatus::Creating))
    ));
    store.finish_endpoint(&id, &prod, Ok(()), at(4)).await.unwrap();
    assert!(matches!(
        store.begin_delete_runtime(&owner(), &id, None, at(5)).await,
        Err(StoreError::EndpointsExist)
    ));
    let deleting = store
        .begin_delete_endpoint(&owner(), &id, &prod, None, at(5))
        .await
        .unwrap();
    assert_eq!(now(deleting).status, ResourceStatus::Deleting);
    assert!(matches!(
        store.begin_delete_runtime(&owner(), &id, None, at(5)).await,
        Err(StoreError::EndpointsExist)
    ));
    store
        .finish_delete_endpoint(&owner(), &id, &prod, Ok(()), at(6))
        .await
        .unwrap();
    assert!(matches!(
        store.endpoint(&owner(), &id, &prod).await,
        Err(StoreError::NotFound(_))
    ));
    store
        .begin_delete_runtime(&owner(), &id, None, at(7))
        .await
        .unwrap();
}
