use std::collections::{BTreeMap, BTreeSet};

use coracle_store::Page;
use coracle_types::RuntimeId;
use proptest::prelude::*;

use crate::fixture::{Fixture, at, endpoint, new_runtime, now, owner, version};

#[tokio::test]
async fn runtimes_are_listed_last_changed_first_with_their_newest_version() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let one = fixture.ready("one").await;
    let two = fixture.ready("two").await;
    store
        .create_version(&owner(), &one, "{new}", None, at(9))
        .await
        .unwrap();
    let listed = store
        .runtimes(
            &owner(),
            &Page {
                limit: 10,
                after: None,
            },
        )
        .await
        .unwrap();
    let items: Vec<_> = listed
        .items
        .iter()
        .map(|item| (&item.runtime.id, item.version.configuration.as_str()))
        .collect();
    assert_eq!(items, [(&one, "{new}"), (&two, r#"{"code":"one"}"#)]);
    assert_eq!(listed.next, None);
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_endpoints_by_name() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    for number in 2..=5 {
        store
            .create_version(&owner(), &id, "{}", None, at(3))
            .await
            .unwrap();
        store
            .finish_version(&id, version(number), Ok("{}"), at(4))
            .await
            .unwrap();
    }
    let first = store
        .versions(
            &owner(),
            &id,
            &Page {
                limit: 3,
                after: None,
            },
        )
        .await
        .unwrap();
    let rest = store
        .versions(
            &owner(),
            &id,
            &Page {
                limit: 3,
                after: first.next,
            },
        )
        .await
        .unwrap();
    let numbers: Vec<_> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|item| item.version.number.get())
        .collect();
    assert_eq!(
        (numbers.as_slice(), rest.next),
        ([5, 4, 3, 2, 1].as_slice(), None)
    );

    for name in ["b", "a"] {
        let new = coracle_store::NewEndpoint {
            name: endpoint(name),
            version: None,
            description: None,
            tags: coracle_store::Tags::new(),
        };
        store
            .create_endpoint(&owner(), &id, &new, None, at(5))
            .await
            .unwrap();
    }
    let first = store
        .endpoints(
            &owner(),
            &id,
            &Page {
                limit: 2,
                after: None,
            },
        )
        .await
        .unwrap();
    let rest = store
        .endpoints(
            &owner(),
            &id,
            &Page {
                limit: 2,
                after: first.next,
            },
        )
        .await
        .unwrap();
    let names: Vec<_> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|item| item.name.as_str())
        .collect();
    assert_eq!(names, ["DEFAULT", "a", "b"]);
}

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Change {
    /// A runtime is made, at this time.
    Create(i64),
    /// One of those there at first is deleted.
    Delete(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..40i64).prop_map(Change::Create),
        any::<prop::sample::Index>().prop_map(Change::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_stays_is_listed_once_while_others_come_and_go(
        times in prop::collection::vec(0..40i64, 1..12),
        changes in prop::collection::vec(change(), 0..8),
        limit in 1..5u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut there = BTreeSet::new();
            for (number, time) in times.iter().enumerate() {
                there.insert(create(&fixture, &format!("first{number}"), *time).await);
            }
            let initial: Vec<RuntimeId> = there.iter().cloned().collect();
            let mut changes = changes.into_iter().enumerate();
            let mut seen: BTreeMap<RuntimeId, u32> = BTreeMap::new();
            let mut page = Page { limit, after: None };
            loop {
                let listed = fixture.store.runtimes(&owner(), &page).await.unwrap();
                for item in listed.items {
                    *seen.entry(item.runtime.id).or_default() += 1;
                }
                let Some(next) = listed.next else { break };
                page.after = Some(next);
                match changes.next() {
                    None => {}
                    Some((number, Change::Create(time))) => {
                        create(&fixture, &format!("later{number}"), time).await;
                    }
                    Some((_, Change::Delete(index))) => {
                        let id = index.get(&initial);
                        if there.remove(id) {
                            delete(&fixture, id).await;
                        }
                    }
                }
            }
            prop_assert!(seen.values().all(|times| *times == 1), "{seen:?}");
            prop_assert!(there.iter().all(|id| seen.contains_key(id)), "{there:?} {seen:?}");
            Ok(())
        })?;
    }
}

async fn create(fixture: &Fixture, name: &str, time: i64) -> RuntimeId {
    let created = now(fixture
        .store
        .create_runtime(&new_runtime(name), None, at(time))
        .await
        .unwrap());
    let id = created.runtime.id;
    fixture
        .store
        .finish_version(&id, version(1), Ok("{}"), at(time))
        .await
        .unwrap();
    id
}

async fn delete(fixture: &Fixture, id: &RuntimeId) {
    fixture
        .store
        .begin_delete_runtime(&owner(), id, None, at(50))
        .await
        .unwrap();
    fixture
        .store
        .finish_delete_runtime(&owner(), id, Ok(()), at(51))
        .await
        .unwrap();
}
