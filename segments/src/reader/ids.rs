//! Record ids: of a row, and the row of an id.

use std::ops::Range;

use super::segment::{NamespaceRows, Segment, block_flaw};
use crate::format::{
    BLOOM_BLOCK_BYTES, Flaw, Kind, bloom_block, bloom_contains, key_hash, namespace_seed,
};
use crate::{RecordId, SegmentError};

/// The id lookup made again from the truth, for a segment whose own is damaged.
#[derive(Debug)]
pub(super) struct RebuiltLookup {
    /// Why.
    flaw: Flaw,
    /// (hash, row), ascending.
    keys: Vec<(u64, u32)>,
    /// Rows whose ids cannot be read, ascending.
    unreadable: Vec<u32>,
}

impl RebuiltLookup {
    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<(u64, u32)>() + self.unreadable.capacity() * 4
    }

    pub(super) fn describe(&self) -> String {
        let reason = match &self.flaw {
            Flaw::Damaged { section, .. } => section,
            Flaw::Unsupported(_) => "lookup",
        };
        format!("a table made again from the ids, since section {reason} is damaged")
    }
}

/// Why the stored lookup gave no answer.
enum LookupError {
    /// It is damaged; the ids themselves can still be searched.
    Derived(Flaw),
    /// The ids are damaged.
    Truth(SegmentError),
}

impl From<Flaw> for LookupError {
    fn from(flaw: Flaw) -> Self {
        LookupError::Derived(flaw)
    }
}

impl Segment {
    /// Id of a row.
    pub fn record_id(&self, row: u32) -> Result<RecordId, SegmentError> {
        let bytes = self.id_bytes(row)?;
        RecordId::decode(bytes).ok_or_else(|| {
            SegmentError::corrupt(&self.path, Kind::Ids.name(), format!("row {row} has no id"))
        })
    }

    /// Asks the processor for where the id of a row lies, which [`record_id`](Self::record_id)
    /// reads first; a hint without effect on results.
    pub fn prefetch_id(&self, row: u32) {
        if let Some(offset) = self.id_offset(row) {
            vecstore_index::prefetch(offset);
        }
    }

    /// As [`prefetch_id`](Self::prefetch_id), a little later: reads where the id lies and asks for
    /// the id itself.
    pub fn prefetch_id_bytes(&self, row: u32) {
        let ids = self.mapped(Kind::Ids).unchecked();
        // Not checked yet, but it is only a hint.
        let start = self.id_offset(row).map(|&start| u64::from_le_bytes(start) as usize);
        if let Some(first) = start.and_then(|start| ids.get(start..)?.first()) {
            vecstore_index::prefetch(std::slice::from_ref(first));
        }
    }

    fn id_offset(&self, row: u32) -> Option<&[u8; 8]> {
        self.mapped(Kind::IdOffsets).unchecked().get(8 * row as usize..)?.first_chunk()
    }

    fn id_bytes(&self, row: u32) -> Result<&[u8], SegmentError> {
        self.row_exists(Kind::Ids, row)?;
        let at = 8 * row as usize;
        let (offsets, _) = self.truth(Kind::IdOffsets, at..at + 16, row)?.as_chunks::<8>();
        let [start, end] = [offsets[0], offsets[1]].map(u64::from_le_bytes);
        if start > end || end > self.section(Kind::Ids).len {
            return Err(SegmentError::corrupt(
                &self.path,
                Kind::IdOffsets.name(),
                format!("the id of row {row} lies outside the ids"),
            ));
        }
        self.truth(Kind::Ids, start as usize..end as usize, row)
    }

    /// The row of a record in this segment, dead or alive (ids are unique in a segment's namespace).
    ///
    /// A damaged lookup is made again in memory from the ids (see
    /// [`degraded`](Self::degraded)). Where ids are damaged too, an id that is not found is an
    /// error, because it may be one of those.
    pub fn find(&self, namespace: &str, id: &RecordId) -> Result<Option<u32>, SegmentError> {
        let Some(namespace) = self.namespace(namespace) else { return Ok(None) };
        let mut key = Vec::with_capacity(32);
        id.encode(&mut key);
        let hash = key_hash(namespace_seed(&namespace.name), &key);
        if self.rebuilt_lookup.get().is_none() {
            match self.find_stored(&namespace.rows, hash, &key) {
                Ok(row) => return Ok(row),
                Err(LookupError::Truth(error)) => return Err(error),
                Err(LookupError::Derived(flaw)) => {
                    self.rebuilt_lookup.get_or_init(|| self.rebuild_lookup(flaw));
                }
            }
        }
        self.find_rebuilt(namespace, hash, &key)
    }

