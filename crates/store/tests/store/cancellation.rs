use std::time::{Duration, Instant};

use coracle_store::StoreError;
use futures::future::{Either, select};

use crate::fixture::{Fixture, at, endpoint, new_runtime, owner};

/// A client that hangs up cancels what the server does for it, at any point.
#[tokio::test]
async fn a_cancelled_change_happens_wholly_or_not_at_all_and_blocks_nobody() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for number in 0..200 {
        let new = new_runtime(&format!("cut{number}"));
        let cut = Instant::now() + Duration::from_micros(10 * number);
        let change = Box::pin(store.create_runtime(&new, None, at(1)));
        let patience = Box::pin(async {
            while Instant::now() < cut {
                tokio::task::yield_now().await;
            }
        });
        if let Either::Right((_, change)) = select(change, patience).await {
            drop(change);
        }
        match store.runtime(&owner(), &new.id, None).await {
            Ok(_) => drop(
                store
                    .endpoint(&owner(), &new.id, &endpoint("DEFAULT"))
                    .await
                    .unwrap(),
            ),
            Err(error) => assert!(matches!(error, StoreError::NotFound(_)), "{error:?}"),
        }
        fixture.create(&format!("whole{number}")).await.unwrap();
    }
}
