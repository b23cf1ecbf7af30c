//! Fills an images folder with the guest kernel and the base images that have a recipe.
//!
//! `cargo run -p coracle-artifact --example prepare_images -- FOLDER [RUNTIME…]`

use std::error::Error;
use std::io::Write;

use coracle_artifact::images::{DebianMirrors, ImageStore};
use coracle_types::RuntimeKind;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let mut runtimes = arguments
        .map(|name| name.parse())
        .collect::<Result<Vec<RuntimeKind>, _>>()?;
    if runtimes.is_empty() {
        runtimes.extend(
            RuntimeKind::ALL
                .into_iter()
                .filter(|runtime| ImageStore::can_build(*runtime)),
        );
    }
    let show = |text: &str, _: Option<f32>| drop(writeln!(std::io::stderr(), "{text}"));
    let store = ImageStore::open(folder, DebianMirrors::default())?;
    let kernel = store.ensure_kernel(&show)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", kernel.vmlinuz().display())?;
    if let Some(vmlinux) = kernel.vmlinux() {
        writeln!(out, "{}", vmlinux.display())?;
    }
    for runtime in runtimes {
        writeln!(out, "{}", store.ensure_base(runtime, &show)?.path.display())?;
    }
    Ok(())
}
