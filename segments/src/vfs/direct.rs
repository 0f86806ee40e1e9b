//! Reads that go to the disk itself (`O_DIRECT`).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::is_medium_error;

/// What buffer and place of such a read are aligned to; no disk asks for more.
const PAGE: usize = 4096;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// See [`Vfs::read_uncached`](super::Vfs::read_uncached).
pub(super) fn read(path: &Path, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
    let direct = rustix::fs::OFlags::DIRECT.bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(direct).open(path) {
        // What a volume says that has no such reads.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(false),
        // The disk did not say so of the bytes that were asked for.
        Err(error) if is_medium_error(&error) => return Err(io::Error::other(error)),
        other => other?,
    };
    let skipped = (offset % PAGE as u64) as usize;
    let start = offset - skipped as u64;
    let mut pages = vec![Page::zeroed(); (skipped + bytes.len()).div_ceil(PAGE)];
    let buffer: &mut [u8] = bytemuck::cast_slice_mut(&mut pages);
    let mut filled = 0;
    // A read that ends within a page has met the end of the file.
    while filled < buffer.len() && filled.is_multiple_of(PAGE) {
        match file.read_at(&mut buffer[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let found = buffer[..filled].get(skipped..skipped + bytes.len());
    bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(true)
}
