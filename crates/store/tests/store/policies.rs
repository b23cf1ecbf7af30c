use coracle_store::StoreError;
use coracle_types::InvocationTarget;

use crate::fixture::{Fixture, at, endpoint, new_runtime, owner};

#[tokio::test]
async fn a_policy_is_kept_replaced_removed_and_gone_with_its_runtime() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.ready("hello").await;
    let arn = store.runtime(&owner(), &id, None).await.unwrap().runtime.arn();
    let runtime = InvocationTarget::Runtime(arn.clone());
    let default: InvocationTarget = format!("{arn}/runtime-endpoint/DEFAULT").parse().unwrap();

    assert_eq!(store.policy(&runtime).await.unwrap(), None);
    store.put_policy(&runtime, "one").await.unwrap();
    store.put_policy(&runtime, "two").await.unwrap();
    store.put_policy(&default, "three").await.unwrap();
    assert_eq!(store.policy(&runtime).await.unwrap().as_deref(), Some("two"));
    assert_eq!(store.policy(&default).await.unwrap().as_deref(), Some("three"));
    store.delete_policy(&runtime).await.unwrap();
    store.delete_policy(&runtime).await.unwrap();
    assert_eq!(store.policy(&runtime).await.unwrap(), None);

    store.put_policy(&runtime, "four").await.unwrap();
    store
        .begin_delete_runtime(&owner(), &id, None, at(3))
        .await
        .unwrap();
    store
        .finish_delete_runtime(&owner(), &id, Ok(()), at(4))
        .await
        .unwrap();
    let mut again = new_runtime("hello");
    again.id = id;
    store.create_runtime(&again, None, at(5)).await.unwrap();
    assert_eq!(store.policy(&runtime).await.unwrap(), None);
    assert_eq!(store.policy(&default).await.unwrap(), None);
}

#[tokio::test]
async fn what_does_not_exist_has_no_policy() {
    let fixture = Fixture::new().await;
    let id = fixture.ready("hello").await;
    let arn = fixture
        .store
        .runtime(&owner(), &id, None)
        .await
        .unwrap()
        .runtime
        .arn();
    let unknown: InvocationTarget = format!("{arn}/runtime-endpoint/{}", endpoint("nowhere"))
        .parse()
        .unwrap();
    for result in [
        fixture.store.policy(&unknown).await.map(drop),
        fixture.store.put_policy(&unknown, "{}").await,
        fixture.store.delete_policy(&unknown).await,
    ] {
        assert!(matches!(result, Err(StoreError::NotFound(_))), "{result:?}");
    }
}
