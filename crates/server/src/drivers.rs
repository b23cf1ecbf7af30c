//! Opens the driver that the configuration names.

use std::path::Path;
use std::sync::Arc;

use coracle_artifact::code::CodeStore;
use coracle_supervisor::driver::Driver;
use coracle_supervisor::driver::simulated::SimulatedDriver;

use crate::config::{Config, DriverKind};

/// Why a driver could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("todo")]
    Todo,
}

/// Opens the driver.
///
/// # Errors
/// When this machine cannot run it.
pub async fn open(
    config: &Config,
    _data_dir: &Path,
    _code: CodeStore,
) -> Result<Arc<dyn Driver>, DriverError> {
    match config.sandbox.driver {
        DriverKind::Simulated => {
            tracing::warn!("the simulated driver runs no agent code: it is for testing clients only");
            Ok(Arc::new(SimulatedDriver::default()))
        }
        DriverKind::Process | DriverKind::Microvm => Err(DriverError::Todo),
    }
}
