//! The catalogue: which collections and segments exist, and which rows of them are deleted.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `C` collection `u32` | JSON [`CollectionRecord`] |
//! | `meta` | `E` collection `u32` | last epoch that is in a segment, `u32` |
//! | `meta` | `Q` collection `u32` | JSON [`Quota`] of the collection |
//! | `meta` | `q` collection `u32`, namespace | JSON [`Quota`] of the namespace |
//! | `meta` | `R` collection `u32`, namespace | JSON [`RemovedNamespace`] |
//! | `meta` | `next_collection`, `next_segment` | smallest id never used, `u64` |
//! | `meta` | `seq` | last commit, `u64` |
//! | `meta` | `database` | the store's own: the database's id, `u128` |
//! | `seg` | collection `u32`, segment `u64` | JSON [`SegmentRecord`] |
//! | `tomb` | collection `u32`, segment `u64`, seq `u64` | roaring bitmap of rows deleted by that commit |
//!
//! Numbers are big-endian in keys, little-endian in values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::Segment;

use crate::kv::{Batch, ID_KEY, Kv, Space};
use crate::options::CollectionOptions;
use crate::quota::{Quota, Quotas};
use crate::{Error, ErrorKind, Result};

/// A collection as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CollectionRecord {
    pub(crate) name: String,
    pub(crate) options: CollectionOptions,
}

/// A namespace that was removed as a whole: one entry for all its rows.
///
/// What it hides is what was written before it: in the log the frames up to `seq`, and in segments
/// all of the namespace if the segment's id is below `next_segment`. A segment that was still being
/// written then has a higher id or none of the rows; where it has some they have deletion entries,
/// as for any record that is removed while a segment is written. The entry goes once neither the log
/// nor a segment has anything that it hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedNamespace {
    /// The commit.
    pub(crate) seq: u64,
    /// The epoch that was written to.
    pub(crate) epoch: u32,
    /// The smallest segment id that was not in use.
    pub(crate) next_segment: u64,
}

/// A segment as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRecord {
    pub(crate) id: u64,
    /// Its name in the folder of segments; not always that of its id (see `snapshot`).
    pub(crate) file: String,
    pub(crate) rows: u32,
    pub(crate) bytes: u64,
}

impl SegmentRecord {
    /// A segment in the file named after its id.
    pub(crate) fn new(id: u64, rows: u32, bytes: u64) -> Self {
        SegmentRecord { id, file: Segment::file_name(id), rows, bytes }
    }
}

/// A segment with its deletions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CataloguedSegment {
    pub(crate) record: Option<SegmentRecord>,
    pub(crate) deleted: RoaringBitmap,
    /// Commits that have a deletion entry, ascending.
    pub(crate) tombs: Vec<u64>,
}

/// A collection with its segments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CataloguedCollection {
    pub(crate) record: CollectionRecord,
    pub(crate) flushed_epoch: u32,
    pub(crate) segments: BTreeMap<u64, CataloguedSegment>,
    pub(crate) removed: BTreeMap<String, RemovedNamespace>,
    pub(crate) quotas: Quotas,
}

/// Everything in the catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Catalogue {
    pub(crate) collections: BTreeMap<u32, CataloguedCollection>,
    pub(crate) next_collection: u32,
    pub(crate) next_segment: u64,
    pub(crate) seq: u64,
}

impl Catalogue {
    /// Bytes of all segment files.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let segments =
            self.collections.values().flat_map(|collection| collection.segments.values());
        segments.filter_map(|entry| Some(entry.record.as_ref()?.bytes)).sum()
    }
}

const NEXT_COLLECTION: &[u8] = b"next_collection";
const NEXT_SEGMENT: &[u8] = b"next_segment";
const SEQ: &[u8] = b"seq";

fn collection_key(collection: u32) -> Vec<u8> {
    [b"C", &collection.to_be_bytes()[..]].concat()
}

fn epoch_key(collection: u32) -> Vec<u8> {
    [b"E", &collection.to_be_bytes()[..]].concat()
}

fn quota_key(collection: u32, namespace: Option<&str>) -> Vec<u8> {
    match namespace {
        None => [b"Q", &collection.to_be_bytes()[..]].concat(),
        Some(name) => [b"q", &collection.to_be_bytes()[..], name.as_bytes()].concat(),
    }
}

