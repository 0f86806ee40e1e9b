//! Repair that is cut off itself, and damage in journals that are read in several pieces.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use vecstore::simulation::{OsVfs, Region, Vfs, VfsFile, repair_over};
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Record, RecordId};
use vecstore_tests::folder_image::FolderImage;
use vecstore_tests::{Random, everything};

const JOURNAL: &str = "kv-1/0.jnl";

/// A folder as a crash leaves it.
struct Kept(FolderImage);

impl Kept {
    fn of(root: &Path) -> Self {
        Kept(FolderImage::of(root))
    }

    /// Tables that the store has written of what is in its journal too.
    fn tables(&self) -> usize {
        let folders = self.0.files.keys().filter_map(|path| path.parent());
        folders.filter(|folder| folder.ends_with("tables")).count()
    }

    fn journal(&self) -> &[u8] {
        &self.0.files[Path::new(JOURNAL)].bytes
    }

    /// Where each batch ends.
    fn batch_ends(&self) -> Vec<usize> {
        let marks = self.journal().windows(4).enumerate().filter(|(_, w)| *w == b"FJL\x03");
        marks.map(|(at, _)| at + 4).collect()
    }

    /// The folder, with one byte of the journal flipped.
    fn lay_out(&self, flipped: Option<usize>) -> tempfile::TempDir {
        let mut image = self.0.clone();
        if let Some(at) = flipped {
            image.files.get_mut(Path::new(JOURNAL)).unwrap().bytes[at] ^= 0x10;
        }
        image.lay_out()
    }
}

fn options() -> Options {
    Options { threads: 1, background_merge: false, ..Options::default() }
}

/// A folder as a crash leaves it after so many commits of about so many bytes.
fn commits(count: u64, bytes: usize) -> Kept {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(dir.path(), options()).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    fill(&docs, 0..count, bytes);
    Kept::of(dir.path())
}

fn fill(docs: &Collection, ids: Range<u64>, bytes: usize) {
    let mut random = Random::new(1);
    for n in ids {
        let text: String = (0..bytes).map(|_| char::from(b'!' + random.below(90) as u8)).collect();
        docs.upsert(Record::new(n, [n as f32, 1.0]).metadata(json!({"text": text}))).unwrap();
    }
}

/// A folder as a crash leaves it when the store has moved records out of its journal: enough commits
/// that it does so, and then some more.
fn moved() -> Kept {
    const COMMITS: u64 = 70;
    let deadline = Instant::now() + Duration::from_secs(60);
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(dir.path(), options()).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    fill(&docs, 0..COMMITS, 300_000);
    while Kept::of(dir.path()).tables() == 0 {
        assert!(Instant::now() < deadline, "the store keeps everything in its journal");
        std::thread::sleep(Duration::from_millis(50));
    }
    fill(&docs, COMMITS..COMMITS + 4, 300);
    Kept::of(dir.path())
}

#[test]
fn what_was_moved_out_of_the_journal_goes_with_the_commits_that_are_dropped() {
    let kept = moved();
    let ends = kept.batch_ends();
    let before_records = ends.len() - 74;
    // In front of what was moved, in the middle of it, and behind it.
    for commit in [0, 1, 30, 50, 73] {
        let dir = kept.lay_out(Some(ends[before_records - 1 + commit] + 20));
        let report = Database::repair(dir.path()).unwrap();
        assert_eq!(report.batches_kept as usize, before_records + commit, "commit {commit}");
        let db = Database::open_existing(dir.path(), options()).unwrap();
        let docs = db.collection("docs").unwrap();
        let ids: Vec<RecordId> = everything(&docs).unwrap().into_keys().collect();
        let expected: Vec<RecordId> = (0..commit as u64).map(RecordId::from).collect();
        assert_eq!(ids, expected, "commit {commit}");
        // The numbers that became free are given out again.
        docs.upsert(Record::new(1_000, [0.0, 1.0])).unwrap();
        drop((docs, db));
        assert_eq!(records(dir.path()), commit + 1, "commit {commit}, opened again");
    }
}

