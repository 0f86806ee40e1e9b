//! Generated histories against a plain map: after every step the database holds what the map
//! holds, whatever was flushed, merged, reopened, kept or restored in between.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};
use vecstore::{Codes, Collection, Database, Metric, Options, Precision, Record, RecordId};
use vecstore_tests::{Contents, Random, everything, nearest};

const DIM: usize = 4;
const IDS: u64 = 40;

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<u64>),
    Remove(u64),
    RemoveWhere(u8),
    Update(u64, u8),
    UpdateWhere(u8, u8),
    RemoveNamespace,
    Flush,
    Optimize,
    Reopen,
    Snapshot,
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(0..IDS, 1..12).prop_map(Step::Upsert),
        3 => (0..IDS).prop_map(Step::Remove),
        1 => (0..4_u8).prop_map(Step::RemoveWhere),
        1 => (0..IDS, 0..4_u8).prop_map(|(id, group)| Step::Update(id, group)),
        1 => (0..4_u8, 0..4_u8).prop_map(|(from, to)| Step::UpdateWhere(from, to)),
        1 => Just(Step::RemoveNamespace),
        2 => Just(Step::Flush),
        1 => Just(Step::Optimize),
        1 => Just(Step::Reopen),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restore),
    ]
}

/// A database beside the map it must equal.
struct Pair {
    dir: tempfile::TempDir,
    db: Option<Database>,
    contents: Contents,
    kept: Option<Contents>,
    precision: Precision,
    random: Random,
}

impl Pair {
    fn new(precision: Precision, codes: Codes, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir);
        let options = Collection::options(DIM, Metric::Euclidean).precision(precision).codes(codes);
        db.create_collection("docs", options).unwrap();
        let (contents, random) = (Contents::new(), Random::new(seed));
        Pair { dir, db: Some(db), contents, kept: None, precision, random }
    }

    fn db(&self) -> &Database {
        self.db.as_ref().expect("open between steps")
    }

    fn docs(&self) -> Collection {
        self.db().collection("docs").unwrap()
    }

    fn apply(&mut self, step: &Step) {
        let docs = self.docs();
        match step {
            Step::Upsert(ids) => {
                let records: Vec<Record> = ids
                    .iter()
                    .map(|&id| {
                        let metadata = json!({"group": self.random.below(4), "id": id});
                        Record::new(id, self.random.vector(DIM)).metadata(metadata)
                    })
                    .collect();
                docs.batch_upsert(records.clone()).unwrap();
                for Record { id, mut vector, metadata } in records {
                    self.precision.round(&mut vector);
                    let Value::Object(metadata) = metadata else { continue };
                    self.contents.insert(id, (vector, metadata));
                }
            }
            Step::Remove(id) => {
                let was_there = self.contents.remove(&(*id).into()).is_some();
                assert_eq!(docs.remove(*id).unwrap(), was_there, "remove {id}");
            }
            Step::RemoveWhere(group) => {
                let before = self.contents.len();
                self.contents.retain(|_, (_, metadata)| metadata["group"] != *group);
                let removed = docs.remove_where(&format!("group = {group}")).unwrap();
                assert_eq!(removed as usize, before - self.contents.len());
            }
            Step::Update(id, group) => {
                let record = self.contents.get_mut(&(*id).into());
                let updated = docs.update(*id, json!({"group": group})).unwrap();
                assert_eq!(updated, record.is_some(), "update {id}");
                if let Some((_, metadata)) = record {
                    metadata.insert("group".to_owned(), json!(group));
                }
            }
            Step::UpdateWhere(from, to) => {
                let mut count = 0;
                for (_, metadata) in self.contents.values_mut().filter(|r| r.1["group"] == *from) {
                    metadata.insert("group".to_owned(), json!(to));
                    count += 1;
                }
                let patch = json!({"group": to});
                assert_eq!(docs.update_where(&format!("group = {from}"), patch).unwrap(), count);
            }
            Step::RemoveNamespace => {
                let removed = docs.remove_namespace("").unwrap();
                assert_eq!(removed as usize, self.contents.len());
                self.contents.clear();
            }
            Step::Flush => docs.flush().unwrap(),
            Step::Optimize => {
                self.db().optimize().unwrap();
            }
            Step::Reopen => {
                drop(docs);
                self.db = None;
                self.db = Some(open(&self.dir));
            }
            Step::Snapshot => {
                if self.kept.is_some() {
                    self.db().remove_snapshot("kept").unwrap();
                }
                let info = self.db().create_snapshot("kept").unwrap();
                assert_eq!(info.records, self.contents.len() as u64);
                self.kept = Some(self.contents.clone());
            }
            Step::Restore => {
                if let Some(kept) = &self.kept {
                    self.db().restore_snapshot("kept").unwrap();
                    self.contents = kept.clone();
                }
            }
        }
    }

    fn check(&mut self) {
        let docs = self.docs();
        assert_eq!(everything(&docs).unwrap(), self.contents);
        assert_eq!(docs.count(None).unwrap(), self.contents.len() as u64);
        let (ids, vectors): (Vec<&RecordId>, Vec<Vec<f32>>) =
            self.contents.iter().map(|(id, (vector, _))| (id, vector.clone())).unzip();
        let query = self.random.vector(DIM);
        let truth = nearest(Metric::Euclidean, &vectors, &query, 5, |_| true);
        let hits = docs.query(&query).k(5).exact().run().unwrap();
        let found: Vec<&RecordId> = hits.iter().map(|hit| &hit.id).collect();
        assert_eq!(found, truth.iter().map(|&at| ids[at]).collect::<Vec<_>>());
        let group = self.random.below(4);
        let in_group = self.contents.values().filter(|(_, m)| m["group"] == group).count();
        assert_eq!(docs.count(Some(&format!("group = {group}"))).unwrap(), in_group as u64);
        let absent = RecordId::from(IDS);
        assert_eq!(docs.get(&absent).unwrap(), None);
    }
}

fn open(dir: &tempfile::TempDir) -> Database {
    let options = Options { memtable_bytes_max: 1 << 16, threads: 1, ..Options::default() };
    Database::open_with(dir.path(), options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// 200 histories; `PROPTEST_CASES` sets another number.
    #[test]
    fn a_database_is_a_map(
        precision in prop::sample::select(Precision::ALL.to_vec()),
        codes in prop::sample::select(Codes::ALL.to_vec()),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut pair = Pair::new(precision, codes, seed);
        for step in &steps {
            pair.apply(step);
            pair.check();
        }
        pair.apply(&Step::Reopen);
        pair.check();
    }
}
