//! Damage to the log: a database opens with everything that was acknowledged, or is refused with
//! an error that names the place. fjall alone would drop what lies behind a flipped length.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use vecstore::{Collection, Database, Durability, ErrorKind, Metric, Options, Record};
use vecstore_tests::folder_image::{FileImage, FolderImage};
use vecstore_tests::{Contents, everything};

/// A database as a crash leaves it: the files, and what each number of commits amounts to.
struct Crashed {
    image: FolderImage,
    journal: Vec<u8>,
    journal_len: u64,
    states: Vec<Contents>,
}

const JOURNAL: &str = "kv-1/0.jnl";

/// Some commits, and a copy of the folder while the database has it open.
fn crashed(reopened: bool) -> Crashed {
    let dir = tempfile::tempdir().unwrap();
    let mut db = open(dir.path()).unwrap();
    let mut docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    let mut states = vec![Contents::new()];
    for n in 0..5_u64 {
        if reopened && n == 2 {
            drop((docs, db));
            db = open(dir.path()).unwrap();
            docs = db.collection("docs").unwrap();
        }
        if n == 3 {
            assert!(docs.remove(0).unwrap());
        } else {
            let record = |id| Record::new(id, [n as f32, 0.5]).metadata(json!({"n": n}));
            docs.batch_upsert(vec![record(n), record(100)]).unwrap();
        }
        states.push(everything(&docs).unwrap());
    }
    Crashed::of(dir.path(), states)
}

fn open(dir: &Path) -> vecstore::Result<Database> {
    let options = Options { threads: 1, background_merge: false, ..Options::default() };
    Database::open_existing(dir, options.clone()).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Database::open_with(dir, options),
        _ => Err(error),
    })
}

impl Crashed {
    fn of(root: &Path, states: Vec<Contents>) -> Self {
        let mut image = FolderImage::of(root);
        let journal = image.files.remove(Path::new(JOURNAL)).unwrap();
        Crashed { image, journal: journal.bytes, journal_len: journal.len, states }
    }

    /// Lays out the folder with another journal.
    fn lay_out(&self, journal: &[u8], journal_len: u64) -> tempfile::TempDir {
        let dir = self.image.lay_out();
        put_journal(dir.path(), journal, journal_len);
        dir
    }

    /// The number of commits whose outcome the database holds.
    fn commits(&self, db: &Database) -> usize {
        let found = everything(&db.collection("docs").unwrap()).unwrap();
        self.states.iter().rposition(|state| *state == found).expect("a state that there was")
    }

    /// Where each batch begins, and the end.
    fn batches(&self) -> Vec<usize> {
        let ends = self.journal.windows(4).enumerate().filter(|(_, w)| *w == b"FJL\x03");
        std::iter::once(0).chain(ends.map(|(at, _)| at + 4)).collect()
    }
}

fn put_journal(dir: &Path, journal: &[u8], len: u64) {
    FileImage { bytes: journal.to_vec(), len }.write(&dir.join(JOURNAL));
}

#[test]
fn every_flipped_byte_of_the_log_is_refused_or_harmless() {
    let (mut refused, mut harmless) = (0, 0);
    for reopened in [false, true] {
        let crashed = crashed(reopened);
        let last = crashed.states.len() - 1;
        let mut dir = crashed.lay_out(&crashed.journal, crashed.journal_len);
        for at in 0..crashed.journal.len() {
            for flip in [1 << (at % 8), 0xff] {
                let mut journal = crashed.journal.clone();
                journal[at] ^= flip;
                put_journal(dir.path(), &journal, crashed.journal_len);
                match open(dir.path()) {
                    Err(error) => {
                        refused += 1;
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
                        let message = error.to_string();
                        assert!(message.contains("0.jnl"), "byte {at}: {message}");
                        // Nothing was touched.
                        let kept = fs::metadata(dir.path().join(JOURNAL)).unwrap().len();
                        assert_eq!(kept, crashed.journal_len, "byte {at}");
                    }
                    Ok(db) => {
                        harmless += 1;
                        assert_eq!(crashed.commits(&db), last, "byte {at} ^ {flip:#x}");
                        drop(db);
                        dir = crashed.lay_out(&crashed.journal, crashed.journal_len);
                    }
                }
            }
        }
    }
    println!("{refused} flips refused, {harmless} harmless, 0 silent");
    assert!(refused > 30 * harmless, "most flips hit something");
}