    fn find_stored(
        &self,
        rows: &Range<u32>,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<u32>, LookupError> {
        let bloom = self.present(Kind::IdBloom)?;
        let blocks = bloom.unchecked().len() / BLOOM_BLOCK_BYTES;
        let at = bloom_block(hash, blocks) * BLOOM_BLOCK_BYTES;
        let block = bloom
            .get(at..at + BLOOM_BLOCK_BYTES)
            .map_err(|bad| block_flaw(Kind::IdBloom, bad))?
            .first_chunk()
            .ok_or_else(|| Flaw::damaged(Kind::IdBloom.name(), "the filter is empty"))?;
        if !bloom_contains(block, hash) {
            return Ok(None);
        }
        let hashes = self.present(Kind::IdHashes)?;
        let hash_at = |i: u32| {
            let at = 8 * i as usize;
            let bytes = hashes.get(at..at + 8).map_err(|bad| block_flaw(Kind::IdHashes, bad))?;
            Ok::<_, Flaw>(bytes.first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash)))
        };
        let mut at = lower_bound(self.rows(), hash, hash_at)?;
        while at < self.rows() && hash_at(at)? == hash {
            let row = self.stored_row(at)?;
            if rows.contains(&row) && self.id_bytes(row).map_err(LookupError::Truth)? == key {
                return Ok(Some(row));
            }
            at += 1;
        }
        Ok(None)
    }

    fn stored_row(&self, i: u32) -> Result<u32, Flaw> {
        let at = 4 * u64::from(i);
        let bytes = self.derived(Kind::IdRows, at..at + 4)?;
        Ok(bytes.first_chunk().map_or(0, |row| u32::from_le_bytes(*row)))
    }

    fn rebuild_lookup(&self, flaw: Flaw) -> RebuiltLookup {
        let mut lookup = RebuiltLookup {
            flaw,
            keys: Vec::with_capacity(self.rows() as usize),
            unreadable: vec![],
        };
        for namespace in self.namespaces() {
            let seed = namespace_seed(&namespace.name);
            for row in namespace.rows.clone() {
                match self.id_bytes(row) {
                    Ok(key) => lookup.keys.push((key_hash(seed, key), row)),
                    Err(_) => lookup.unreadable.push(row),
                }
            }
        }
        lookup.keys.sort_unstable();
        lookup
    }

    fn find_rebuilt(
        &self,
        namespace: &NamespaceRows,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<u32>, SegmentError> {
        let Some(lookup) = self.rebuilt_lookup.get() else { return Ok(None) };
        let first = lookup.keys.partition_point(|(h, _)| *h < hash);
        for (_, row) in lookup.keys[first..].iter().take_while(|(h, _)| *h == hash) {
            if namespace.rows.contains(row) && self.id_bytes(*row)? == key {
                return Ok(Some(*row));
            }
        }
        let unreadable = lookup.unreadable.partition_point(|row| *row < namespace.rows.start);
        match lookup.unreadable.get(unreadable) {
            Some(row) if namespace.rows.contains(row) => self.id_bytes(*row).map(|_| None),
            _ => Ok(None),
        }
    }
}

/// The first of `len` ascending, evenly spread hashes that is not below `hash`.
///
/// Begins where an even spread puts it, off by about the square root of `len`, widens from there
/// until the place is enclosed, and ends with a binary search: few blocks are touched, and hashes
/// that are not spread evenly cost time only.
fn lower_bound<E>(
    len: u32,
    hash: u64,
    mut hash_at: impl FnMut(u32) -> Result<u64, E>,
) -> Result<u32, E> {
    let guess = ((u128::from(hash) * u128::from(len)) >> 64) as u32;
    let mut step = len.isqrt() + 1;
    let (mut low, mut high) = (guess, guess);
    // Invariant wanted: all before `low` are below `hash`, none from `high` on is.
    while low > 0 {
        low = low.saturating_sub(step);
        if hash_at(low)? < hash {
            break;
        }
        high = low;
        step = step.saturating_mul(2);
    }
    step = len.isqrt() + 1;
    while high < len {
        if hash_at(high)? >= hash {
            break;
        }
        low = high + 1;
        high = high.saturating_add(step).min(len);
        step = step.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if hash_at(middle)? < hash { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::lower_bound;

    proptest! {
        #[test]
        fn lower_bound_is_a_partition_point(
            mut hashes in prop_oneof![
                prop::collection::vec(any::<u64>(), 0..300),
                prop::collection::vec(0u64..20, 0..300),
                prop::collection::vec(u64::MAX - 20.., 0..300),
            ],
            other in any::<u64>(),
        ) {
            hashes.sort_unstable();
            for hash in hashes.iter().copied().chain([0, 7, other, u64::MAX]) {
                let found = lower_bound(hashes.len() as u32, hash, |i| Ok::<_, ()>(hashes[i as usize]));
                prop_assert_eq!(found, Ok(hashes.partition_point(|h| *h < hash) as u32));
            }
        }
    }
}
