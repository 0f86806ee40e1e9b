//! The file system as this project uses it.

#[cfg(target_os = "linux")]
mod direct;
mod memory;
mod os;
mod region;

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;

pub use memory::MemVfs;
pub use os::OsVfs;
pub use region::Region;

/// Files and folders. Implemented by [`OsVfs`] (the operating system) and [`MemVfs`] (memory);
/// tests wrap either to make calls fail.
///
/// Paths are used as given. All writes of a file happen before it is renamed to its final name;
/// no file is changed after that ([`truncate`](Vfs::truncate) aside).
pub trait Vfs: Send + Sync + Debug {
    /// Creates a file that must not exist, for writing and reading.
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;
    /// Fills `bytes` from `offset` of a file as the disk itself has them, past what the system keeps
    /// of it in memory, and leaves that as it is; false where this cannot be asked for. Nothing stays
    /// open.
    fn read_uncached(&self, _path: &Path, _offset: u64, _bytes: &mut [u8]) -> io::Result<bool> {
        Ok(false)
    }
    /// Renames a file, replacing the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// A second name for a file's bytes; the target must not exist.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; open readers keep theirs.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and the folders above it; fine if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with its files.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a folder (created, renamed, removed) durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Names of the entries of a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Length of a file, or `None` if there is none.
    fn file_len(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Cuts a file to its first `len` bytes and makes that durable. Only for the journals of the
    /// log's store, which are not this crate's files: a segment is never changed.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Bytes that a folder with everything below it takes on its volume: blocks in use, which for
    /// a sparse file are fewer than its length. Files that vanish meanwhile do not count.
    fn stored_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Bytes that can still be written to the volume that holds `path` (an existing folder or
    /// file).
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// Whether a read failed because the disk no longer has the bytes, and not for another reason that
/// may pass.
pub(crate) fn is_medium_error(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        // What a file system says of a sector that cannot be read, or of its own checksum.
        [Errno::IO, Errno::NODATA, Errno::BADMSG]
            .into_iter()
            .any(|e| Errno::from_io_error(error) == Some(e))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// An open file.
pub trait VfsFile: Send + Sync + Debug {
    /// Writes all of `bytes` at `offset`; a gap before `offset` reads as zeros.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Makes the file's bytes durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// The whole file, as long as it is now, as memory. Bytes that are written later may or may
    /// not show.
    fn map(&self) -> io::Result<Region>;
    /// The first range at or after `offset` that may hold bytes other than zero; `None` if there is
    /// none. Where holes of sparse files cannot be told, that is all of the rest.
    fn data_range(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.len()?;
        Ok((offset < len).then_some(offset..len))
    }
    /// Guards the file against accidental writes (mode 0444) once it is complete. A courtesy to
    /// people who work in the folder, nothing relies on it; the default does nothing.
    fn seal(&self) -> io::Result<()> {
        Ok(())
    }
}