#[test]
fn a_log_cut_anywhere_opens_with_the_whole_commits_before_the_cut() {
    let crashed = crashed(false);
    let batches = crashed.batches();
    let last = crashed.states.len() - 1;
    let last_batch = batches[batches.len() - 2];
    // The file ends there, or what was to follow was not written.
    for (cut, as_hole) in
        (last_batch..crashed.journal.len()).flat_map(|cut| [(cut, false), (cut, true)])
    {
        let len = if as_hole { crashed.journal_len } else { cut as u64 };
        let dir = crashed.lay_out(&crashed.journal[..cut], len);
        // What is left may end like a finished batch: a cut through its last byte.
        let through_last_byte = cut + 1 == crashed.journal.len() && as_hole;
        let db = match open(dir.path()) {
            Ok(db) => db,
            Err(error) => {
                assert!(through_last_byte, "cut at {cut}: {error}");
                continue;
            }
        };
        assert_eq!(crashed.commits(&db), last - 1, "cut at {cut}, hole: {as_hole}");
        let told = db.stats().unwrap().log_recovery;
        assert_eq!(told.is_some(), cut > last_batch, "cut at {cut}: {told:?}");
        // It goes on from there, and the next time there is nothing to tell.
        let docs = db.collection("docs").unwrap();
        docs.upsert(Record::new(7, [7.0, 7.0])).unwrap();
        drop((docs, db));
        let db = open(dir.path()).unwrap();
        assert_eq!(db.stats().unwrap().log_recovery, None);
        assert!(db.collection("docs").unwrap().get(7).unwrap().is_some());
    }
}

#[test]
fn a_sector_that_is_missing_in_the_last_batch_is_an_unfinished_commit() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(400, Metric::Euclidean)).unwrap();
    docs.upsert(Record::new(1, vec![1.5; 400])).unwrap();
    let before = fs::read(dir.path().join(JOURNAL)).unwrap();
    let end = before.len() - before.iter().rev().take_while(|&&b| b == 0).count();
    docs.upsert(Record::new(2, vec![2.5; 400])).unwrap();
    let crashed = Crashed::of(dir.path(), vec![]);
    let check = |from: usize, fine: bool| {
        let mut journal = crashed.journal.clone();
        journal[from..from + 512].fill(0);
        let dir = crashed.lay_out(&journal, crashed.journal_len);
        match open(dir.path()) {
            Ok(db) => {
                let docs = db.collection("docs").unwrap();
                assert!(fine, "sector at {from}");
                assert!(docs.get(1).unwrap().is_some() && docs.get(2).unwrap().is_none());
            }
            Err(error) => assert!(!fine, "sector at {from}: {error}"),
        }
    };
    let sector = end.next_multiple_of(512);
    check(sector, true);
    check(sector + 512, true);
    // Of a batch before the last one it is damage.
    check(end - 1_024, false);
}

#[test]
fn repair_keeps_what_lies_before_the_damage_and_says_what_it_drops() {
    let crashed = crashed(false);
    let batches = crashed.batches();
    let whole = batches.len() - 1;
    // Batches 0 and 1 are the id and the collection.
    for damaged in 2..whole {
        let mut journal = crashed.journal.clone();
        journal[batches[damaged] + 20] ^= 0x10;
        let dir = crashed.lay_out(&journal, crashed.journal_len);
        let error = open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&format!("byte {}", batches[damaged])), "{error}");
        let report = Database::repair(dir.path()).unwrap();
        assert_eq!(report.batches_kept, damaged as u64);
        assert_eq!(report.batches_dropped, (whole - damaged) as u64);
        assert!(report.place.is_some());
        let db = open(dir.path()).unwrap();
        assert_eq!(crashed.commits(&db), damaged - 2);
        assert_eq!(db.stats().unwrap().seq, report.seq);
        drop(db);
        let again = Database::repair(dir.path()).unwrap();
        assert_eq!((again.place, again.batches_dropped), (None, 0));
    }
}

