use coracle_store::{Applied, Idempotency, Lookup, NewEndpoint, Page, RuntimeVersion, StoreError, Tags};
use futures::future::join_all;

use crate::fixture::{Fixture, at, endpoint, new_runtime, now, owner, stranger, version};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn id_of(created: &RuntimeVersion) -> String {
    created.runtime.id.to_string()
}

fn create_request<'a>(token: &'a str, digest: &'a str) -> Idempotency<'a, RuntimeVersion> {
    Idempotency {
        operation: "CreateAgentRuntime",
        token,
        digest,
        response: &id_of,
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_has_no_effect() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let request = create_request("token", "digest");
    let first = now(store
        .create_runtime(&new_runtime("hello"), Some(&request), at(1))
        .await
        .unwrap());
    let again = store
        .create_runtime(&new_runtime("hello"), Some(&request), at(2))
        .await
        .unwrap();
    assert_eq!(again, Applied::Before(first.runtime.id.to_string()));
    let other = create_request("token", "another digest");
    let error = store
        .create_runtime(&new_runtime("hello"), Some(&other), at(2))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::TokenMismatch));

    let lookup = |owner, digest| async move {
        store
            .idempotent_outcome(&owner, "CreateAgentRuntime", "token", digest, at(2))
            .await
            .unwrap()
    };
    assert_eq!(
        lookup(owner(), "digest").await,
        Lookup::Replay(first.runtime.id.to_string())
    );
    assert_eq!(lookup(owner(), "another digest").await, Lookup::Mismatch);
    assert_eq!(lookup(stranger(), "digest").await, Lookup::New);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_requests_with_one_token_make_one_runtime() {
    let fixture = Fixture::new().await;
    let requests = (0..50).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let request = create_request("token", "digest");
            match store
                .create_runtime(&new_runtime("hello"), Some(&request), at(1))
                .await
                .unwrap()
            {
                Applied::Now(created) => created.runtime.id.to_string(),
                Applied::Before(response) => response,
            }
        })
    });
    let answers: Vec<String> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let runtimes = fixture
        .store
        .runtimes(
            &owner(),
            &Page {
                limit: 100,
                after: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(runtimes.items.len(), 1);
}

#[tokio::test]
async fn a_request_that_failed_may_be_repeated() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let request = create_request("token", "digest");
    let attempt = || async {
        fixture
            .store
            .create_runtime(&new_runtime("hello"), Some(&request), at(3))
            .await
    };
    assert!(matches!(attempt().await, Err(StoreError::NameTaken)));
    fixture
        .store
        .begin_delete_runtime(&owner(), &id, None, at(4))
        .await
        .unwrap();
    fixture
        .store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(5))
        .await
        .unwrap();
    assert!(matches!(attempt().await, Ok(Applied::Now(_))));
}

#[tokio::test]
async fn a_repeated_deletion_is_answered_as_the_first_was() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.ready("hello").await);
    let request = Idempotency {
        operation: "DeleteAgentRuntime",
        token: "token",
        digest: "digest",
        response: &|deleted: &RuntimeVersion| deleted.runtime.id.to_string(),
    };
    let attempt = async |time| {
        store
            .begin_delete_runtime(&owner(), &id, Some(&request), time)
            .await
    };
    assert!(matches!(attempt(at(4)).await, Ok(Applied::Now(_))));
    let before = Applied::Before(id.to_string());
    assert_eq!(attempt(at(5)).await.unwrap(), before);
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(6))
        .await
        .unwrap();
    assert_eq!(attempt(at(7)).await.unwrap(), before);
    let other = store.begin_delete_runtime(&owner(), &id, None, at(8)).await;
    assert!(matches!(other, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn a_token_is_forgotten_after_a_day() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let request = create_request("token", "digest");
    store
        .create_runtime(&new_runtime("one"), Some(&request), at(1))
        .await
        .unwrap();
    assert!(matches!(
        store
            .create_runtime(&new_runtime("two"), Some(&request), at(DAY))
            .await,
        Ok(Applied::Before(_))
    ));
    let request = create_request("token", "another digest");
    let created = store
        .create_runtime(&new_runtime("two"), Some(&request), at(DAY + 1))
        .await
        .unwrap();
    assert!(matches!(created, Applied::Now(_)));
    assert_eq!(store.purge_idempotency(at(DAY + 1)).await.unwrap(), 0);
    assert_eq!(store.purge_idempotency(at(2 * DAY + 1)).await.unwrap(), 1);
}

#[tokio::test]
async fn updates_and_endpoints_are_repeatable_too() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let update = Idempotency {
        operation: "UpdateAgentRuntime",
        token: "token",
        digest: "digest",
        response: &|updated: &RuntimeVersion| updated.version.number.to_string(),
    };
    now(store
        .create_version(&owner(), &id, "{}", Some(&update), at(3))
        .await
        .unwrap());
    store
        .finish_version(&id, version(2), Ok("{}"), at(4))
        .await
        .unwrap();
    let again = store
        .create_version(&owner(), &id, "{}", Some(&update), at(5))
        .await
        .unwrap();
    assert_eq!(again, Applied::Before("2".to_owned()));

    let new = NewEndpoint {
        name: endpoint("prod"),
        version: None,
        description: None,
        tags: Tags::new(),
    };
    let create = Idempotency {
        operation: "CreateAgentRuntimeEndpoint",
        token: "token",
        digest: "digest",
        response: &|created: &coracle_store::Endpoint| created.target_version.to_string(),
    };
    now(store
        .create_endpoint(&owner(), &id, &new, Some(&create), at(6))
        .await
        .unwrap());
    let again = store
        .create_endpoint(&owner(), &id, &new, Some(&create), at(7))
        .await
        .unwrap();
    assert_eq!(again, Applied::Before("2".to_owned()));
}
