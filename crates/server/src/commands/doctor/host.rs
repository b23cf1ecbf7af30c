//! What every driver needs of the host: the guest program, interpreters, a data folder, disk and memory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use coracle_server::config::DriverKind;
use coracle_server::{drivers, error_chain};
use coracle_types::RuntimeKind;
use rustix::fs::Access;
use tokio::process::Command;

use super::Question;
use super::finding::{Finding, Level};
use crate::commands::interpreter::interpreter;

/// With less free disk than this, an image or some sandboxes' files may not find room.
const DISK_WANTED: u64 = 5 * GIB;
const GIB: u64 = 1024 * 1024 * 1024;
/// How long trying a namespace may take.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn guest(question: &Question) -> Finding {
    const NAME: &str = "guest program";
    const WHY: &str = "It starts the agent in every sandbox. In a microVM it is the first process and has no \
                       libraries, so it must be static.";
    const BUILD: &str = "build all programs with: cargo xtask build --release";
    let program = match drivers::own_guest_program() {
        Ok(program) => program,
        Err(error) => {
            let level = Level::broken_if(!question.is_for(DriverKind::Simulated));
            return Finding::bad(level, NAME, error_chain(&error), WHY, BUILD);
        }
    };
    let path = program.display();
    let unless_static = Level::broken_if(question.is_for(DriverKind::Microvm));
    match fs::read(&program).map(|elf| needs_loader(&elf)) {
        Ok(Some(false)) => Finding::good(NAME, format!("{path}, static"), WHY),
        Ok(Some(true)) => Finding::bad(unless_static, NAME, format!("{path} is not static"), WHY, BUILD),
        Ok(None) => Finding::bad(Level::Broken, NAME, format!("{path} is no program"), WHY, BUILD),
        Err(error) => Finding::bad(Level::Broken, NAME, format!("{path}: {error}"), WHY, BUILD),
    }
}

