use std::collections::BTreeSet;
use std::time::Duration;

use coracle_store::{Claim, End, EndedQuery, Hibernated, NewSession, Page, SessionState, Store, StoreError};
use coracle_types::{Consumption, Generation, RuntimeId, SandboxId, SessionKey};
use futures::future::join_all;

use crate::fixture::{Fixture, at, endpoint, owner, version};

fn session_of(runtime: &RuntimeId, number: u32) -> NewSession {
    let session = format!("{number:040}").parse().unwrap();
    NewSession {
        key: SessionKey {
            runtime: runtime.clone(),
            endpoint: endpoint("DEFAULT"),
            session,
        },
        version: version(1),
        sandbox: SandboxId::new(),
        wants_storage: false,
    }
}

async fn granted(store: &Store, new: &NewSession) -> Generation {
    match store.claim(new, at(10)).await.unwrap() {
        Claim::Granted(granted) => granted.generation,
        Claim::AlreadyOwned(session) => panic!("owned by {session:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_one_is_granted_and_the_others_learn_of_it() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let claims = (0..50).map(|_| {
        let (store, new) = (fixture.store.clone(), session_of(&id, 1));
        tokio::spawn(async move { (new.sandbox, store.claim(&new, at(3)).await.unwrap()) })
    });
    let claims: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    let granted: Vec<_> = claims
        .iter()
        .filter(|(_, claim)| matches!(claim, Claim::Granted(_)))
        .collect();
    assert_eq!(granted.len(), 1);
    for (_, claim) in &claims {
        if let Claim::AlreadyOwned(owned) = claim {
            assert_eq!(
                (owned.sandbox, owned.state),
                (granted[0].0, SessionState::Claimed)
            );
            let Claim::Granted(granted) = &granted[0].1 else {
                unreachable!("filtered")
            };
            assert_eq!(granted.generation, owned.generation);
        }
    }
}

#[tokio::test]
async fn an_old_generation_changes_nothing() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let new = session_of(&fixture.ready("hello").await, 1);
    let first = granted(store, &new).await;
    assert!(store.mark_ready(&new.key, first, new.sandbox).await.unwrap());
    assert!(
        store
            .end(&new.key, first, End::plain("idle"), at(20))
            .await
            .unwrap()
    );
    assert_eq!(store.session(&new.key).await.unwrap(), None);

    let second = granted(store, &new).await;
    assert!(second > first);
    assert!(!store.mark_ready(&new.key, first, new.sandbox).await.unwrap());
    assert!(
        !store
            .end(&new.key, first, End::plain("late"), at(30))
            .await
            .unwrap()
    );
    let session = store.session(&new.key).await.unwrap().unwrap();
    assert_eq!(
        (session.generation, session.state),
        (second, SessionState::Claimed)
    );
    assert_eq!(
        (session.incarnation, session.started_at),
        (store.incarnation(), at(10))
    );
}

#[tokio::test]
async fn a_session_belongs_to_a_runtime_that_stands() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let missing_version = NewSession {
        version: version(2),
        ..session_of(&id, 1)
    };
    let mut missing_endpoint = session_of(&id, 1);
    missing_endpoint.key.endpoint = endpoint("other");
    for new in [missing_version, missing_endpoint] {
        assert!(matches!(
            store.claim(&new, at(3)).await,
            Err(StoreError::NotFound(_))
        ));
    }
    let running = session_of(&id, 1);
    granted(store, &running).await;
    store
        .begin_delete_runtime(&owner(), &id, None, at(4))
        .await
        .unwrap();
    assert!(matches!(
        store.claim(&session_of(&id, 2), at(5)).await,
        Err(StoreError::NotFound(_))
    ));
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(6))
        .await
        .unwrap();
    assert_eq!(store.session(&running.key).await.unwrap(), None);
}

#[tokio::test]
async fn a_restarted_server_finds_and_ends_the_sessions_of_the_one_before() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let mut generations = BTreeSet::new();
    for number in 0..5 {
        generations.insert(granted(&fixture.store, &session_of(&id, number)).await);
    }
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    let newest = granted(store, &session_of(&id, 9)).await;
    assert!(generations.iter().all(|old| *old < newest));

    let mut page = Page {
        limit: 2,
        after: None,
    };
    let mut found = BTreeSet::new();
    loop {
        let listed = store.sessions_of_other_incarnations(&page).await.unwrap();
        found.extend(listed.items.iter().map(|session| session.generation));
        let Some(next) = listed.next else { break };
        page.after = Some(next);
    }
    assert_eq!(found, generations);
    assert_eq!(
        store
            .end_older_incarnations("the server restarted", at(30))
            .await
            .unwrap(),
        5
    );
    assert_eq!(
        store
            .end_older_incarnations("the server restarted", at(30))
            .await
            .unwrap(),
        0
    );
    assert!(store.session(&session_of(&id, 9).key).await.unwrap().is_some());
    granted(store, &session_of(&id, 0)).await;
}