#[test]
fn a_log_that_was_emptied_or_rolled_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let db = open(path).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    docs.upsert(Record::new(1, [1.0, 2.0])).unwrap();
    drop((docs, db));
    let old = FolderImage::of(path);
    let db = open(path).unwrap();
    db.collection("docs").unwrap().upsert(Record::new(2, [1.0, 2.0])).unwrap();
    drop(db);
    let new = FolderImage::of(path);

    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()).unwrap());
    let others = FolderImage::of(other.path());

    let of_log = |path: &Path| path.starts_with("kv-1");
    let without_log = new.only(|path| !of_log(path));
    let with_log_of = |log: &FolderImage| {
        let dir = without_log.lay_out();
        log.only(of_log).write(dir.path());
        dir
    };
    let refused = |dir: &tempfile::TempDir, expected: &str| {
        let error = open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    drop(open(with_log_of(&new).path()).unwrap());
    let rolled_back = with_log_of(&old);
    refused(&rolled_back, "the log ends with commit 2, but commit 3 was on disk");
    refused(&without_log.lay_out(), "folder of the log is missing");
    refused(&with_log_of(&others), "of another database");
    let without_journal = new.only(|path| !path.ends_with("0.jnl"));
    refused(&without_journal.lay_out(), "the journal is missing");
    let stray = new.lay_out();
    fs::create_dir(stray.path().join("kv-1/keyspaces/mine")).unwrap();
    assert_eq!(open(stray.path()).unwrap_err().kind(), ErrorKind::Conflict);

    // Somebody who has nothing better can go on with the old log.
    assert_eq!(Database::repair(rolled_back.path()).unwrap().seq, 2);
    let db = open(rolled_back.path()).unwrap();
    assert_eq!(everything(&db.collection("docs").unwrap()).unwrap().len(), 1);
}

#[test]
fn commits_that_were_not_synced_may_be_lost_but_none_before_the_last_flush() {
    let options = Options { durability: Durability::None, threads: 1, ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(dir.path(), options).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    let upsert = |id: u64| {
        docs.upsert(Record::new(id, [id as f32, 0.0])).unwrap();
    };
    upsert(1);
    docs.flush().unwrap();
    (2..6).for_each(upsert);
    let crashed = Crashed::of(dir.path(), vec![]);
    let batches = crashed.batches();
    let open_damaged = |batch: usize| {
        let mut journal = crashed.journal.clone();
        journal[batches[batch] + 20] ^= 0x10;
        let dir = crashed.lay_out(&journal, crashed.journal_len);
        open(dir.path()).map(|db| (everything(&db.collection("docs").unwrap()).unwrap(), db, dir))
    };
    let whole = batches.len() - 1;
    // The last four batches came after the flush.
    for lost in 1..=4 {
        let (found, db, _dir) = open_damaged(whole - lost).unwrap();
        assert_eq!(found.len(), 5 - lost, "{lost} lost");
        let told = db.stats().unwrap().log_recovery.unwrap();
        assert!(told.contains("0.jnl"), "{told}");
    }
    // Id and collection: since the flush no journal is needed for them, nor for what was flushed.
    for batch in 0..2 {
        let (found, _db, _dir) = open_damaged(batch).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [1.into()], "batch {batch}");
    }
    // The commit that was flushed: what lies before it names an older one.
    assert_eq!(open_damaged(2).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn every_flipped_byte_of_current_is_refused_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    drop(db);
    let path = dir.path().join("CURRENT");
    let good = fs::read(&path).unwrap();
    let mut kinds = BTreeSet::new();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        kinds.insert(open(dir.path()).unwrap_err().kind().name());
    }
    assert_eq!(kinds, BTreeSet::from(["corrupt"]));
    println!("{} flips of CURRENT refused", good.len() * 8);
    Database::repair(dir.path()).unwrap();
    assert_eq!(open(dir.path()).unwrap().collections().unwrap(), ["docs"]);
}
