use coracle_store::{MAX_TAGS, Owner, StoreError, Tags};
use coracle_types::{EndpointArn, InvocationTarget, ResourceStatus};

use crate::fixture::{Fixture, at, endpoint, new_runtime, now, owner, stranger, version};

#[tokio::test]
async fn a_new_runtime_is_creating_until_its_version_is_finished() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let created = fixture.create("hello").await.unwrap();
    let id = created.runtime.id.clone();
    assert_eq!(created.status(), ResourceStatus::Creating);
    assert_eq!(store.runtime(&owner(), &id, None).await.unwrap(), created);
    let default = store.endpoint(&owner(), &id, &endpoint("DEFAULT")).await.unwrap();
    assert_eq!(
        (default.status, default.live_version),
        (ResourceStatus::Creating, None)
    );
    assert_eq!(default.target_version, version(1));

    store
        .finish_version(&id, version(1), Ok(r#"{"digest":"ab"}"#), at(5))
        .await
        .unwrap();
    let ready = store.runtime(&owner(), &id, Some(version(1))).await.unwrap();
    assert_eq!(ready.status(), ResourceStatus::Ready);
    assert_eq!(ready.version.configuration, r#"{"code":"one"}"#);
    assert_eq!(ready.version.resolution.as_deref(), Some(r#"{"digest":"ab"}"#));
    assert_eq!(
        (ready.runtime.created_at, ready.runtime.updated_at),
        (at(1), at(5))
    );
    let default = store.endpoint(&owner(), &id, &endpoint("DEFAULT")).await.unwrap();
    assert_eq!(
        (default.status, default.live_version),
        (ResourceStatus::Ready, Some(version(1)))
    );
    assert!(matches!(
        store.finish_version(&id, version(1), Err("again"), at(6)).await,
        Err(StoreError::WrongStatus(ResourceStatus::Ready))
    ));
}

#[tokio::test]
async fn a_failed_creation_keeps_its_reason_and_allows_only_deletion() {
    let fixture = Fixture::new().await;
    let id = fixture.create("hello").await.unwrap().runtime.id;
    fixture
        .store
        .finish_version(&id, version(1), Err("no entry point"), at(2))
        .await
        .unwrap();
    let failed = fixture.store.runtime(&owner(), &id, None).await.unwrap();
    assert_eq!(
        (failed.status(), failed.failure_reason()),
        (ResourceStatus::CreateFailed, Some("no entry point"))
    );
    let default = fixture
        .store
        .endpoint(&owner(), &id, &endpoint("DEFAULT"))
        .await
        .unwrap();
    assert_eq!(
        (default.status, default.live_version),
        (ResourceStatus::CreateFailed, None)
    );
    assert_eq!(default.failure_reason.as_deref(), Some("no entry point"));
    assert!(matches!(
        fixture
            .store
            .create_version(&owner(), &id, "{}", None, at(3))
            .await,
        Err(StoreError::WrongStatus(ResourceStatus::CreateFailed))
    ));
    fixture
        .store
        .begin_delete_runtime(&owner(), &id, None, at(4))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_update_moves_default_only_when_the_new_version_is_ready() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let default = || async { store.endpoint(&owner(), &id, &endpoint("DEFAULT")).await.unwrap() };

    let updating = now(store
        .create_version(&owner(), &id, "{2}", None, at(3))
        .await
        .unwrap());
    assert_eq!(
        (updating.version.number, updating.status()),
        (version(2), ResourceStatus::Updating)
    );
    assert!(matches!(
        store.create_version(&owner(), &id, "{}", None, at(3)).await,
        Err(StoreError::WrongStatus(ResourceStatus::Updating))
    ));
    let moving = default().await;
    assert_eq!(
        (moving.live_version, moving.target_version),
        (Some(version(1)), version(2))
    );
    assert_eq!(moving.status, ResourceStatus::Updating);

    store
        .finish_version(&id, version(2), Err("broken"), at(4))
        .await
        .unwrap();
    let stuck = default().await;
    assert_eq!(
        (stuck.live_version, stuck.status),
        (Some(version(1)), ResourceStatus::UpdateFailed)
    );

    let third = now(store
        .create_version(&owner(), &id, "{3}", None, at(5))
        .await
        .unwrap());
    assert_eq!(third.version.number, version(3));
    store
        .finish_version(&id, version(3), Ok("{}"), at(6))
        .await
        .unwrap();
    let moved = default().await;
    assert_eq!(
        (moved.live_version, moved.target_version),
        (Some(version(3)), version(3))
    );
    assert_eq!(
        (moved.status, moved.failure_reason),
        (ResourceStatus::Ready, None)
    );
}

#[tokio::test]
async fn names_are_taken_per_account_and_region_and_free_after_deletion() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    assert!(matches!(
        fixture.create("hello").await,
        Err(StoreError::NameTaken)
    ));
    let elsewhere = Owner {
        region: "eu-west-1".parse().unwrap(),
        ..owner()
    };
    for other in [elsewhere, stranger()] {
        let mut new = new_runtime("hello");
        new.owner = other;
        store.create_runtime(&new, None, at(3)).await.unwrap();
    }
    store
        .begin_delete_runtime(&owner(), &id, None, at(4))
        .await
        .unwrap();
    assert!(matches!(
        fixture.create("hello").await,
        Err(StoreError::NameTaken)
    ));
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(5))
        .await
        .unwrap();
    fixture.create("hello").await.unwrap();
}

#[tokio::test]
async fn a_strangers_runtime_does_not_exist() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let missing = [
        store.runtime(&stranger(), &id, None).await.err(),
        store
            .create_version(&stranger(), &id, "{}", None, at(3))
            .await
            .err(),
        store.endpoint(&stranger(), &id, &endpoint("DEFAULT")).await.err(),
        store
            .begin_delete_runtime(&stranger(), &id, None, at(3))
            .await
            .err(),
        store
            .delete_version(&stranger(), &id, version(1), None, at(99))
            .await
            .err(),
        store.runtime(&owner(), &id, Some(version(2))).await.err(),
    ];
    for error in missing {
        assert!(matches!(error, Some(StoreError::NotFound(_))), "{error:?}");
    }
}

#[tokio::test]
async fn deletion_goes_through_deleting_and_takes_everything_along() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.create("hello").await.unwrap().runtime.id;
    assert!(matches!(
        store.begin_delete_runtime(&owner(), &id, None, at(2)).await,
        Err(StoreError::WrongStatus(ResourceStatus::Creating))
    ));
    store
        .finish_version(&id, version(1), Ok("{}"), at(2))
        .await
        .unwrap();
    let deleting = store
        .begin_delete_runtime(&owner(), &id, None, at(3))
        .await
        .unwrap();
    assert_eq!(now(deleting).status(), ResourceStatus::Deleting);
    for refused in [
        store.begin_delete_runtime(&owner(), &id, None, at(3)).await.err(),
        store.create_version(&owner(), &id, "{}", None, at(3)).await.err(),
    ] {
        assert!(
            matches!(refused, Some(StoreError::WrongStatus(ResourceStatus::Deleting))),
            "{refused:?}"
        );
    }
    store
        .finish_delete_runtime(&owner(), &id, Err("a disk is busy"), at(4))
        .await
        .unwrap();
    let failed = store.runtime(&owner(), &id, None).await.unwrap();
    assert_eq!(
        (failed.status(), failed.failure_reason()),
        (ResourceStatus::DeleteFailed, Some("a disk is busy"))
    );
    store
        .begin_delete_runtime(&owner(), &id, None, at(5))
        .await
        .unwrap();
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(6))
        .await
        .unwrap();
    assert!(matches!(
        store.runtime(&owner(), &id, None).await,
        Err(StoreError::NotFound(_))
    ));
    assert!(matches!(
        store.endpoint(&owner(), &id, &endpoint("DEFAULT")).await,
        Err(StoreError::NotFound(_))
    ));
}

