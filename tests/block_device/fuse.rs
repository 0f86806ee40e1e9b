//! A disk as a file: a file system of one file, which is its own root, spoken to over `/dev/fuse`.
//!
//! Only what a loop device and `mkfs` ask of a file is answered: its attributes, reads, writes and
//! syncs. Everything else is refused as unknown, which the kernel takes for "not supported".

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::mount::{MountFlags, UnmountFlags};

use super::disk::{Disk, Event};

/// Bytes of a write at most.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// The mode of a regular file that its owner may read and write.
const MODE: u32 = 0o100_600;

// Numbers of requests; `linux/fuse.h`.
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

/// A disk and what was done to it.
#[derive(Debug)]
pub struct Recorder {
    inner: Mutex<(Disk, Vec<Event>)>,
}

impl Recorder {
    /// Of this disk.
    pub fn new(disk: Disk) -> Arc<Self> {
        Arc::new(Recorder { inner: Mutex::new((disk, Vec::new())) })
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.inner.lock().1.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The disk as it is now, and what was done since the last time.
    pub fn take(&self) -> (Disk, Vec<Event>) {
        let mut inner = self.inner.lock();
        let events = std::mem::take(&mut inner.1);
        (inner.0.clone(), events)
    }
}

/// A disk that is shown as a file, until this is dropped.
#[derive(Debug)]
pub struct ShownDisk {
    folder: tempfile::TempDir,
    server: Option<JoinHandle<()>>,
}

impl ShownDisk {
    /// Shows the recorder's disk. `Err` says why it cannot be here.
    pub fn new(recorder: Arc<Recorder>) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut shown = ShownDisk { folder, server: None };
        let file = shown.path();
        File::create(&file).map_err(|e| e.to_string())?;
        let (told, outcome) = mpsc::channel();
        let server = std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            match mount(&file) {
                Ok(device) => {
                    // Nobody waits only where `new` has panicked.
                    let _ = told.send(Ok(()));
                    serve(device, &recorder);
                }
                Err(why) => drop(told.send(Err(why))),
            }
        });
        let server = server.map_err(|e| e.to_string())?;
        match outcome.recv() {
            Ok(Ok(())) => shown.server = Some(server),
            Ok(Err(why)) => return Err(why),
            Err(_) => return Err("the thread of the disk has ended".to_owned()),
        }
        Ok(shown)
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }
}

impl Drop for ShownDisk {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        // A loop device lets go a little after it was unmounted.
        let deadline = Instant::now() + Duration::from_secs(10);
        while rustix::mount::unmount(self.path(), UnmountFlags::empty()).is_err() {
            if Instant::now() > deadline {
                // It goes when its last user does; then the thread ends as well.
                let _ = rustix::mount::unmount(self.path(), UnmountFlags::DETACH);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = server.join();
    }
}

/// Connects to the kernel and mounts the disk over the file `path`.
fn mount(path: &Path) -> Result<File, String> {
    // SAFETY: this thread alone stops sharing its table of open files, and has none that another
    // thread was to close for it. So the connection ends with this thread, also if the process is
    // killed: nothing then waits for an answer for ever.
    let apart = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) };
    apart.map_err(|e| format!("unshare: {e}"))?;
    let device = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(|e| format!("/dev/fuse: {e}"))?;
    let options = format!("fd={},rootmode={MODE:o},user_id=0,group_id=0", device.as_raw_fd());
    let options = CString::new(options).map_err(|e| e.to_string())?;
    rustix::mount::mount(
        "disk",
        path,
        "fuse",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(options.as_c_str()),
    )
    .map_err(|e| format!("mount of a fuse file system: {e}"))?;
    Ok(device)
}