#[tokio::test]
async fn a_session_is_adopted_once_and_lives_on_under_a_new_generation() {
    let fixture = Fixture::new().await;
    let new = session_of(&fixture.ready("hello").await, 1);
    let first = granted(&fixture.store, &new).await;
    assert!(
        fixture
            .store
            .mark_ready(&new.key, first, new.sandbox)
            .await
            .unwrap()
    );
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    let second = store.adopt(&new.key, first).await.unwrap().unwrap();
    assert!(second > first);
    assert_eq!(store.adopt(&new.key, first).await.unwrap(), None);
    assert_eq!(
        store.end_older_incarnations("restarted", at(30)).await.unwrap(),
        0
    );
    let session = store.session(&new.key).await.unwrap().unwrap();
    assert_eq!((session.generation, session.started_at), (second, at(10)));
    assert_eq!((session.state, session.owner), (SessionState::Ready, owner()));
    assert!(
        !store
            .end(&new.key, first, End::plain("late"), at(40))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_server_that_was_superseded_claims_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let newer = Store::open(&fixture.path()).await.unwrap();
    assert!(newer.incarnation() > fixture.store.incarnation());
    let refused = fixture.store.claim(&session_of(&id, 1), at(3)).await;
    assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
    granted(&newer, &session_of(&id, 1)).await;
}

#[tokio::test]
async fn history_remains_until_it_is_purged() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    for (number, ended) in [(1, 100), (2, 200)] {
        let new = session_of(&id, number);
        let generation = granted(store, &new).await;
        assert!(
            store
                .end(&new.key, generation, End::plain("idle"), at(ended))
                .await
                .unwrap()
        );
    }
    let page = Page {
        limit: 10,
        after: None,
    };
    let of_runtime = EndedQuery {
        runtime: Some(id.clone()),
        ..EndedQuery::default()
    };
    let ended = store.ended_sessions(&of_runtime, &page).await.unwrap().items;
    let times: Vec<_> = ended
        .iter()
        .map(|session| (session.started_at, session.ended_at))
        .collect();
    assert_eq!(times, [(at(10), at(200)), (at(10), at(100))]);
    assert_eq!(
        (ended[0].reason.as_str(), &ended[0].key),
        ("idle", &session_of(&id, 2).key)
    );
    assert_eq!(store.purge_ended_sessions(at(200)).await.unwrap(), 1);
    assert_eq!(
        store
            .ended_sessions(&of_runtime, &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

#[tokio::test]
async fn what_a_session_used_adds_up_over_its_sandboxes_and_is_found_in_history() {
    let used = |seconds| Consumption {
        time: Duration::from_secs(100 * seconds),
        cpu: Duration::from_secs(seconds),
        memory_mib_seconds: 10 * seconds,
    };
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let new = session_of(&id, 1);
    let first = granted(store, &new).await;
    assert!(
        store
            .hibernate(&new.key, first, new.sandbox, at(100), used(3))
            .await
            .unwrap()
    );
    let Claim::Granted(taken) = store.claim(&new, at(30)).await.unwrap() else {
        panic!("nobody owns it")
    };
    assert_eq!(taken.left.unwrap().used, used(3));
    let end = End {
        reason: "idle",
        used: used(4),
        report: Some("{}"),
    };
    assert!(store.end(&new.key, taken.generation, end, at(50)).await.unwrap());

    let page = Page {
        limit: 10,
        after: None,
    };
    let asked = |account: &str| EndedQuery {
        account: Some(account.parse().unwrap()),
        runtime: Some(id.clone()),
        session: Some(new.key.session.clone()),
        version: Some(version(1)),
        endpoint: Some(endpoint("DEFAULT")),
    };
    let ended = store
        .ended_sessions(&asked(owner().account.as_str()), &page)
        .await;
    let ended = &ended.unwrap().items[0];
    assert_eq!((ended.used, ended.report.as_deref()), (used(7), Some("{}")));
    assert_eq!(ended.account.as_ref(), Some(&owner().account));
    let others = store.ended_sessions(&asked("999999999999"), &page).await;
    assert_eq!(others.unwrap().items, []);
    let found = store.used_by_ended_sessions(&id, at(50)).await.unwrap();
    assert_eq!(found, used(7));
    let found = store.used_by_ended_sessions(&id, at(51)).await.unwrap();
    assert_eq!(found, Consumption::default());
}

#[tokio::test]
async fn a_hibernated_session_outlives_its_server_and_is_taken_over_once() {
    let fixture = Fixture::new().await;
    let new = session_of(&fixture.ready("hello").await, 1);
    let first = granted(&fixture.store, &new).await;
    assert!(
        fixture
            .store
            .hibernate(&new.key, first, new.sandbox, at(100), Consumption::default())
            .await
            .unwrap()
    );
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    assert_eq!(
        store.end_older_incarnations("restarted", at(20)).await.unwrap(),
        0
    );
    assert_eq!(store.hibernated_sandboxes().await.unwrap(), [new.sandbox]);
    let again = NewSession {
        sandbox: SandboxId::new(),
        ..new.clone()
    };
    let Claim::Granted(taken) = store.claim(&again, at(30)).await.unwrap() else {
        panic!("nobody owns it")
    };
    assert!(taken.generation > first);
    let left = taken.left.expect("something to go on from");
    assert_eq!(
        (left.sandbox, left.started_at, left.usable),
        (new.sandbox, at(10), true)
    );
    let session = store.session(&new.key).await.unwrap().unwrap();
    assert_eq!((session.sandbox, session.started_at), (again.sandbox, at(10)));
    assert!(
        !store
            .hibernate(&new.key, first, new.sandbox, at(100), Consumption::default())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_session_has_an_address_while_somebody_owns_it() {
    let fixture = Fixture::new().await;
    let new = session_of(&fixture.ready("hello").await, 1);
    let generation = granted(&fixture.store, &new).await;
    let address = new.key.address();
    let found = fixture.store.session_at(&address).await.unwrap().unwrap();
    assert_eq!((found.key, found.owner), (new.key.clone(), owner()));
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    let adopted = store.adopt(&new.key, generation).await.unwrap().unwrap();
    assert!(store.session_at(&address).await.unwrap().is_some());
    assert!(
        store
            .hibernate(&new.key, adopted, new.sandbox, at(100), Consumption::default())
            .await
            .unwrap()
    );
    assert!(store.session_at(&address).await.unwrap().is_some());
    let woken = granted(store, &new).await;
    assert!(store.session_at(&address).await.unwrap().is_some());
    assert!(
        store
            .end(&new.key, woken, End::plain("idle"), at(30))
            .await
            .unwrap()
    );
    assert_eq!(store.session_at(&address).await.unwrap(), None);
}

#[tokio::test]
async fn an_agents_own_id_leads_to_its_session_until_that_ends() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let (new, other) = (session_of(&id, 1), session_of(&id, 2));
    let generation = granted(&fixture.store, &new).await;
    let of_other = granted(&fixture.store, &other).await;
    let own = session_of(&id, 7).key;
    let leads_to = async |store: &Store| store.session_of_mcp(&own).await.unwrap();
    fixture
        .store
        .learn_mcp_session(&new.key, &own.session)
        .await
        .unwrap();
    // Neither an id that leads somewhere nor a session's own name can be drawn away.
    for drawn in [&own.session, &new.key.session] {
        fixture.store.learn_mcp_session(&other.key, drawn).await.unwrap();
    }
    assert_eq!(leads_to(&fixture.store).await, Some(new.key.session.clone()));
    assert_eq!(fixture.store.session_of_mcp(&new.key).await.unwrap(), None);

    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    let adopted = store.adopt(&new.key, generation).await.unwrap().unwrap();
    assert!(
        store
            .hibernate(&new.key, adopted, new.sandbox, at(100), Consumption::default())
            .await
            .unwrap()
    );
    assert!(
        store
            .end(&other.key, of_other, End::plain("idle"), at(20))
            .await
            .unwrap()
    );
    let woken = granted(store, &new).await;
    assert_eq!(leads_to(store).await, Some(new.key.session.clone()));

    assert!(
        store
            .end(&new.key, woken, End::plain("idle"), at(30))
            .await
            .unwrap()
    );
    assert_eq!(leads_to(store).await, None);
    // Nothing is remembered of a session that nobody owns.
    store.learn_mcp_session(&new.key, &own.session).await.unwrap();
    assert_eq!(leads_to(store).await, None);
}

#[tokio::test]
async fn what_is_outdated_is_handed_over_as_useless() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let new = session_of(&fixture.ready("hello").await, 1);
    let first = granted(store, &new).await;
    assert!(
        store
            .hibernate(&new.key, first, new.sandbox, at(15), Consumption::default())
            .await
            .unwrap()
    );
    let Claim::Granted(taken) = store.claim(&new, at(15)).await.unwrap() else {
        panic!("nobody owns it")
    };
    assert!(!taken.left.expect("what is left").usable);
    assert_eq!(store.session(&new.key).await.unwrap().unwrap().started_at, at(15));
}

#[tokio::test]
async fn hibernated_sessions_end_one_by_one_or_with_their_runtime_or_time() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let sessions: Vec<_> = (0..4).map(|number| session_of(&id, number)).collect();
    for (new, expires) in sessions.iter().zip([50, 60, 70, 80]) {
        let generation = granted(store, new).await;
        assert!(
            store
                .hibernate(
                    &new.key,
                    generation,
                    new.sandbox,
                    at(expires),
                    Consumption::default()
                )
                .await
                .unwrap()
        );
    }
    let awake = session_of(&id, 9);
    granted(store, &awake).await;
    let end = async |which| store.end_hibernated(which, "test", at(60)).await.unwrap();
    assert_eq!(
        end(Hibernated::Session(&sessions[3].key)).await,
        [sessions[3].sandbox]
    );
    assert_eq!(end(Hibernated::Session(&awake.key)).await, []);
    assert_eq!(
        end(Hibernated::Expired).await,
        [sessions[0].sandbox, sessions[1].sandbox]
    );
    let other = endpoint("other");
    assert_eq!(end(Hibernated::Runtime(&id, Some(&other))).await, []);
    assert_eq!(end(Hibernated::Runtime(&id, None)).await, [sessions[2].sandbox]);
    assert!(store.session(&awake.key).await.unwrap().is_some());
}
