use std::path::PathBuf;

use coracle_store::{Applied, NewRuntime, Owner, RuntimeVersion, Store, StoreError, Tags, UnixMicros};
use coracle_types::{EndpointName, RuntimeId, VersionNumber};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("coracle.db")).await.unwrap();
        Self { store, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("coracle.db")
    }

    /// Opens the database once more, as a restarted server does.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        let store = Store::open(&self.path()).await.unwrap();
        Self {
            store,
            folder: self.folder,
        }
    }

    pub(crate) async fn create(&self, name: &str) -> Result<RuntimeVersion, StoreError> {
        self.store
            .create_runtime(&new_runtime(name), None, at(1))
            .await
            .map(now)
    }

    /// A runtime whose version 1 is ready.
    pub(crate) async fn ready(&self, name: &str) -> RuntimeId {
        let id = self.create(name).await.unwrap().runtime.id;
        self.store
            .finish_version(&id, VersionNumber::FIRST, Ok("{}"), at(2))
            .await
            .unwrap();
        id
    }
}

/// The effect of something that has just been done.
pub(crate) fn now<T>(applied: Applied<T>) -> T {
    match applied {
        Applied::Now(effect) => effect,
        Applied::Before(response) => panic!("it had been done before: {response}"),
    }
}

pub(crate) fn at(micros: i64) -> UnixMicros {
    UnixMicros(micros)
}

pub(crate) fn owner() -> Owner {
    Owner {
        account: "000000000000".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
    }
}

pub(crate) fn stranger() -> Owner {
    Owner {
        account: "111111111111".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
    }
}

pub(crate) fn version(number: u32) -> VersionNumber {
    VersionNumber::new(number).unwrap()
}

pub(crate) fn endpoint(name: &str) -> EndpointName {
    name.parse().unwrap()
}

pub(crate) fn new_runtime(name: &str) -> NewRuntime {
    let name: coracle_types::RuntimeName = name.parse().unwrap();
    NewRuntime {
        id: name.new_id(),
        owner: owner(),
        name,
        configuration: r#"{"code":"one"}"#.to_owned(),
        tags: Tags::from([("team".to_owned(), "boats".to_owned())]),
    }
}