#[tokio::test]
async fn only_unused_versions_can_be_deleted_and_numbers_are_not_reused() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    assert!(matches!(
        store
            .delete_version(&owner(), &id, version(1), None, at(99))
            .await,
        Err(StoreError::VersionInUse)
    ));
    store
        .create_version(&owner(), &id, "{}", None, at(3))
        .await
        .unwrap();
    for used in [1, 2] {
        let error = store
            .delete_version(&owner(), &id, version(used), None, at(99))
            .await
            .unwrap_err();
        assert!(
            matches!(error, StoreError::VersionInUse | StoreError::WrongStatus(_)),
            "{error:?}"
        );
    }
    store
        .finish_version(&id, version(2), Ok("{}"), at(4))
        .await
        .unwrap();
    store
        .delete_version(&owner(), &id, version(1), None, at(99))
        .await
        .unwrap();
    assert!(matches!(
        store.runtime(&owner(), &id, Some(version(1))).await,
        Err(StoreError::NotFound(_))
    ));
    let next = now(store
        .create_version(&owner(), &id, "{}", None, at(5))
        .await
        .unwrap());
    assert_eq!(next.version.number, version(3));
}

#[tokio::test]
async fn tags_are_added_replaced_removed_and_limited() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let arn = fixture.create("hello").await.unwrap().runtime.arn();
    let runtime = InvocationTarget::Runtime(arn.clone());
    let tags = |pairs: &[(&str, &str)]| -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(store.tags(&runtime).await.unwrap(), tags(&[("team", "boats")]));
    store
        .tag(&runtime, &tags(&[("team", "rivers"), ("stage", "test")]))
        .await
        .unwrap();
    store
        .untag(&runtime, &["stage".to_owned(), "unknown".to_owned()])
        .await
        .unwrap();
    assert_eq!(store.tags(&runtime).await.unwrap(), tags(&[("team", "rivers")]));
    let many: Tags = (0..MAX_TAGS).map(|n| (format!("k{n}"), String::new())).collect();
    assert!(matches!(
        store.tag(&runtime, &many).await,
        Err(StoreError::TooManyTags)
    ));
    assert_eq!(
        store.tags(&runtime).await.unwrap().len(),
        1,
        "a refused request adds nothing"
    );

    let default = EndpointArn {
        runtime: arn,
        endpoint: endpoint("DEFAULT"),
    };
    let default = InvocationTarget::Endpoint(default);
    store.tag(&default, &tags(&[("a", "b")])).await.unwrap();
    assert_eq!(store.tags(&default).await.unwrap(), tags(&[("a", "b")]));
    let other = InvocationTarget::Endpoint(EndpointArn {
        runtime: runtime.runtime().clone(),
        endpoint: endpoint("other"),
    });
    assert!(matches!(
        store.tag(&other, &tags(&[("a", "b")])).await,
        Err(StoreError::NotFound(_))
    ));
}
