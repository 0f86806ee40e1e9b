//! Histories whose outcome is known: what operation `n` of a thread does, and what a namespace
//! holds after it.

use serde_json::{Value, json};
use vecstore::{Collection, Record, RecordId};

use crate::{Contents, Random};

/// Components of the vectors.
pub const DIM: usize = 8;
const BATCH: u64 = 6;

/// One operation.
#[derive(Clone, Debug)]
pub enum Step {
    /// A batch that must appear as a whole or not at all.
    Upsert(Vec<Record>),
    /// Ids to remove.
    Remove(Vec<RecordId>),
    /// A filter whose records are removed.
    RemoveWhere(u64),
    /// A filter whose records get new text.
    UpdateWhere(u64),
    /// The whole namespace.
    RemoveNamespace,
}

/// The namespace a thread writes to.
pub fn namespace(thread: usize) -> String {
    format!("t{thread}")
}

/// What operation `n` of a thread does: mostly batches of new records with one that is replaced
/// again and again, sometimes updates and removals of earlier batches, and now and then of all.
pub fn plan(thread: usize, n: u64) -> Step {
    let id = |batch: u64, at: u64| RecordId::from(format!("{batch}-{at}"));
    match n % 8 {
        _ if n % 32 == 31 => Step::RemoveNamespace,
        6 if n % 16 == 14 => Step::UpdateWhere(n - 2),
        5 => Step::Remove((0..BATCH).map(|at| id(n - 3, at)).collect()),
        7 => Step::RemoveWhere(n - 6),
        _ => {
            let mut random = Random::new(n << 8 | thread as u64);
            let mut record = |id: RecordId| {
                Record::new(id, random.vector(DIM))
                    .metadata(json!({"operation": n, "text": "x".repeat(n as usize % 50)}))
            };
            let mut records: Vec<Record> = (0..BATCH).map(|at| record(id(n, at))).collect();
            records.push(record("latest".into()));
            Step::Upsert(records)
        }
    }
}

impl Step {
    /// Does it.
    pub fn apply(self, docs: &Collection) -> vecstore::Result<()> {
        match self {
            Step::Upsert(records) => docs.batch_upsert(records).map(drop),
            Step::Remove(ids) => docs.remove_many(&ids).map(drop),
            Step::RemoveWhere(n) => docs.remove_where(&format!("operation = {n}")).map(drop),
            Step::UpdateWhere(n) => {
                let patch = json!({"text": "new", "updated": true});
                docs.update_where(&format!("operation = {n}"), patch).map(drop)
            }
            Step::RemoveNamespace => docs.remove_namespace(docs.namespace_name()).map(drop),
        }
    }

    /// Does it to the model.
    pub fn apply_to(self, contents: &mut Contents) {
        match self {
            Step::Upsert(records) => {
                for Record { id, vector, metadata } in records {
                    let Value::Object(metadata) = metadata else { continue };
                    contents.insert(id, (vector, metadata));
                }
            }
            Step::Remove(ids) => ids.iter().for_each(|id| drop(contents.remove(id))),
            Step::RemoveWhere(n) => {
                contents.retain(|_, (_, metadata)| metadata["operation"] != json!(n));
            }
            Step::UpdateWhere(n) => {
                let all = contents.values_mut().map(|(_, metadata)| metadata);
                for metadata in all.filter(|metadata| metadata["operation"] == json!(n)) {
                    metadata.insert("text".to_owned(), json!("new"));
                    metadata.insert("updated".to_owned(), json!(true));
                }
            }
            Step::RemoveNamespace => contents.clear(),
        }
    }
}

/// What a thread's namespace holds after operations `0 .. done`.
pub fn contents_after(thread: usize, done: u64) -> Contents {
    let mut contents = Contents::new();
    (0..done).for_each(|n| plan(thread, n).apply_to(&mut contents));
    contents
}
