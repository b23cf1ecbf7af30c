//! The pages of a machine's memory that are its own: what has changed since it was restored.
//!
//! A restored machine maps a file copy-on-write (`Memory::Restored`). What it has written since are anonymous pages
//! of its QEMU process, which `/proc/PID/pagemap` tells from pages of the file (Linux,
//! Documentation/admin-guide/mm/pagemap.rst); `/proc/PID/mem` reads them, and writes them into another machine that
//! maps the same file and has not begun to run. Pages that equal the file's are left out.
//!
//! ```text
//!  "CORPAGE1"   { position: u64, length: u64, bytes }…   { u64::MAX, 0 }   SHA-256 of all before
//! ```
//!
//! Numbers are little-endian; positions and lengths are whole pages of the mapped file.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"CORPAGE1";
const END: u64 = u64::MAX;
/// Most bytes in one run.
const LONGEST_RUN: u64 = 1024 * 1024;
/// Bytes of an entry of `pagemap`.
const ENTRY: usize = 8;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;

/// A part of a file, mapped by a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    /// Where in the process.
    start: u64,
    end: u64,
    /// Where in the file.
    position: u64,
}

/// Writes the pages of a process's private mapping of `file` that differ from it. The process must not run meanwhile.
pub(crate) fn save(pid: u32, file: &Path, to: &File) -> io::Result<()> {
    let original = File::open(file)?;
    let page = rustix::param::page_size() as u64;
    let (pagemap, memory) = (of_process(pid, "pagemap")?, of_process(pid, "mem")?);
    let mut out = Summed::new(BufWriter::new(to));
    out.write_all(MAGIC)?;
    for mapping in mappings(pid, file)? {
        let mut entries =
            vec![0; ENTRY * usize::try_from((mapping.end - mapping.start) / page).map_err(io::Error::other)?];
        pagemap.read_exact_at(&mut entries, mapping.start / page * ENTRY as u64)?;
        for (first, pages) in own_runs(&entries, LONGEST_RUN / page) {
            let mut own = vec![0; usize::try_from(pages * page).map_err(io::Error::other)?];
            memory.read_exact_at(&mut own, mapping.start + first * page)?;
            let position = mapping.position + first * page;
            let mut theirs = vec![0; own.len()];
            original.read_exact_at(&mut theirs, position)?;
            write_differing(&mut out, &own, &theirs, position, page)?;
        }
    }
    end(out)?;
    to.sync_all()
}

fn end(mut out: Summed<impl Write>) -> io::Result<()> {
    out.write_all(&END.to_le_bytes())?;
    out.write_all(&0u64.to_le_bytes())?;
    out.finish()
}

/// Writes saved pages into a process's private mapping of the same file.
///
/// # Errors
/// When they are damaged, or the process does not map all of what they are of. It is of no use then.
pub(crate) fn load(pid: u32, file: &Path, from: &File) -> io::Result<()> {
    let mappings = mappings(pid, file)?;
    let memory = File::options().write(true).open(format!("/proc/{pid}/mem"))?;
    read(
        BufReader::with_capacity(256 * 1024, from),
        &mappings,
        |address, bytes| memory.write_all_at(bytes, address),
    )
}

fn read(
    from: impl Read,
    mappings: &[Mapping],
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = SummedRead::new(from);
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(damaged("it does not begin as it should"));
    }
    loop {
        let (position, length) = (input.number()?, input.number()?);
        if position == END {
            return input.finish();
        }
        if length > LONGEST_RUN {
            return Err(damaged("a run is too long"));
        }
        let place = mappings
            .iter()
            .find(|mapping| mapping.holds(position, length))
            .ok_or_else(|| damaged("a run belongs to no memory"))?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        input.read_exact(&mut bytes)?;
        write(place.start + (position - place.position), &bytes)?;
    }
}

impl Mapping {
    fn holds(&self, position: u64, length: u64) -> bool {
        let size = self.end - self.start;
        position
            .checked_sub(self.position)
            .and_then(|offset| offset.checked_add(length))
            .is_some_and(|end| end <= size)
    }
}

