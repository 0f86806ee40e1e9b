//! A segment file as bytes, for tests that damage it; read as `segments/FORMAT.md` says.

use std::fs::{self, OpenOptions, Permissions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// Bytes of the header, and of the footer.
pub const END_BYTES: usize = 64;
/// Sections that can be made again have these numbers.
pub const DERIVED: Range<u32> = 32..64;
/// The section with the checksums of the others.
pub const CHECKSUMS: u32 = 64;
const ENTRY_BYTES: usize = 32;

fn u64_at(file: &[u8], at: usize) -> usize {
    u64::from_le_bytes(file[at..at + 8].try_into().expect("8 bytes")) as usize
}

/// Where the table of the sections lies; the footer follows.
pub fn contents(file: &[u8]) -> Range<usize> {
    let footer = file.len() - END_BYTES;
    u64_at(file, footer + 16)..footer
}

/// Each section that has bytes: its number and where it lies.
pub fn sections(file: &[u8]) -> Vec<(u32, Range<usize>)> {
    file[contents(file)]
        .chunks_exact(ENTRY_BYTES)
        .map(|entry| {
            let number = u32::from_le_bytes(entry[..4].try_into().expect("4 bytes"));
            let start = u64_at(entry, 8);
            (number, start..start + u64_at(entry, 16))
        })
        .filter(|(_, range)| !range.is_empty())
        .collect()
}

/// Flips bits of a byte of a file, which may be one that nobody writes to.
pub fn flip(path: &Path, at: usize, bits: u8) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).expect("a file of this process");
    let file = OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).expect("a byte of the file");
    file.write_all_at(&[byte[0] ^ bits], at as u64).expect("a byte of the file");
}
