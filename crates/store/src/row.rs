//! Reading columns into checked types. A value that does not fit was not written by this program.

use std::str::FromStr;
use std::time::Duration;

use coracle_types::{Consumption, VersionNumber};
use sqlx::Row as _;

use crate::database::Row;
use crate::{StoreError, UnixMicros};

pub(crate) fn text(row: &Row, column: &'static str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn optional_text(row: &Row, column: &'static str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn parsed<T: FromStr>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    text(row, column)?
        .parse()
        .map_err(|_| StoreError::Corrupt { column })
}

pub(crate) fn number(row: &Row, column: &'static str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn unsigned(row: &Row, column: &'static str) -> Result<u64, StoreError> {
    number(row, column)?
        .try_into()
        .map_err(|_| StoreError::Corrupt { column })
}

pub(crate) fn time(row: &Row, column: &'static str) -> Result<UnixMicros, StoreError> {
    number(row, column).map(UnixMicros)
}

pub(crate) fn version(row: &Row, column: &'static str) -> Result<VersionNumber, StoreError> {
    optional_version(row, column)?.ok_or(StoreError::Corrupt { column })
}

pub(crate) fn optional_version(row: &Row, column: &'static str) -> Result<Option<VersionNumber>, StoreError> {
    let Some(number) = row.try_get::<Option<i64>, _>(column)? else {
        return Ok(None);
    };
    let version = u32::try_from(number).ok().and_then(VersionNumber::new);
    version.map(Some).ok_or(StoreError::Corrupt { column })
}

/// A size as the database's integer. No file of ours is larger than that.
pub(crate) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A time span as the database's integer.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// What the columns `run_micros`, `cpu_micros` and `memory_mib_seconds` say.
pub(crate) fn consumption(row: &Row) -> Result<Consumption, StoreError> {
    Ok(Consumption {
        time: Duration::from_micros(unsigned(row, "run_micros")?),
        cpu: Duration::from_micros(unsigned(row, "cpu_micros")?),
        memory_mib_seconds: unsigned(row, "memory_mib_seconds")?,
    })
}
