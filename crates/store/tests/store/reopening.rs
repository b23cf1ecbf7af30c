use std::os::unix::fs::PermissionsExt;

use coracle_store::{EndpointChange, NewEndpoint, Store, StoreError, Tags, Unfinished};
use coracle_types::ResourceStatus;

use crate::fixture::{Fixture, at, endpoint, owner, version};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let before = fixture.store.runtime(&owner(), &id, None).await.unwrap();
    // A copy of the files at this moment is what a machine that lost power would find.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture.path().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let recovered = Store::open(&copy.path().join("coracle.db")).await.unwrap();
    assert_eq!(recovered.runtime(&owner(), &id, None).await.unwrap(), before);
}

#[tokio::test]
async fn each_opening_is_a_new_incarnation_and_keeps_everything() {
    let fixture = Fixture::new().await;
    let first = fixture.store.incarnation();
    let id = fixture.ready("hello").await;
    let before = fixture.store.runtime(&owner(), &id, None).await.unwrap();
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.store.incarnation().0, first.0 + 1);
    assert_eq!(fixture.store.runtime(&owner(), &id, None).await.unwrap(), before);
    assert_eq!(fixture.store.unfinished().await.unwrap(), Unfinished::default());
}

#[tokio::test]
async fn a_restart_finds_what_was_under_way() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let creating = fixture.create("creating").await.unwrap().runtime.id;
    let updating = fixture.ready("updating").await;
    let deleting = fixture.ready("deleting").await;
    store
        .create_version(&owner(), &updating, "{}", None, at(3))
        .await
        .unwrap();
    store
        .begin_delete_runtime(&owner(), &deleting, None, at(4))
        .await
        .unwrap();
    for name in ["new", "changing", "going"] {
        let new = NewEndpoint {
            name: endpoint(name),
            version: None,
            description: None,
            tags: Tags::new(),
        };
        store
            .create_endpoint(&owner(), &updating, &new, None, at(5))
            .await
            .unwrap();
        if name != "new" {
            store
                .finish_endpoint(&updating, &endpoint(name), Ok(()), at(6))
                .await
                .unwrap();
        }
    }
    let change = EndpointChange::default();
    store
        .update_endpoint(&owner(), &updating, &endpoint("changing"), &change, None, at(7))
        .await
        .unwrap();
    store
        .begin_delete_endpoint(&owner(), &updating, &endpoint("going"), None, at(8))
        .await
        .unwrap();

    let fixture = fixture.reopen().await;
    let found = fixture.store.unfinished().await.unwrap();
    let versions: Vec<_> = found
        .versions
        .iter()
        .map(|item| (&item.runtime.id, item.version.number, item.status()))
        .collect();
    assert_eq!(
        versions,
        [
            (&creating, version(1), ResourceStatus::Creating),
            (&updating, version(2), ResourceStatus::Updating)
        ]
    );
    let endpoints: Vec<_> = found
        .endpoints
        .iter()
        .map(|(_, item)| (item.name.as_str(), item.status))
        .collect();
    assert_eq!(
        endpoints,
        [
            ("new", ResourceStatus::Creating),
            ("changing", ResourceStatus::Updating),
            ("going", ResourceStatus::Deleting)
        ]
    );
    assert_eq!(
        found
            .deletions
            .iter()
            .map(|runtime| &runtime.id)
            .collect::<Vec<_>>(),
        [&deleting]
    );
}

#[tokio::test]
async fn only_the_servers_user_can_read_the_files() {
    let fixture = Fixture::new().await;
    fixture.ready("hello").await;
    for entry in std::fs::read_dir(fixture.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    std::fs::write(
        &path,
        "this is not a database, and long enough to be looked at as one ".repeat(20),
    )
    .unwrap();
    assert!(matches!(Store::open(&path).await, Err(StoreError::Open { .. })));
}
