//! The initramfs of a microVM: the guest program as `/init` and the modules it loads. A `newc` cpio archive,
//! uncompressed, because decompressing is what costs time at boot. Format:
//! `Documentation/driver-api/early-userspace/buffer-format.rst` of Linux.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::{self, FileLock};

/// Changes whenever the same inputs would give another archive.
const FORMAT_VERSION: u32 = 1;
const FOLDERS: [&str; 6] = ["dev", "modules", "newroot", "proc", "sys", "tmp"];
const TRAILER: &str = "TRAILER!!!";

/// Makes the initramfs with this guest program and these modules, which are named so that the order of their names
/// is the order given. Returns its file in `folder`, made once for equal inputs.
///
/// # Errors
/// When an input cannot be read or the folder not written.
pub fn initramfs(folder: &Path, guest: &Path, modules: &[PathBuf]) -> io::Result<PathBuf> {
    let mut members = vec![("init".to_owned(), fs::read(guest)?)];
    for (number, module) in modules.iter().enumerate() {
        let name = module
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        members.push((format!("modules/{number:02}-{name}"), fs::read(module)?));
    }
    let target = folder.join(format!("{}.cpio", key(&members)));
    let _lock = FileLock::acquire(&target.with_extension("lock"), || {})?;
    if !target.is_file() {
        files::sweep_drafts(folder)?;
        files::write_atomically(&target, |file| write(file, &members))?;
    }
    Ok(target)
}

fn key(members: &[(String, Vec<u8>)]) -> String {
    let mut hash = Sha256::new();
    hash.update(FORMAT_VERSION.to_le_bytes());
    for (name, content) in members {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hex::encode(hash.finalize())
}

fn write(file: &mut File, members: &[(String, Vec<u8>)]) -> io::Result<()> {
    let mut archive = Archive {
        out: BufWriter::new(file),
        next_inode: 1,
    };
    for folder in FOLDERS {
        archive.member(folder, 0o040_755, (0, 0), &[])?;
    }
    // The kernel opens it for init's standard streams before init can mount anything.
    archive.member("dev/console", 0o020_600, (5, 1), &[])?;
    for (name, content) in members {
        archive.member(name, 0o100_755, (0, 0), content)?;
    }
    archive.member(TRAILER, 0, (0, 0), &[])?;
    archive.out.flush()
}

struct Archive<W> {
    out: W,
    next_inode: u32,
}

impl<W: Write> Archive<W> {
    fn member(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too large for an initramfs"))?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let fields = [
            self.next_inode,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            device.0,
            device.1,
            name_size,
            0,
        ];
        self.next_inode += 1;
        let mut header = b"070701".to_vec();
        for field in fields {
            write!(header, "{field:08x}")?;
        }
        header.extend(name.as_bytes());
        header.push(0);
        self.padded(&header)?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let missing = bytes.len().next_multiple_of(4) - bytes.len();
        self.out.write_all(&[0; 4][..missing])
    }
}