fn removed_key(collection: u32, namespace: &str) -> Vec<u8> {
    [b"R", &collection.to_be_bytes()[..], namespace.as_bytes()].concat()
}

fn segment_key(collection: u32, segment: u64) -> Vec<u8> {
    [&collection.to_be_bytes()[..], &segment.to_be_bytes()].concat()
}

fn tomb_key(collection: u32, segment: u64, seq: u64) -> Vec<u8> {
    [&segment_key(collection, segment)[..], &seq.to_be_bytes()].concat()
}

pub(crate) fn put_collection(batch: &mut Batch, collection: u32, record: &CollectionRecord) {
    batch.put(Space::Meta, collection_key(collection), to_json(record));
}

pub(crate) fn put_next_collection(batch: &mut Batch, next: u32) {
    batch.put(Space::Meta, NEXT_COLLECTION.to_vec(), u64::from(next).to_le_bytes().to_vec());
}

pub(crate) fn put_next_segment(batch: &mut Batch, next: u64) {
    batch.put(Space::Meta, NEXT_SEGMENT.to_vec(), next.to_le_bytes().to_vec());
}

pub(crate) fn put_seq(batch: &mut Batch, seq: u64) {
    batch.put(Space::Meta, SEQ.to_vec(), seq.to_le_bytes().to_vec());
}

pub(crate) fn put_flushed_epoch(batch: &mut Batch, collection: u32, epoch: u32) {
    batch.put(Space::Meta, epoch_key(collection), epoch.to_le_bytes().to_vec());
}

/// Sets the quota of a collection or of a namespace; one that bounds nothing has no entry.
pub(crate) fn put_quota(
    batch: &mut Batch,
    collection: u32,
    namespace: Option<&str>,
    quota: &Quota,
) {
    let key = quota_key(collection, namespace);
    if *quota == Quota::default() {
        batch.remove(Space::Meta, key);
    } else {
        batch.put(Space::Meta, key, to_json(quota));
    }
}

/// Adds the quotas of a collection that has none so far.
pub(crate) fn put_quotas(batch: &mut Batch, collection: u32, quotas: &Quotas) {
    let own = quotas.namespaces.iter().map(|(name, quota)| (Some(&**name), quota));
    for (name, quota) in std::iter::once((None, &quotas.collection)).chain(own) {
        if *quota != Quota::default() {
            put_quota(batch, collection, name, quota);
        }
    }
}

pub(crate) fn remove_quotas(batch: &mut Batch, collection: u32, quotas: &Quotas) {
    batch.remove(Space::Meta, quota_key(collection, None));
    for name in quotas.namespaces.keys() {
        batch.remove(Space::Meta, quota_key(collection, Some(name)));
    }
}

pub(crate) fn put_removed_namespace(
    batch: &mut Batch,
    collection: u32,
    namespace: &str,
    removed: &RemovedNamespace,
) {
    batch.put(Space::Meta, removed_key(collection, namespace), to_json(removed));
}

pub(crate) fn forget_removed_namespace(batch: &mut Batch, collection: u32, namespace: &str) {
    batch.remove(Space::Meta, removed_key(collection, namespace));
}

pub(crate) fn put_segment(
    batch: &mut Batch,
    collection: u32,
    segment: u64,
    record: &SegmentRecord,
) {
    batch.put(Space::Segments, segment_key(collection, segment), to_json(record));
}

/// Notes that `rows` of a segment were deleted by commit `seq`.
pub(crate) fn put_tomb(
    batch: &mut Batch,
    collection: u32,
    segment: u64,
    seq: u64,
    rows: &RoaringBitmap,
) {
    let mut bytes = Vec::with_capacity(rows.serialized_size());
    // Writing to a Vec cannot fail.
    let _ = rows.serialize_into(&mut bytes);
    batch.put(Space::Tombs, tomb_key(collection, segment, seq), bytes);
}

