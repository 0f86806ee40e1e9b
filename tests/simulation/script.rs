//! What a history does, and what must be there after it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use vecstore::{
    Collection, Database, Durability, ErrorKind, Include, Metric, Options, Progress, Record,
    RecordId, Result,
};

use crate::{Random, nearest};

/// Components of a vector.
pub const DIM: usize = 3;
/// Ids that are used.
const IDS: u64 = 24;
const SPACES: [&str; 2] = ["", "other"];
const COLLECTION: &str = "docs";
const SNAPSHOT: &str = "kept";

/// Settings under which the same steps make the same calls.
pub fn options(durability: Durability) -> Options {
    Options {
        durability,
        memtable_bytes_max: 1 << 16,
        threads: 1,
        background_merge: false,
        ..Options::default()
    }
}

/// One step. Records are made from numbers: a record's vector and metadata follow from its number.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ids of a namespace are written, in one batch.
    Upsert(usize, Vec<u64>),
    /// Ids of a namespace are removed, in one batch.
    Remove(usize, Vec<u64>),
    /// A namespace is removed as a whole.
    RemoveNamespace(usize),
    /// The memtable becomes a segment, and while it does a namespace is removed as a whole.
    FlushWhileNamespaceGoes(usize),
    /// The records of a group are removed from a namespace.
    RemoveWhere(usize, u64),
    /// The memtable becomes a segment.
    Flush,
    /// All segments become one.
    Optimize,
    /// The memtable becomes a segment, and while it does ids of a namespace are removed.
    FlushWhile(usize, Vec<u64>),
    /// All segments become one, and while they do ids of a namespace are removed.
    OptimizeWhile(usize, Vec<u64>),
    /// A snapshot is made, after the one before was removed.
    Snapshot,
    /// Back to the snapshot, if there is one.
    Restore,
    /// The collection is dropped and made anew.
    Recreate,
    /// The log is synced.
    Sync,
    /// Closed and opened again.
    Reopen,
}

/// A step, at random.
pub fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0..IDS, 1..6);
    let space = || 0..SPACES.len();
    prop_oneof![
        6 => (space(), ids()).prop_map(|(space, ids)| Step::Upsert(space, ids)),
        3 => (space(), ids()).prop_map(|(space, ids)| Step::Remove(space, ids)),
        1 => (space(), 0..4_u64).prop_map(|(space, group)| Step::RemoveWhere(space, group)),
        3 => Just(Step::Flush),
        2 => Just(Step::Optimize),
        1 => (space(), ids()).prop_map(|(space, ids)| Step::FlushWhile(space, ids)),
        1 => (space(), ids()).prop_map(|(space, ids)| Step::OptimizeWhile(space, ids)),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Restore),
        1 => Just(Step::Recreate),
        1 => space().prop_map(Step::RemoveNamespace),
        1 => space().prop_map(Step::FlushWhileNamespaceGoes),
        1 => Just(Step::Sync),
        2 => Just(Step::Reopen),
    ]
}

/// A history in which every kind of step has something to do.
pub fn each_kind_once() -> Vec<Step> {
    vec![
        Step::Upsert(0, vec![1, 2, 3, 4]),
        Step::FlushWhile(0, vec![2]),
        Step::Upsert(1, vec![1, 5, 6]),
        Step::Snapshot,
        Step::Upsert(0, vec![3, 7]),
        Step::Flush,
        Step::RemoveWhere(0, 1),
        Step::OptimizeWhile(1, vec![5]),
        Step::Restore,
        Step::Upsert(1, vec![8]),
        Step::FlushWhileNamespaceGoes(1),
        Step::Upsert(1, vec![9]),
        Step::Remove(1, vec![6]),
        Step::Reopen,
        Step::Snapshot,
        Step::Optimize,
        Step::Sync,
        Step::Recreate,
        Step::Restore,
    ]
}

/// Namespace and id to the number of the record.
pub type Rows = BTreeMap<(usize, u64), u64>;

/// What a database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Its records; `None` without the collection.
    pub rows: Option<Arc<Rows>>,
    /// What the snapshot holds, if there is one.
    pub kept: Option<Option<Arc<Rows>>>,
    /// Number of the next record.
    next: u64,
}