fn of_process(pid: u32, what: &str) -> io::Result<File> {
    File::open(format!("/proc/{pid}/{what}"))
}

fn mappings(pid: u32, file: &Path) -> io::Result<Vec<Mapping>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let length = std::fs::metadata(file)?.len();
    let file = file.canonicalize()?.display().to_string();
    let found: Vec<_> = maps
        .lines()
        .filter_map(|line| parse_mapping(line, &file))
        .collect();
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the process does not map {file}"),
        ));
    }
    if !are_within(&found, length) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the process maps more of {file} than there is"),
        ));
    }
    Ok(found)
}

/// Whether mappings of a file of this length can be those of a machine. Whoever has broken out into the process can map
/// what it likes, as often as it likes.
fn are_within(mappings: &[Mapping], length: u64) -> bool {
    let mapped = mappings
        .iter()
        .try_fold(0u64, |sum, mapping| sum.checked_add(mapping.end - mapping.start));
    mapped.is_some_and(|mapped| mapped <= length)
}

/// A line of proc_pid_maps(5), if it is of a private mapping of this file.
fn parse_mapping(line: &str, file: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (addresses, permissions, position) = (fields.next()?, fields.next()?, fields.next()?);
    let path = fields.nth(2)?.trim_start();
    if path != file || !permissions.starts_with("rw") || !permissions.ends_with('p') {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (start, end, position) = (number(start)?, number(end)?, number(position)?);
    (start < end).then_some(Mapping { start, end, position })
}

/// Runs of pages that are the process's own, as first page and count, none longer than `longest`.
fn own_runs(entries: &[u8], longest: u64) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let (entries, _) = entries.as_chunks::<ENTRY>();
    for (page, entry) in (0u64..).zip(entries) {
        let entry = u64::from_ne_bytes(*entry);
        if entry & (PRESENT | SWAPPED) == 0 || entry & OF_A_FILE != 0 {
            continue;
        }
        match runs.last_mut() {
            Some((first, count)) if *first + *count == page && *count < longest => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}

fn write_differing(
    out: &mut impl Write,
    own: &[u8],
    theirs: &[u8],
    position: u64,
    page: u64,
) -> io::Result<()> {
    let size = usize::try_from(page).map_err(io::Error::other)?;
    let differs = |index: &usize| {
        let at = index * size..(index + 1) * size;
        own[at.clone()] != theirs[at]
    };
    let pages = own.len() / size;
    let mut index = 0;
    while let Some(first) = (index..pages).find(differs) {
        index = (first..pages).find(|index| !differs(index)).unwrap_or(pages);
        let run = &own[first * size..index * size];
        out.write_all(&(position + (first * size) as u64).to_le_bytes())?;
        out.write_all(&(run.len() as u64).to_le_bytes())?;
        out.write_all(run)?;
    }
    Ok(())
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the saved memory is damaged: {how}"),
    )
}

/// Writes and remembers the digest of what it wrote.
struct Summed<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Summed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.inner.write_all(&self.digest.finalize())?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads and checks the digest at the end.
struct SummedRead<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> SummedRead<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(into)?;
        self.digest.update(into);
        Ok(())
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn finish(mut self) -> io::Result<()> {
        let mut expected = [0; 32];
        self.inner.read_exact(&mut expected)?;
        if self.digest.finalize().as_slice() == expected {
            Ok(())
        } else {
            Err(damaged("its checksum is wrong"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn entries(flags: &[u64]) -> Vec<u8> {
        flags.iter().flat_map(|flag| flag.to_ne_bytes()).collect()
    }

    #[test]
    fn a_process_cannot_map_more_than_there_is() {
        let mapping = |start, end| Mapping {
            start,
            end,
            position: 0,
        };
        assert!(are_within(&[mapping(0, 0x1000), mapping(0x2000, 0x3000)], 0x2000));
        assert!(!are_within(
            &[mapping(0, 0x1000), mapping(0x2000, 0x3000)],
            0x1fff
        ));
        assert!(!are_within(
            &[mapping(0, u64::MAX), mapping(0, u64::MAX)],
            u64::MAX
        ));
    }

    #[test]
    fn own_pages_are_those_that_are_there_and_not_the_files() {
        let (own, swapped, theirs) = (PRESENT, SWAPPED, PRESENT | OF_A_FILE);
        let map = entries(&[0, own, swapped, theirs, own, own, own, 0]);
        assert_eq!(own_runs(&map, 2), [(1, 2), (4, 2), (6, 1)]);
        assert_eq!(own_runs(&map, 100), [(1, 2), (4, 3)]);
    }

    #[test]
    fn a_mapping_is_known_by_its_path_and_its_rights() {
        let line = "7f0000000000-7f0000002000 rw-p 00001000 fe:00 123456                     /d a/memory";
        assert_eq!(
            parse_mapping(line, "/d a/memory"),
            Some(Mapping {
                start: 0x7f00_0000_0000,
                end: 0x7f00_0000_2000,
                position: 0x1000,
            })
        );
        assert_eq!(parse_mapping(line, "/d"), None);
        for other in [line.replace("rw-p", "rw-s"), line.replace("rw-p", "r--p")] {
            assert_eq!(parse_mapping(&other, "/d a/memory"), None);
        }
    }

    #[test]
    fn only_pages_that_differ_are_kept() {
        let (zeros, mut own) = (vec![0; 4 * PAGE], vec![0; 4 * PAGE]);
        own[PAGE] = 1;
        own[4 * PAGE - 1] = 1;
        let mut out = Vec::new();
        write_differing(&mut out, &own, &zeros, 0x8000, PAGE as u64).unwrap();
        let mut expected = Vec::new();
        for page in [1, 3] {
            let at = page * PAGE;
            expected.extend((0x8000 + at as u64).to_le_bytes());
            expected.extend((PAGE as u64).to_le_bytes());
            expected.extend(&own[at..at + PAGE]);
        }
        assert!(out == expected);
    }

    /// This process maps no such file, but the header is read first.
    fn loaded(saved: &[u8], mapped: &[Mapping]) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut written = Vec::new();
        read(saved, mapped, |position, bytes| {
            written.push((position, bytes.to_vec()));
            Ok(())
        })?;
        Ok(written)
    }

    fn saved(runs: &[(u64, &[u8])]) -> Vec<u8> {
        let mut saved = Vec::new();
        let mut out = Summed::new(&mut saved);
        out.write_all(MAGIC).unwrap();
        for (position, bytes) in runs {
            out.write_all(&position.to_le_bytes()).unwrap();
            out.write_all(&(bytes.len() as u64).to_le_bytes()).unwrap();
            out.write_all(bytes).unwrap();
        }
        end(out).unwrap();
        saved
    }

    const MAPPED: Mapping = Mapping {
        start: 0x10_0000,
        end: 0x10_4000,
        position: 0x2000,
    };

    #[test]
    fn what_was_saved_is_loaded_to_where_it_belongs() {
        let page = vec![7; PAGE];
        let saved = saved(&[(0x2000, &page), (0x5000, &page)]);
        let written = loaded(&saved, &[MAPPED]).unwrap();
        assert_eq!(written, [(0x10_0000, page.clone()), (0x10_3000, page)]);
    }

    #[test]
    fn what_belongs_elsewhere_is_refused() {
        let page = vec![7; PAGE];
        for position in [0, 0x6000, u64::MAX - 1] {
            assert!(
                loaded(&saved(&[(position, &page)]), &[MAPPED]).is_err(),
                "{position:x}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_missing_end_is_noticed() {
        let saved = saved(&[(0x2000, &[1, 2, 3, 4])]);
        for byte in 0..saved.len() {
            let mut damaged = saved.clone();
            damaged[byte] ^= 1;
            assert!(loaded(&damaged, &[MAPPED]).is_err(), "byte {byte}");
            assert!(loaded(&saved[..byte], &[MAPPED]).is_err(), "end at {byte}");
        }
    }
}