/// The commit of a deletion entry.
pub(crate) fn tomb_seq(key: &[u8]) -> Option<u64> {
    key.get(12..)?.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn remove_tomb(batch: &mut Batch, collection: u32, segment: u64, seq: u64) {
    batch.remove(Space::Tombs, tomb_key(collection, segment, seq));
}

pub(crate) fn remove_segment(batch: &mut Batch, collection: u32, segment: u64, tombs: &[u64]) {
    batch.remove(Space::Segments, segment_key(collection, segment));
    for &seq in tombs {
        remove_tomb(batch, collection, segment, seq);
    }
}

pub(crate) fn remove_collection(batch: &mut Batch, collection: u32) {
    batch.remove(Space::Meta, collection_key(collection));
    batch.remove(Space::Meta, epoch_key(collection));
}

/// Reads the whole catalogue.
pub(crate) fn load(kv: &dyn Kv) -> Result<Catalogue> {
    let mut catalogue = Catalogue { next_collection: 1, next_segment: 1, ..Catalogue::default() };
    let mut epochs = BTreeMap::new();
    kv.scan(Space::Meta, &[], &mut |key, value| {
        match key {
            NEXT_COLLECTION => {
                catalogue.next_collection = u32::try_from(u64_le(value)?).map_err(|_| damaged())?;
            }
            NEXT_SEGMENT => catalogue.next_segment = u64_le(value)?,
            SEQ => catalogue.seq = u64_le(value)?,
            ID_KEY => {}
            [b'C', id @ ..] => {
                let collection = CataloguedCollection {
                    record: from_json(value)?,
                    flushed_epoch: 0,
                    segments: BTreeMap::new(),
                    removed: BTreeMap::new(),
                    quotas: Quotas::default(),
                };
                collection.record.options.validate()?;
                catalogue.collections.insert(u32_be(id)?, collection);
            }
            [b'E', id @ ..] => {
                let epoch = value.try_into().map(u32::from_le_bytes).map_err(|_| damaged())?;
                epochs.insert(u32_be(id)?, epoch);
            }
            // Keys ascend, so the collection of these was read before.
            [kind @ (b'Q' | b'R' | b'q'), rest @ ..] => {
                let (id, name) = rest.split_at_checked(4).ok_or_else(damaged)?;
                let name = std::str::from_utf8(name).map_err(|_| damaged())?;
                let collection = catalogue.collections.get_mut(&u32_be(id)?).ok_or_else(damaged)?;
                match kind {
                    b'Q' => collection.quotas.collection = from_json(value)?,
                    b'q' => {
                        collection.quotas.namespaces.insert(name.into(), from_json(value)?);
                    }
                    _ => drop(collection.removed.insert(name.to_owned(), from_json(value)?)),
                }
            }
            _ => return Err(damaged()),
        }
        Ok(())
    })?;
    for (id, epoch) in epochs {
        catalogue.collections.get_mut(&id).ok_or_else(damaged)?.flushed_epoch = epoch;
    }
    kv.scan(Space::Segments, &[], &mut |key, value| {
        let (collection, segment) = key.split_at_checked(4).ok_or_else(damaged)?;
        let segments =
            &mut catalogue.collections.get_mut(&u32_be(collection)?).ok_or_else(damaged)?.segments;
        segments.entry(u64_be(segment)?).or_default().record = Some(from_json(value)?);
        Ok(())
    })?;
    kv.scan(Space::Tombs, &[], &mut |key, value| {
        let parts = (key.get(..4), key.get(4..12), key.get(12..));
        let (Some(collection), Some(segment), Some(seq)) = parts else { return Err(damaged()) };
        let segment = catalogue
            .collections
            .get_mut(&u32_be(collection)?)
            .and_then(|c| c.segments.get_mut(&u64_be(segment).ok()?))
            .ok_or_else(damaged)?;
        segment.deleted |= RoaringBitmap::deserialize_from(value).map_err(|_| damaged())?;
        segment.tombs.push(u64_be(seq)?);
        Ok(())
    })?;
    Ok(catalogue)
}

fn damaged() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the catalogue is damaged: an entry does not follow its format; restore a snapshot",
    )
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a struct of strings and numbers serialises")
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| damaged())
}

fn u32_be(bytes: &[u8]) -> Result<u32> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| damaged())
}

fn u64_be(bytes: &[u8]) -> Result<u64> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| damaged())
}

fn u64_le(bytes: &[u8]) -> Result<u64> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| damaged())
}
