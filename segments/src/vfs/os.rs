//! The operating system's files.

use std::fs::{self, File, OpenOptions};
use std::io;
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::path::Path;

use super::{Region, Vfs, VfsFile};

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(OsFile::new(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile::new(File::open(path)?)))
    }

    #[cfg(target_os = "linux")]
    fn read_uncached(&self, path: &Path, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
        super::direct::read(path, offset, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The parent of a relative name is the empty path.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // Elsewhere a folder cannot be opened as a file, and its names need no call of their own.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let counted = match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.stored_bytes(&entry.path()),
                Ok(metadata) => Ok(blocks(&metadata)),
                Err(error) => Err(error),
            };
            match counted {
                Ok(n) => bytes += n,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    #[cfg(unix)]
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(path)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }

    #[cfg(not(unix))]
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "free space of a volume cannot be asked for on this platform",
        ))
    }
}

/// Bytes of the blocks a file uses, where the system tells.
fn blocks(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata) * 512;
    #[cfg(not(unix))]
    return metadata.len();
}

#[derive(Debug)]
struct OsFile {
    file: File,
    /// Where the system has no positioned calls, the file's one position is guarded.
    #[cfg(not(any(unix, windows)))]
    position: parking_lot::Mutex<()>,
}

impl OsFile {
    fn new(file: File) -> Self {
        OsFile {
            file,
            #[cfg(not(any(unix, windows)))]
            position: parking_lot::Mutex::new(()),
        }
    }
}

impl VfsFile for OsFile {
    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    bytes = &mut bytes[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    #[cfg(not(any(unix, windows)))]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        use io::{Seek, Write};
        let _position = self.position.lock();
        (&self.file).seek(io::SeekFrom::Start(offset))?;
        (&self.file).write_all(bytes)
    }

    #[cfg(not(any(unix, windows)))]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        use io::{Read, Seek};
        let _position = self.position.lock();
        (&self.file).seek(io::SeekFrom::Start(offset))?;
        (&self.file).read_exact(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(target_os = "linux")]
    fn data_range(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;
        let len = self.len()?;
        if offset >= len {
            return Ok(None);
        }
        // The file's one position moves, which no positioned call looks at.
        let start = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            // A file system that does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(offset..len)),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(start..seek(&self.file, SeekFrom::Hole(start))?))
    }

    fn map(&self) -> io::Result<Region> {
        // SAFETY: the mapping is sound as long as nobody changes or shortens the mapped bytes.
        // This crate writes each byte of a file once, before it maps it, and only unlinks sealed
        // files; a sealed file is read-only for others too (`seal`).
        let map = unsafe { memmap2::Mmap::map(&self.file)? };
        Ok(Region::mapped(map))
    }

    #[cfg(unix)]
    fn seal(&self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.file.set_permissions(fs::Permissions::from_mode(0o444))
    }
}
