//! What tells one machine from another: host name, machine id, boot id; and beside them whom to ask for names.
//!
//! Each file is one in memory, not the agent's to write, mounted over the place where programs look. That is done
//! once; a restored machine only writes the files anew, which is quick.

use std::fs;
use std::path::Path;

use coracle_guest_proto::message::Network;
use rustix::mount::MountFlags;

use crate::failure::{Doing as _, Failure};

/// Where the files are.
const FOLDER: &str = "/run/coracle/identity";
/// The file that says whom to ask for names, which is the same for every machine.
const RESOLVER: &str = "resolv.conf";
/// The kernel makes a fresh version 4 UUID for every reader of this file.
const FRESH_ID: &str = "/proc/sys/kernel/random/uuid";
/// The files and where they are mounted. A restored kernel keeps the boot id of its template, so another covers it.
const PLACES: [(&str, &str); 5] = [
    ("machine-id", "/etc/machine-id"),
    ("hostname", "/etc/hostname"),
    ("hosts", "/etc/hosts"),
    (RESOLVER, "/etc/resolv.conf"),
    ("boot_id", "/proc/sys/kernel/random/boot_id"),
];

/// Makes the places for an identity, in the root the agent is to see.
pub(super) fn mount(network: Option<&Network>) -> Result<(), Failure> {
    fs::create_dir_all(FOLDER).doing(|| format!("making {FOLDER}"))?;
    fs::create_dir_all("/etc").doing(|| "making /etc".to_owned())?;
    for (name, place) in PLACES {
        let mounting = || format!("mounting {place}");
        let file = Path::new(FOLDER).join(name);
        fs::write(&file, "").doing(mounting)?;
        let place = Path::new(place);
        if place.is_symlink() {
            // It may lead nowhere, or to where the agent writes.
            fs::remove_file(place).doing(mounting)?;
        }
        if !place.exists() {
            fs::write(place, "").doing(mounting)?;
        }
        rustix::mount::mount_bind(&file, place).doing(mounting)?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount_remount(place, flags, c"").doing(mounting)?;
    }
    if let Some(network) = network {
        let text = format!("nameserver {}\n", network.gateway);
        fs::write(Path::new(FOLDER).join(RESOLVER), text).doing(|| format!("writing {RESOLVER}"))?;
    }
    Ok(())
}

/// Gives the machine a name, and ids of its own.
pub(super) fn renew(hostname: &str) -> Result<(), Failure> {
    rustix::system::sethostname(hostname.as_bytes()).doing(|| "setting the host name".to_owned())?;
    let boot_id = fs::read_to_string(FRESH_ID).doing(|| "making a boot id".to_owned())?;
    let mut machine_id = [0; 16];
    rustix::rand::getrandom(&mut machine_id, rustix::rand::GetRandomFlags::empty())
        .doing(|| "making a machine id".to_owned())?;
    for (name, text) in [
        ("machine-id", format!("{}\n", hex::encode(machine_id))),
        ("hostname", format!("{hostname}\n")),
        (
            "hosts",
            format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname}\n"),
        ),
        ("boot_id", boot_id),
    ] {
        fs::write(Path::new(FOLDER).join(name), text).doing(|| format!("writing {name}"))?;
    }
    Ok(())
}
