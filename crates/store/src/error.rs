use coracle_types::ResourceStatus;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What the request names does not exist, or is not the caller's.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// A runtime of this name exists in the account and region.
    #[error("a runtime with this name already exists")]
    NameTaken,
    /// An endpoint of this name exists on the runtime.
    #[error("an endpoint with this name already exists")]
    EndpointExists,
    /// The resource is in a status that does not allow the operation.
    #[error("the operation is not allowed while the status is {0}")]
    WrongStatus(ResourceStatus),
    /// The runtime has endpoints other than `DEFAULT`.
    #[error("the runtime has endpoints that must be deleted first")]
    EndpointsExist,
    /// The `DEFAULT` endpoint follows its runtime and cannot be changed by itself.
    #[error("the DEFAULT endpoint cannot be changed or deleted by itself")]
    DefaultEndpoint,
    /// The version is the target of an endpoint, served by one, or the only version.
    #[error("the version is in use")]
    VersionInUse,
    /// The runtime has used up its version numbers.
    #[error("the runtime can have no more versions")]
    VersionsExhausted,
    /// The account has as many of something as it may have.
    #[error("the quota of {limit} {what} is reached")]
    QuotaReached {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
    /// The resource would have more tags than allowed.
    #[error("too many tags")]
    TooManyTags,
    /// The client token was used for another request before.
    #[error("the client token was used with other parameters")]
    TokenMismatch,
    /// A newer start of the server has taken over this database.
    #[error("another server has taken over this data folder")]
    Superseded,
    /// A bucket of this name exists.
    #[error("a bucket with this name already exists")]
    BucketExists {
        /// Whether it is in the caller's own account and region.
        yours: bool,
    },
    /// The bucket holds objects.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// A row cannot be what this program wrote.
    #[error("the database holds an impossible value in column {column}")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// The database file could not be made or opened.
    #[error("cannot open the database {path}")]
    Open {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Turns the violation of a unique key into its meaning.
pub(crate) fn unique(error: sqlx::Error, meaning: StoreError) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => meaning,
        error => error.into(),
    }
}
