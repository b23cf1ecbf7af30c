use coracle_store::{Claim, End, Granted, NewSession, Store, UnixMicros};
use coracle_types::limits::SESSION_STORAGE_KEPT;
use coracle_types::{Consumption, RuntimeId, SandboxId, SessionKey, StorageId, VersionNumber};

use crate::endpoints::new_endpoint;
use crate::fixture::{Fixture, at, endpoint, now, owner, version};

fn session(runtime: &RuntimeId, at_endpoint: &str) -> NewSession {
    NewSession {
        key: SessionKey {
            runtime: runtime.clone(),
            endpoint: endpoint(at_endpoint),
            session: format!("{:040}", 1).parse().unwrap(),
        },
        version: version(1),
        sandbox: SandboxId::new(),
        wants_storage: true,
    }
}

async fn claim(store: &Store, new: &NewSession, when: UnixMicros) -> Granted {
    match store.claim(new, when).await.unwrap() {
        Claim::Granted(granted) => granted,
        Claim::AlreadyOwned(session) => panic!("owned by {session:?}"),
    }
}

/// Claims a session and ends it at once; returns its storage.
async fn used(store: &Store, new: &NewSession, when: UnixMicros) -> Option<StorageId> {
    let granted = claim(store, new, when).await;
    let end = End::plain("stopped");
    assert!(store.end(&new.key, granted.generation, end, when).await.unwrap());
    granted.storage
}

async fn second_version(fixture: &Fixture, id: &RuntimeId) -> VersionNumber {
    now(fixture
        .store
        .create_version(&owner(), id, "{}", None, at(20))
        .await
        .unwrap())
    .version
    .number
}

#[tokio::test]
async fn a_session_finds_its_storage_again_and_no_other_session_does() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let new = session(&id, "DEFAULT");
    let first = used(&fixture.store, &new, at(10)).await;
    assert!(first.is_some());
    let fixture = fixture.reopen().await;
    assert_eq!(used(&fixture.store, &new, at(20)).await, first);
    let mut other = new.clone();
    other.key.session = format!("{:040}", 2).parse().unwrap();
    assert_ne!(used(&fixture.store, &other, at(30)).await, first);
}

#[tokio::test]
async fn another_version_finds_nothing_and_what_there_was_is_gone() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let new = session(&id, "DEFAULT");
    let first = used(store, &new, at(10)).await;
    let newer = NewSession {
        version: second_version(&fixture, &id).await,
        ..new.clone()
    };
    let second = used(store, &newer, at(30)).await;
    assert_ne!(second, first);
    assert_eq!(store.session_storages(at(30)).await.unwrap(), [second.unwrap()]);
    let without = NewSession {
        wants_storage: false,
        ..newer
    };
    assert_eq!(used(store, &without, at(40)).await, None);
    assert_eq!(store.session_storages(at(40)).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_unused_for_long_is_forgotten_but_not_while_the_session_is_there() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let new = session(&id, "DEFAULT");
    let begun = claim(store, &new, at(10)).await;
    let storage = begun.storage.unwrap();
    let late = at(10).after(SESSION_STORAGE_KEPT);
    assert_eq!(store.session_storages(late).await.unwrap(), [storage]);
    let expires_at = late.after(SESSION_STORAGE_KEPT);
    let hibernated = store.hibernate(
        &new.key,
        begun.generation,
        new.sandbox,
        expires_at,
        Consumption::default(),
    );
    assert!(hibernated.await.unwrap());
    let woken = claim(store, &new, late).await;
    assert_eq!(woken.storage, Some(storage), "it is in use by what goes on");
    let end = End::plain("stopped");
    assert!(store.end(&new.key, woken.generation, end, late).await.unwrap());
    assert_eq!(
        store
            .session_storages(late.after(SESSION_STORAGE_KEPT / 2))
            .await
            .unwrap(),
        [storage]
    );
    let too_late = late.after(SESSION_STORAGE_KEPT);
    assert_ne!(used(store, &new, too_late).await, Some(storage));
    let far = too_late.after(SESSION_STORAGE_KEPT);
    assert_eq!(store.session_storages(far).await.unwrap(), []);
}

#[tokio::test]
async fn storages_go_with_their_endpoint_and_runtime() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let prod = endpoint("prod");
    now(store
        .create_endpoint(&owner(), &id, &new_endpoint("prod"), None, at(3))
        .await
        .unwrap());
    store.finish_endpoint(&id, &prod, Ok(()), at(4)).await.unwrap();
    let kept = used(store, &session(&id, "DEFAULT"), at(10)).await.unwrap();
    used(store, &session(&id, "prod"), at(10)).await.unwrap();
    store
        .begin_delete_endpoint(&owner(), &id, &prod, None, at(20))
        .await
        .unwrap();
    store
        .finish_delete_endpoint(&owner(), &id, &prod, Ok(()), at(21))
        .await
        .unwrap();
    assert_eq!(store.session_storages(at(22)).await.unwrap(), [kept]);
    store
        .begin_delete_runtime(&owner(), &id, None, at(30))
        .await
        .unwrap();
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(31))
        .await
        .unwrap();
    assert_eq!(store.session_storages(at(32)).await.unwrap(), []);
}
