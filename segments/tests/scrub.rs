//! The scrub of a segment: every block of every section and the head, against what the disk has now.

mod support;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{file_of, memory, options, path_of, read_file, rows_of, sealed, section_of};
use vecstore_index::Metric;
use vecstore_segments::{MemVfs, Segment, SegmentError, Vfs, VfsFile};

const BLOCK: usize = 65_536;
const KINDS: [u32; 18] = [1, 2, 3, 4, 5, 6, 7, 32, 33, 34, 35, 36, 37, 38, 39, 40, 44, 45];

/// A file whose large sections have several blocks, and one graph.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let model = rows_of(&[("", 4_000), ("b", 3_000)], 24, 4);
        let vfs = memory();
        sealed(&vfs, 1, &model, &options(24, Metric::Dot, 4_000));
        read_file(&vfs, &path_of(1))
    })
}

/// All steps of a scrub: bytes, those that came from a cache, and lines.
fn scrub(segment: &Segment, vfs: &dyn Vfs) -> Result<(u64, u64, Vec<String>), SegmentError> {
    let (mut bytes, mut cached, mut lines) = (0, 0, Vec::new());
    let mut at = Some(0);
    while let Some(from) = at {
        let step = segment.scrub(vfs, from)?;
        assert!(step.next.is_none_or(|next| next > from), "it comes to an end");
        assert!(step.bytes < 3 << 20, "a step is short: {}", step.bytes);
        bytes += step.bytes;
        cached += step.cached_bytes;
        lines.extend(step.problems);
        at = step.next;
    }
    Ok((bytes, cached, lines))
}

/// A disk that has bytes of its own, whatever is mapped.
#[derive(Debug)]
struct Disk {
    /// What is mapped.
    files: MemVfs,
    bytes: Vec<u8>,
    /// What cannot be read, and how the system says so.
    lost: Range<usize>,
    error: i32,
    /// So many reads return a flipped byte.
    errs: AtomicU32,
}

impl Disk {
    fn new(good: &[u8], bytes: Vec<u8>) -> Self {
        Disk { files: file_of(good), bytes, lost: 0..0, error: 5, errs: AtomicU32::new(0) }
    }
}

impl Vfs for Disk {
    fn read_uncached(&self, _: &Path, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
        let range = offset as usize..offset as usize + bytes.len();
        if range.start < self.lost.end && range.end > self.lost.start {
            return Err(io::Error::from_raw_os_error(self.error));
        }
        bytes.copy_from_slice(self.bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        let err = |left: u32| left.checked_sub(1);
        if self.errs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, err).is_ok() {
            bytes[0] ^= 1;
        }
        Ok(true)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.files.open(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.files.create(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.create_dir_all(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.files.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.files.list(path)
    }
    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.files.file_len(path)
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.files.truncate(path, len)
    }
    fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.files.stored_bytes(dir)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.files.free_bytes(path)
    }
}

/// What is flipped on the disk is found in every block, though the mapping is right, and readers who
/// had found the block good are told.
#[test]
fn every_block_is_compared_with_the_disk() {
    let good = file();
    let mut blocks = 0;
    for kind in KINDS {
        let section = section_of(good, kind);
        for block in 0..section.len().div_ceil(BLOCK) {
            let mut bytes = good.to_vec();
            bytes[section.start + (block * BLOCK + block * 7 % 100).min(section.len() - 1)] ^= 4;
            let disk = Disk::new(good, bytes);
            let segment = Segment::open(&disk, &path_of(1)).expect("open");
            // Found good, each row of each array, before the disk is asked.
            assert!(
                (0..segment.rows())
                    .step_by(50)
                    .all(|row| { segment.vector(row).is_ok() && segment.record_id(row).is_ok() })
            );
            let (read, cached, lines) = scrub(&segment, &disk).expect("scrub");
            assert!(read as usize > good.len() - 100_000 && cached == 0, "{read} {cached}");
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains(&format!("block {block} does not")), "{lines:?}");
            let (degraded, damage) = (segment.degraded(), segment.damage());
            let (told, other) = if kind < 32 { (damage, degraded) } else { (degraded, damage) };
            assert!(told[0].ends_with(&format!("the first is block {block}")), "{told:?}");
            assert_eq!(other, [""; 0]);
            assert_eq!(segment.has_lost_rows(), (2..32).contains(&kind));
            if kind == 5 {
                let refused = (0..segment.rows()).filter(|row| segment.vector(*row).is_err());
                assert!(refused.count() > 100, "readers are told");
            }
            blocks += 1;
        }
    }
    assert!(blocks > 25, "{blocks}");
}

#[test]
fn the_head_is_compared_too() {
    let good = file();
    let contents = u64::from_le_bytes(good[good.len() - 48..][..8].try_into().expect("8 bytes"));
    let checksums = section_of(good, 64);
    for at in [0, 9, 30, 60, contents as usize + 5, checksums.start + 3, good.len() - 40] {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        let disk = Disk::new(good, bytes);
        let segment = Segment::open(&disk, &path_of(1)).expect("open");
        let (_, _, lines) = scrub(&segment, &disk).expect("scrub");
        assert!(lines.len() == 1 && lines[0].starts_with("head: "), "byte {at}: {lines:?}");
        assert!(segment.damage()[0].starts_with("the head is damaged: "), "{:?}", segment.damage());
        assert!(!segment.has_lost_rows(), "all rows are still there");
    }
}

#[test]
fn a_sector_that_cannot_be_read_is_damage_and_other_errors_are_not() {
    let good = file();
    let vectors = section_of(good, 5);
    let at = vectors.start + 2 * BLOCK + 512;
    let lost = |error| Disk { lost: at..at + 512, error, ..Disk::new(good, good.to_vec()) };
    // EIO and ENODATA.
    for error in [5, 61] {
        let disk = lost(error);
        let segment = Segment::open(&disk, &path_of(1)).expect("open");
        let (_, _, lines) = scrub(&segment, &disk).expect("scrub");
        assert!(
            lines.len() == 1 && lines[0].starts_with("vectors: block 2 cannot be read"),
            "{lines:?}"
        );
        assert!(segment.has_lost_rows());
    }
    // EMFILE says nothing about the disk.
    let disk = lost(24);
    let segment = Segment::open(&disk, &path_of(1)).expect("open");
    assert!(matches!(scrub(&segment, &disk), Err(SegmentError::Io { op: "scrub", .. })));
    assert_eq!(segment.damage(), [""; 0]);
}

#[test]
fn what_is_right_at_a_second_look_is_no_damage() {
    let good = file();
    // The first read is that of the header; the second look at it is right.
    let disk = Disk { errs: AtomicU32::new(1), ..Disk::new(good, good.to_vec()) };
    let segment = Segment::open(&disk, &path_of(1)).expect("open");
    assert_eq!(scrub(&segment, &disk).expect("scrub").2, [""; 0]);
    disk.errs.store(1, Ordering::Relaxed);
    let step = segment.scrub(&disk, 1).expect("scrub");
    assert_eq!(step.problems, [""; 0]);
    assert_eq!((segment.degraded(), segment.damage()), (vec![], vec![]));
}

#[test]
fn where_the_disk_cannot_be_asked_the_cache_is_and_counted() {
    let good = file();
    let vfs = file_of(good);
    let segment = Segment::open(&vfs, &path_of(1)).expect("open");
    let (bytes, cached, lines) = scrub(&segment, &vfs).expect("scrub");
    assert_eq!((bytes, lines), (cached, vec![]));
}