impl Model {
    /// A database with the empty collection.
    pub fn with_collection() -> Self {
        Model { rows: Some(Arc::default()), ..Model::default() }
    }

    fn rows_mut(&mut self) -> &mut Rows {
        Arc::make_mut(self.rows.get_or_insert_default())
    }

    /// Each state that a step passes through, the last of them being the one it ends in.
    pub fn after(&self, step: &Step) -> Vec<Model> {
        let mut model = self.clone();
        match step {
            Step::Upsert(space, ids) => {
                for id in ids {
                    model.next += 1;
                    let number = model.next;
                    model.rows_mut().insert((*space, *id), number);
                }
            }
            Step::Remove(space, ids)
            | Step::FlushWhile(space, ids)
            | Step::OptimizeWhile(space, ids) => {
                let rows = model.rows_mut();
                rows.retain(|(of, id), _| of != space || !ids.contains(id));
            }
            Step::RemoveNamespace(space) | Step::FlushWhileNamespaceGoes(space) => {
                model.rows_mut().retain(|(of, _), _| of != space);
            }
            Step::RemoveWhere(space, group) => {
                model.rows_mut().retain(|(of, _), number| of != space || *number % 4 != *group);
            }
            Step::Snapshot => {
                let removed = Model { kept: None, ..model.clone() };
                model.kept = Some(model.rows.clone());
                return vec![removed, model];
            }
            Step::Restore => {
                if let Some(kept) = &model.kept {
                    model.rows = kept.clone();
                }
            }
            Step::Recreate => {
                let dropped = Model { rows: None, ..model.clone() };
                model.rows = Some(Arc::default());
                return vec![dropped, model];
            }
            Step::Flush | Step::Optimize | Step::Sync | Step::Reopen => {}
        }
        vec![model]
    }
}

/// The record of a number.
fn record(id: u64, number: u64) -> Record {
    let metadata = json!({"group": number % 4, "number": number});
    Record::new(id, Random::new(number).vector(DIM)).metadata(metadata)
}

/// Does a step to an open database; [`Step::Reopen`] is done by the caller. `acknowledged` is called
/// if the step's change of records is done before the step is.
pub fn run(
    db: &Database,
    model: &Model,
    step: &Step,
    acknowledged: &mut dyn FnMut(),
) -> Result<()> {
    let docs = |space: usize| db.collection(COLLECTION)?.namespace(SPACES[space]);
    let remove = |space: usize, ids: &[u64]| {
        let ids: Vec<RecordId> = ids.iter().map(|&id| id.into()).collect();
        docs(space)?.remove_many(&ids).map(drop)
    };
    let remove_namespace = |space: usize| docs(space)?.remove_namespace(SPACES[space]).map(drop);
    match step {
        Step::Upsert(space, ids) => {
            let numbers = model.next + 1..;
            let records = ids.iter().zip(numbers).map(|(&id, number)| record(id, number));
            docs(*space)?.batch_upsert(records.collect()).map(drop)
        }
        Step::Remove(space, ids) => remove(*space, ids),
        Step::RemoveNamespace(space) => remove_namespace(*space),
        Step::FlushWhile(space, ids) => {
            beside(&mut |told| db.flush_with(told), &|| remove(*space, ids), acknowledged)
        }
        Step::FlushWhileNamespaceGoes(space) => {
            beside(&mut |told| db.flush_with(told), &|| remove_namespace(*space), acknowledged)
        }
        Step::OptimizeWhile(space, ids) => beside(
            &mut |told| db.optimize_with(told).map(drop),
            &|| remove(*space, ids),
            acknowledged,
        ),
        Step::RemoveWhere(space, group) => {
            docs(*space)?.remove_where(&format!("group = {group}")).map(drop)
        }
        Step::Flush => db.flush(),
        Step::Optimize => db.optimize().map(drop),
        Step::Snapshot => {
            if db.list_snapshots()?.iter().any(|snapshot| snapshot.name == SNAPSHOT) {
                db.remove_snapshot(SNAPSHOT)?;
            }
            db.create_snapshot(SNAPSHOT).map(drop)
        }
        Step::Restore => match db.restore_snapshot(SNAPSHOT) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            restored => restored,
        },
        Step::Recreate => {
            if db.collections()?.iter().any(|name| name == COLLECTION) {
                db.drop_collection(COLLECTION)?;
            }
            create(db)
        }
        Step::Sync => db.sync(),
        Step::Reopen => Ok(()),
    }
}

