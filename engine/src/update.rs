//! Changing metadata in place, by id and by filter, without sending vectors again.

use std::collections::BTreeSet;

use serde_json::Value;
use vecstore_query::Filter;
use vecstore_segments::{Metadata, RecordId};

use crate::collection::Collection;
use crate::commit::{Operation, batch_bytes_max, needed_by};
use crate::record::{CheckedRecord, Include, Record, check_patch};
use crate::views::records;
use crate::{Error, Result};

/// Applies a JSON merge patch (RFC 7396) to an object: `null` removes a field, an object is merged
/// into the object that is there, anything else replaces what is there.
pub(crate) fn merge_patch(target: &mut Metadata, patch: &Metadata) {
    for (name, change) in patch {
        match change {
            Value::Null => drop(target.remove(name)),
            Value::Object(change) => {
                let field = target.entry(name).or_insert_with(|| Value::Object(Metadata::new()));
                if !field.is_object() {
                    *field = Value::Object(Metadata::new());
                }
                if let Value::Object(field) = field {
                    merge_patch(field, change);
                }
            }
            change => drop(target.insert(name.clone(), change.clone())),
        }
    }
}

impl Collection {
    /// Changes a record's metadata and keeps its vector; false if there is none with this id.
    ///
    /// `patch` is a JSON merge patch (RFC 7396): a field that is `null` is removed, an object is
    /// merged field by field, any other value (an array too) replaces what was there. It can
    /// therefore not store a null; [`upsert`](Self::upsert) can.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
    /// docs.upsert(Record::new("a", [1.0]).metadata(json!({"lang": "en", "old": 1})))?;
    /// assert!(docs.update("a", json!({"seen": true, "old": null}))?);
    /// let record = docs.get("a")?.unwrap();
    /// assert_eq!(serde_json::Value::Object(record.metadata), json!({"lang": "en", "seen": true}));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the patch is not an object or what
    /// it makes is no metadata (see [`limits`](crate::limits)).
    pub fn update(&self, id: impl Into<RecordId>, patch: Value) -> Result<bool> {
        Ok(self.update_many(&[id.into()], patch)? == 1)
    }

    /// Changes the metadata of records as [`update`](Self::update) does; returns how many there
    /// were. Each record changes as a whole; many go in several commits.
    pub fn update_many(&self, ids: &[RecordId], patch: Value) -> Result<u64> {
        self.check_batch(ids.len(), "ids")?;
        let ids: BTreeSet<RecordId> = ids.iter().cloned().collect();
        patch_records(self, ids.into_iter().collect(), &patch, None)
    }

    /// Changes the metadata of records by a function, for what a merge patch can't say; returns how
    /// many there were. The function may be called again with what another writer made of the record
    /// meanwhile, so that no change is lost.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
    /// docs.upsert(Record::new("a", [1.0]).metadata(json!({"seen": 1})))?;
    /// docs.change_many(&["a".into()], |metadata| {
    ///     let seen = metadata["seen"].as_i64().unwrap_or(0);
    ///     metadata.insert("seen".to_owned(), (seen + 1).into());
    /// })?;
    /// assert_eq!(docs.get("a")?.unwrap().metadata["seen"], 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_many(&self, ids: &[RecordId], change: impl Fn(&mut Metadata)) -> Result<u64> {
        self.check_batch(ids.len(), "ids")?;
        let ids: BTreeSet<RecordId> = ids.iter().cloned().collect();
        change_records(self, ids.into_iter().collect(), &change, None)
    }

    /// Changes the metadata of every record that satisfies a filter; see
    /// [`Selection::update`](crate::Selection::update).
    pub fn update_where(&self, filter: &str, patch: Value) -> Result<u64> {
        self.select(filter).update(patch)
    }
}

/// Applies a merge patch to the records of `ids` that are there and satisfy `filter`; returns how
/// many.
pub(crate) fn patch_records(
    collection: &Collection,
    ids: Vec<RecordId>,
    patch: &Value,
    filter: Option<&Filter>,
) -> Result<u64> {
    let what = format!("collection `{}`, update", collection.name());
    let Value::Object(patch) = patch else {
        return Err(Error::invalid(format!("{what}: the patch is not a JSON object")));
    };
    check_patch(patch, &what)?;
    change_records(collection, ids, &|metadata| merge_patch(metadata, patch), filter)
}

/// Changes the metadata of the records of `ids` that are there and satisfy `filter`; returns how
/// many.
///
/// A record is read, changed, and written only if it is still the one that was read; else it is
/// read again. So no change made meanwhile by others is lost, and the commit that others wait for
/// reads nothing but commit numbers.
pub(crate) fn change_records(
    collection: &Collection,
    ids: Vec<RecordId>,
    change: &dyn Fn(&mut Metadata),
    filter: Option<&Filter>,
) -> Result<u64> {
    /// Bounds what one commit holds in memory: at most a gigabyte, for records of the largest size.
    const IDS_A_COMMIT: usize = 1_024;
    let what = format!("collection `{}`, update", collection.name());
    let mut updated = 0;
    for some in ids.chunks(IDS_A_COMMIT) {
        let mut pending = some.to_vec();
        while !pending.is_empty() {
            let (changed, same) = changed(collection, &pending, change, filter, &what)?;
            updated += same;
            if changed.is_empty() {
                break;
            }
            pending.clear();
            for part in parts(changed, batch_bytes_max(collection.state())) {
                let done = collection.write(Operation::ReplaceVersions(part))?;
                updated += done.records;
                pending.extend(done.skipped);
            }
        }
    }
    Ok(updated)
}

/// The same records in as many writes as are needed for each to be within `bytes_max`.
fn parts(
    records: Vec<(CheckedRecord, u64)>,
    bytes_max: Option<u64>,
) -> Vec<Vec<(CheckedRecord, u64)>> {
    let Some(bytes_max) = bytes_max else { return vec![records] };
    let mut parts: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        bytes += needed_by(&record.0);
        match parts.last_mut() {
            Some(part) if bytes <= bytes_max => part.push(record),
            _ => {
                bytes = needed_by(&record.0);
                parts.push(vec![record]);
            }
        }
    }
    parts
}

/// The records as they are to be written, with the commit that each was read from; and how many are
/// already what the change makes of them.
fn changed(
    collection: &Collection,
    ids: &[RecordId],
    change: &dyn Fn(&mut Metadata),
    filter: Option<&Filter>,
    what: &str,
) -> Result<(Vec<(CheckedRecord, u64)>, u64)> {
    let version = collection.checked()?.version();
    let namespace = collection.namespace_name();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(version.find(namespace, id)?);
    }
    let (mut changed, mut same) = (Vec::new(), 0);
    for record in records(&found, &Include::ALL)? {
        if filter.is_some_and(|filter| !filter.matches(&record.metadata)) {
            continue;
        }
        let mut metadata = record.metadata.clone();
        change(&mut metadata);
        if metadata == record.metadata {
            same += 1;
            continue;
        }
        let after = Record { id: record.id, vector: record.vector, metadata: metadata.into() };
        changed.push((CheckedRecord::check(after, collection.settings(), what)?, record.seq));
    }
    Ok((changed, same))
}
