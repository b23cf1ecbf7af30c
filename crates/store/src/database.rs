//! The database file: how it is opened, and who may write when.
//!
//! SQLite lets one connection write at a time. All writing therefore goes through a pool of one connection,
//! whose queue replaces the busy errors that competing writers would get; readers have connections of their
//! own and, in WAL mode, never wait for the writer.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coracle_types::Incarnation;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Pool, Sqlite, Transaction};

use crate::{Quotas, StoreError};

pub(crate) type Db = Sqlite;
pub(crate) type Connection = sqlx::SqliteConnection;
pub(crate) type Row = sqlx::sqlite::SqliteRow;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for another program, such as a backup, that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

/// The durable state of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Pool<Db>,
    readers: Pool<Db>,
    incarnation: Incarnation,
    quotas: Arc<Quotas>,
}

impl Store {
    /// Opens the database at `path`, making it if it does not exist, brings its tables up to date, and raises
    /// the incarnation. Only the server opens the store, and only while it holds the lock of its data
    /// folder: opening ends the right of an earlier server to claim sessions.
    ///
    /// # Errors
    /// When the file cannot be opened, or was made by a newer program.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path).await.map_err(|source| StoreError::Open {
            path: path.to_owned(),
            source,
        })
    }

    async fn connect(path: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // Configurations hold secrets of agents; SQLite gives its side files the mode of this one.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await?;
        let readers = pool(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        let incarnation = Incarnation(raise(&mut *writer.acquire().await?, "incarnation").await?);
        Ok(Self {
            writer,
            readers,
            incarnation,
            quotas: Arc::default(),
        })
    }

    /// The same store with these quotas; a store that is opened has none.
    #[must_use]
    pub fn with_quotas(self, quotas: Quotas) -> Self {
        Self {
            quotas: Arc::new(quotas),
            ..self
        }
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Which start of the server this is: one more than at the last opening.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Closes the database in an orderly way. Not needed for safety: what was acknowledged is on disk.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a transaction that may write. Dropping it undoes everything.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Db>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a transaction that sees one state of the database throughout.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Db>, StoreError> {
        Ok(self.readers.begin().await?)
    }
}

/// Raises a counter by one and returns it.
pub(crate) async fn raise(connection: &mut Connection, name: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE counter SET value = value + 1 WHERE name = $1 RETURNING value")
        .bind(name)
        .fetch_one(connection)
        .await
}