/// Long work that tells how far it is.
type Work<'a> = dyn FnMut(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<()> + 'a;

/// Does `work`, and `change` in the middle of it; behind it if it has no middle.
fn beside(
    work: &mut Work<'_>,
    change: &dyn Fn() -> Result<()>,
    acknowledged: &mut dyn FnMut(),
) -> Result<()> {
    let mut changed = None;
    let done = work(&mut |_| {
        if changed.is_none() {
            let outcome = change();
            if outcome.is_ok() {
                acknowledged();
            }
            changed = Some(outcome);
        }
        ControlFlow::Continue(())
    });
    changed.unwrap_or_else(change)?;
    done
}

/// Makes the collection.
pub fn create(db: &Database) -> Result<()> {
    let settings = Collection::options(DIM, Metric::Euclidean);
    db.create_collection(COLLECTION, settings).map(drop)
}

/// Everything a database holds, as far as the model knows it.
pub fn read(db: &Database) -> Result<Model> {
    let kept = db.list_snapshots()?.iter().any(|snapshot| snapshot.name == SNAPSHOT);
    let kept = kept.then_some(None);
    if db.collections()?.is_empty() {
        return Ok(Model { kept, ..Model::default() });
    }
    let mut rows = Rows::new();
    for (at, space) in SPACES.iter().enumerate() {
        let docs = db.collection(COLLECTION)?.namespace(space)?;
        for page in docs.scroll().include(Include::ALL).limit(1_000).pages()? {
            for found in page?.records {
                let RecordId::U64(id) = found.id else { panic!("an id that nobody gave") };
                let number = found.metadata["number"].as_u64().expect("a number");
                let written = record(id, number);
                assert_eq!(found.vector, written.vector, "a wrong vector");
                assert_eq!(json!(found.metadata), written.metadata, "wrong metadata");
                rows.insert((at, id), number);
            }
        }
    }
    Ok(Model { rows: Some(Arc::new(rows)), kept, next: 0 })
}

/// Whether what was [`read`] is the state `model`.
pub fn is(found: &Model, model: &Model) -> bool {
    has_rows(found, model) && has_snapshot(found, model)
}

/// The records alone.
pub fn has_rows(found: &Model, model: &Model) -> bool {
    found.rows == model.rows
}

/// The snapshot alone.
pub fn has_snapshot(found: &Model, model: &Model) -> bool {
    found.kept.is_some() == model.kept.is_some()
}

/// Checks that look-ups, counts and searches agree with what a scroll found.
pub fn check_reads(db: &Database, found: &Model, random: &mut Random) -> Result<()> {
    let Some(rows) = &found.rows else { return Ok(()) };
    for (at, space) in SPACES.iter().enumerate() {
        let docs = db.collection(COLLECTION)?.namespace(space)?;
        let here: Vec<(u64, u64)> =
            rows.range((at, 0)..(at + 1, 0)).map(|(&(_, id), &number)| (id, number)).collect();
        assert_eq!(docs.count(None)?, here.len() as u64, "count");
        let present: BTreeSet<u64> = here.iter().map(|(id, _)| *id).collect();
        let id = random.below(IDS);
        assert_eq!(docs.get(id)?.is_some(), present.contains(&id), "get {id}");
        let vectors: Vec<Vec<f32>> =
            here.iter().map(|&(_, number)| Random::new(number).vector(DIM)).collect();
        let group = random.below(4);
        let members = here.iter().filter(|(_, number)| number % 4 == group).count();
        assert_eq!(docs.count(Some(&format!("group = {group}")))?, members as u64, "group");
        let query = random.vector(DIM);
        let truth = nearest(Metric::Euclidean, &vectors, &query, 3, |_| true);
        let hits = docs.query(&query).k(3).exact().run()?;
        let found: Vec<RecordId> = hits.iter().map(|hit| hit.id.clone()).collect();
        let expected: Vec<RecordId> = truth.iter().map(|&at| here[at].0.into()).collect();
        assert_eq!(found, expected, "nearest");
    }
    Ok(())
}