/// Answers until the file system is unmounted.
fn serve(mut device: File, recorder: &Recorder) {
    let mut buffer = vec![0; WRITE_BYTES_MAX + 4096];
    loop {
        let len = match device.read(&mut buffer) {
            Ok(len) => len,
            // A request that was taken back.
            Err(error) if matches!(error.raw_os_error(), Some(2 | 4)) => continue,
            // Unmounted.
            Err(_) => return,
        };
        let Some(request) = Request::read(&buffer[..len]) else { return };
        let Some(answer) = answer(&request, recorder) else { continue };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut out = Vec::with_capacity(16 + body.len());
        out.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
        out.extend_from_slice(&error.to_le_bytes());
        out.extend_from_slice(&request.unique.to_le_bytes());
        out.extend_from_slice(&body);
        let written: io::Result<()> = device.write_all(&out);
        // Whoever asked may be gone.
        drop(written);
    }
}

struct Request<'a> {
    kind: u32,
    unique: u64,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(40)?;
        Some(Request { kind: u32_at(head, 4)?, unique: u64_at(head, 8)?, body })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The body of the answer, or the number of an error; `None` where none is expected.
fn answer(request: &Request<'_>, recorder: &Recorder) -> Option<Result<Vec<u8>, i32>> {
    const EINVAL: i32 = 22;
    const ENOSYS: i32 = 38;
    let place = || {
        let (offset, len) = (u64_at(request.body, 8)?, u32_at(request.body, 16)?);
        Some((offset, len as usize))
    };
    Some(match request.kind {
        FORGET | BATCH_FORGET | INTERRUPT => return None,
        INIT => Ok(init()),
        GETATTR | SETATTR => Ok(attributes(recorder.inner.lock().0.bytes())),
        OPEN => Ok(open()),
        READ => match place() {
            Some((offset, len)) => Ok(recorder.inner.lock().0.read(offset, len)),
            None => Err(EINVAL),
        },
        WRITE => match place().zip(request.body.get(40..)) {
            Some(((offset, len), bytes)) if len == bytes.len() => {
                let mut inner = recorder.inner.lock();
                if offset + len as u64 > inner.0.bytes() {
                    return Some(Err(EINVAL));
                }
                inner.0.write(offset, bytes);
                inner.1.push(Event::Write(offset, bytes.into()));
                let mut written = (len as u32).to_le_bytes().to_vec();
                written.extend_from_slice(&[0; 4]);
                Ok(written)
            }
            _ => Err(EINVAL),
        },
        FSYNC => {
            recorder.inner.lock().1.push(Event::Flush);
            Ok(Vec::new())
        }
        FLUSH | RELEASE | DESTROY => Ok(Vec::new()),
        _ => Err(ENOSYS),
    })
}

/// Version 7.31 of the protocol, and writes of up to [`WRITE_BYTES_MAX`].
fn init() -> Vec<u8> {
    const BIG_WRITES: u32 = 1 << 5;
    const MAX_PAGES: u32 = 1 << 22;
    let mut out = Vec::with_capacity(64);
    for number in [7, 31, 1 << 20, BIG_WRITES | MAX_PAGES] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    // Requests in the background, and from how many on there is a jam.
    out.extend_from_slice(&16_u16.to_le_bytes());
    out.extend_from_slice(&12_u16.to_le_bytes());
    out.extend_from_slice(&(WRITE_BYTES_MAX as u32).to_le_bytes());
    // Times are in nanoseconds.
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&((WRITE_BYTES_MAX / 4096) as u16).to_le_bytes());
    out.resize(64, 0);
    out
}

fn attributes(bytes: u64) -> Vec<u8> {
    let mut out = vec![0; 16];
    // Number, length, blocks, three times.
    for number in [1, bytes, bytes / 512, 0, 0, 0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    // Nanoseconds of the times, mode, names, owner, group, device, length of a block, flags.
    for number in [0, 0, 0, MODE, 1, 0, 0, 0, 4096, 0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

/// Past the system's cache of files: what is on the device is what a file system has written.
fn open() -> Vec<u8> {
    const DIRECT_IO: u32 = 1;
    let mut out = vec![0; 8];
    out.extend_from_slice(&DIRECT_IO.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}
