//! What container images for another processor than this machine's need, where they are allowed.

use coracle_server::config::DriverKind;
use coracle_server::drivers::{self, DriverError};
use coracle_server::error_chain;
use coracle_types::Architecture;

use super::Question;
use super::finding::{Finding, Level};
use super::microvm::open_images;
use crate::commands::interpreter::version;

pub(super) async fn images(question: &Question, other: Architecture) -> Finding {
    const NAME: &str = "other processor";
    let why = format!(
        "Images that exist for linux/{other} only run in emulation, if they are allowed: slowly, and without the \
         processor's wall between sessions."
    );
    if !question.config.containers.other_architectures {
        let found =
            format!("images for linux/{other} are refused: other_architectures is not set in [containers]");
        return Finding::good(NAME, found, why);
    }
    let required = question.is_for(DriverKind::Microvm);
    let broken = |error: DriverError| {
        let (found, remedy) = match error {
            DriverError::NoQemu { program, package } => (
                format!("{program} is not installed"),
                format!("apt-get install {package}"),
            ),
            DriverError::NoGuest { path, build } => (format!("{} is missing", path.display()), build),
            other => (error_chain(&other), "use another machine".to_owned()),
        };
        Finding::bad(Level::broken_if(required), NAME, found, &why, remedy)
    };
    let qemu = match drivers::qemu_program(other) {
        Ok(program) => program,
        Err(error) => return broken(error),
    };
    if let Err(error) = drivers::guest_program(other) {
        return broken(error);
    }
    let images = open_images(&question.images_dir, other);
    match images.and_then(|images| images.kernel(other)) {
        Ok(kernel) => {
            let version = version(&qemu).await.unwrap_or_default();
            let found = format!(
                "images for linux/{other} run in {version} with kernel {}",
                kernel.release()
            );
            Finding::good(NAME, found, why)
        }
        Err(error) => {
            let folder = question.images_dir.display();
            let build = format!("coracle image build kernel --arch {other} --images-dir {folder}");
            Finding::bad(Level::Warning, NAME, error_chain(&error), why, build)
        }
    }
}