/// Whether a 64-bit little-endian ELF program names a loader of shared libraries (`PT_INTERP`, see elf(5)).
/// `None` if it is no such program.
fn needs_loader(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        let number = bytes
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    elf.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let kind = number(table.checked_add(index * size)?, 4)?;
        if u32::try_from(kind) == Ok(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

pub(super) async fn python(question: &Question) -> Finding {
    const NAME: &str = "interpreters";
    const WHY: &str =
        "The process driver runs agents with the host's own; microVMs have theirs in base images.";
    let mut found = Vec::new();
    for runtime in RuntimeKind::ALL {
        if let Some((program, _)) = interpreter(runtime).await {
            found.push(program.display().to_string());
        }
    }
    if found.is_empty() {
        let level = Level::broken_if(question.is_for(DriverKind::Process));
        Finding::bad(
            level,
            NAME,
            "no python3.N or node on the PATH",
            WHY,
            "apt-get install python3",
        )
    } else {
        Finding::good(NAME, found.join(", "), WHY)
    }
}

pub(super) async fn user_namespaces(question: &Question) -> Finding {
    const NAME: &str = "namespaces";
    const WHY: &str = "The process driver gives every agent a network of its own, and image building by an ordinary \
                       user needs a user namespace.";
    if unshare(&["--net"]).await {
        return Finding::good(NAME, "network namespaces for this user (privileged)", WHY);
    }
    if unshare(&["--user", "--map-root-user", "--net"]).await {
        return Finding::good(NAME, "user and network namespaces for this user", WHY);
    }
    Finding::bad(
        Level::broken_if(question.is_for(DriverKind::Process)),
        NAME,
        "neither network nor user namespaces can be made",
        WHY,
        "sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0",
    )
}

async fn unshare(options: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command
        .args(options)
        .arg("true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = tokio::time::timeout(NAMESPACE_TIMEOUT, command.status()).await;
    status.is_ok_and(|status| status.is_ok_and(|status| status.success()))
}

pub(super) fn data_folder(question: &Question) -> Finding {
    const NAME: &str = "data folder";
    const WHY: &str = "Everything the server keeps is there, and one server at a time uses it.";
    let (folder, shown) = (&question.data_dir, question.data_dir.display());
    let parent = existing(folder);
    if !parent.is_dir() || rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{} cannot be written by this user", parent.display());
        let remedy = "change its owner, or name another with --data-dir";
        return Finding::bad(Level::Broken, NAME, found, WHY, remedy);
    }
    let found = if parent != folder.as_path() {
        format!("{shown} will be made at the first start")
    } else if in_use(folder) {
        let address = fs::read_to_string(folder.join("address"));
        let address = address.unwrap_or_else(|_| "an address not known yet".to_owned());
        format!("{shown} is in use by the server at {address}")
    } else {
        format!("{shown}; no server is using it")
    };
    Finding::good(NAME, found, WHY)
}

/// Whether a server holds the folder's lock.
fn in_use(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The folder, or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    let mut above = folder.ancestors();
    above
        .find(|folder| folder.exists())
        .filter(|found| !found.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

pub(super) fn disk(question: &Question) -> Finding {
    const NAME: &str = "free disk";
    let disk_mib = question.config.sandbox.disk_mib;
    let why = format!("A sandbox writes up to {disk_mib} MiB; images take about 1 GiB.");
    let remedy = "free some, or name another folder with --data-dir";
    match rustix::fs::statvfs(existing(&question.data_dir)) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} GiB where the data folder is", free / GIB);
            if free < DISK_WANTED {
                Finding::bad(Level::Warning, NAME, found, why, remedy)
            } else {
                Finding::good(NAME, found, why)
            }
        }
        Err(error) => Finding::bad(
            Level::Warning,
            NAME,
            io::Error::from(error).to_string(),
            why,
            remedy,
        ),
    }
}

pub(super) fn memory(question: &Question) -> Finding {
    const NAME: &str = "memory";
    let of_sandbox = question.config.sandbox.memory_mib;
    let why = format!("A microVM takes as much as its guest uses, up to {of_sandbox} MiB.");
    let available = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| available_mib(&text));
    let remedy = "set a lower sandbox.memory_mib, or use a larger machine";
    match available {
        None => Finding::bad(Level::Warning, NAME, "not known", why, "mount /proc"),
        Some(mib) if mib < u64::from(of_sandbox) => {
            Finding::bad(Level::Warning, NAME, format!("{mib} MiB available"), why, remedy)
        }
        Some(mib) => Finding::good(NAME, format!("{mib} MiB available"), why),
    }
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

pub(super) fn cgroups() -> Finding {
    const NAME: &str = "cgroups";
    const WHY: &str = "Coracle needs none here: microVMs are bounded by their size. Version 2 lets you bound a server \
                       with all its sandboxes, as with systemd's MemoryMax=.";
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        Finding::good(NAME, "version 2", WHY)
    } else {
        Finding::bad(
            Level::Warning,
            NAME,
            "version 1, or none",
            WHY,
            "nothing, unless you want such a bound",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(segments: &[u32]) -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = u8::try_from(segments.len()).unwrap();
        for kind in segments {
            elf.extend(kind.to_le_bytes());
            elf.extend([0; 52]);
        }
        elf
    }

    #[test]
    fn a_static_program_names_no_loader() {
        assert_eq!(needs_loader(&elf(&[1, 1])), Some(false));
        assert_eq!(needs_loader(&elf(&[6, 3, 1])), Some(true));
        assert_eq!(needs_loader(&elf(&[6, 3, 1])[..100]), None);
        assert_eq!(needs_loader(b"#!/bin/sh"), None);
    }

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   2097152 kB\n";
        assert_eq!(available_mib(text), Some(2048));
        assert_eq!(available_mib("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_nearest_folder_that_exists_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("not/there")), folder.path());
        assert_eq!(existing(Path::new("not-there")), Path::new("."));
    }

    #[test]
    fn a_folder_is_in_use_while_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!in_use(folder.path()));
        let lock = File::create(folder.path().join("lock")).unwrap();
        lock.lock().unwrap();
        assert!(in_use(folder.path()));
    }
}