#[test]
fn what_a_segment_has_is_kept_where_its_rows_have_left_the_log() {
    const COMMITS: u64 = 70;
    let deadline = Instant::now() + Duration::from_secs(60);
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(dir.path(), options()).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    fill(&docs, 0..COMMITS, 30_000);
    docs.flush().unwrap();
    let tables = Kept::of(dir.path()).tables();
    // So much that the store moves it out of its journal, and with it that the rows before are gone.
    fill(&docs, COMMITS..COMMITS + 60, 300_000);
    while Kept::of(dir.path()).tables() == tables {
        assert!(Instant::now() < deadline, "the store keeps everything in its journal");
        std::thread::sleep(Duration::from_millis(50));
    }
    let kept = Kept::of(dir.path());
    drop((docs, db));
    let ends = kept.batch_ends();
    let entry = kept.journal().windows(4).position(|window| window == b".seg").unwrap();
    let installs = ends.iter().position(|&end| end > entry).unwrap();
    // Before the entry of the segment, in the batches that remove the rows, and behind.
    for batch in [installs - 60, installs - 1, installs, installs + 1, installs + 2, installs + 30]
    {
        let folder = kept.lay_out(Some(ends[batch - 1] + 20));
        copy_segments(dir.path(), folder.path());
        let report = Database::repair(folder.path()).unwrap();
        let db = Database::open_existing(folder.path(), options()).unwrap();
        assert_eq!(db.verify().unwrap().problems, Vec::<String>::new());
        let docs = db.collection("docs").unwrap();
        let ids: Vec<RecordId> = everything(&docs).unwrap().into_keys().collect();
        let expected: Vec<RecordId> = (0..ids.len() as u64).map(RecordId::from).collect();
        assert_eq!(ids, expected, "batch {batch}");
        assert!(ids.len() as u64 >= COMMITS, "batch {batch}: {} records", ids.len());
        // As of the commit that is named: the first creates the collection.
        assert_eq!(report.seq, ids.len() as u64 + 1, "batch {batch}");
    }
}

fn copy_segments(from: &Path, to: &Path) {
    for entry in fs::read_dir(from.join("seg")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join("seg").join(entry.file_name())).unwrap();
    }
}

fn records(dir: &Path) -> usize {
    let db = Database::open_existing(dir, options()).unwrap();
    everything(&db.collection("docs").unwrap()).unwrap().len()
}

#[test]
fn a_journal_of_several_pieces_is_read_like_one() {
    // Batches of 300 KB, read a megabyte at a time.
    let kept = commits(24, 300_000);
    let ends = kept.batch_ends();
    let before_records = ends.len() - 24;
    assert!(kept.journal().len() > 5 << 20);
    let whole = kept.lay_out(None);
    assert_eq!(records(whole.path()), 24);
    let mut random = Random::new(2);
    for (at, range) in ends.windows(2).enumerate().skip(before_records - 1) {
        let batch = at + 1;
        let byte = range[0] + random.below((range[1] - range[0]) as u64) as usize;
        let dir = kept.lay_out(Some(byte));
        let error = Database::open_existing(dir.path(), options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "batch {batch}, byte {byte}: {error}");
        let place = format!("damaged at byte {}:", range[0]);
        assert!(error.to_string().contains(&place), "batch {batch}, byte {byte}: {error}");
        let report = Database::repair(dir.path()).unwrap();
        assert_eq!(report.batches_kept, batch as u64);
        assert_eq!(records(dir.path()), batch - before_records, "batch {batch}, byte {byte}");
    }
}

/// The operating system's files, until the process ends in front of a call that changes something.
#[derive(Debug)]
struct Ends {
    calls: Arc<AtomicU64>,
    after: u64,
}

impl Ends {
    fn change<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= self.after {
            return Err(io::Error::other("the process has ended"));
        }
        call()
    }
}

#[derive(Debug)]
struct EndsFile {
    ends: Ends,
    file: Box<dyn VfsFile>,
}

impl Vfs for Ends {
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let file = self.change(|| OsVfs.create(path))?;
        let ends = Ends { calls: Arc::clone(&self.calls), after: self.after };
        Ok(Box::new(EndsFile { ends, file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        OsVfs.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| OsVfs.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| OsVfs.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|| OsVfs.remove_file(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(|| OsVfs.create_dir_all(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(|| OsVfs.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|| OsVfs.sync_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        OsVfs.list(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        OsVfs.file_len(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.change(|| OsVfs.truncate(path, len))
    }

    fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
        OsVfs.stored_bytes(dir)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        OsVfs.free_bytes(path)
    }
}

impl VfsFile for EndsFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.ends.change(|| self.file.write_at(offset, bytes))
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.ends.change(|| self.file.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self) -> io::Result<Region> {
        self.file.map()
    }

    fn data_range(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.file.data_range(offset)
    }
}

#[test]
fn a_repair_that_was_cut_off_can_be_done_again() {
    let kept = commits(8, 40);
    let ends = kept.batch_ends();
    let before_records = ends.len() - 8;
    for lost in [1, 4] {
        let damaged = ends[ends.len() - 1 - lost] + 20;
        let mut after = 0;
        loop {
            let dir = kept.lay_out(Some(damaged));
            let vfs = Arc::new(Ends { calls: Arc::default(), after });
            let cut_off = repair_over(vfs, dir.path());
            let done = cut_off.is_ok();
            if let Err(error) = cut_off {
                assert_eq!(error.kind(), ErrorKind::Io, "in front of call {after}: {error}");
                Database::repair(dir.path())
                    .unwrap_or_else(|error| panic!("in front of call {after}, again: {error}"));
            }
            let found = records(dir.path());
            assert_eq!(found, ends.len() - lost - before_records, "in front of call {after}");
            if done {
                break;
            }
            after += 1;
        }
        println!("{lost} commits lost: cut off in front of each of {after} calls");
        assert!(after >= 2, "repair hardly changed anything: the test shows nothing");
    }
}
