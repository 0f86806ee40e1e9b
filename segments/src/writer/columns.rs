//! Ids, commit sequence numbers, and the lookup from id to row.

use super::file::FileWriter;
use super::progress::Reporter;
use crate::format::{BloomBuilder, Kind, NamespaceEntry, key_hash, namespace_seed};
use crate::{RowSource, SegmentError};

/// Writes the ids and what finds them. Needs 24 bytes of memory a row.
pub(super) fn write_ids(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    namespaces: &[NamespaceEntry],
    reporter: &mut Reporter<'_>,
) -> Result<(), SegmentError> {
    let rows = source.rows();
    let path = out.path();
    let mut keys: Vec<(u64, u32)> = Vec::with_capacity(rows as usize);
    let mut offsets: Vec<u64> = Vec::with_capacity(rows as usize + 1);
    offsets.push(0);
    let mut bytes = Vec::new();
    let mut section = out.begin(Kind::Ids)?;
    for namespace in namespaces {
        let seed = namespace_seed(&namespace.name);
        for row in namespace.first_row..namespace.first_row + namespace.rows {
            reporter.rows(row, rows, 1, super::write::ROW_PASSES)?;
            let id = source.id(row)?;
            if let Err(invalid) = id.validate() {
                let detail = format!("row {row}: {invalid}");
                return Err(SegmentError::corrupt(path, Kind::Ids.name(), detail));
            }
            bytes.clear();
            id.encode(&mut bytes);
            section.write(&bytes)?;
            offsets.push(section.len());
            keys.push((key_hash(seed, &bytes), row));
        }
    }
    section.finish()?;
    out.section(Kind::IdOffsets, bytemuck::cast_slice(&offsets))?;
    drop(offsets);
    write_lookup(out, source, keys)
}

fn write_lookup(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    mut keys: Vec<(u64, u32)>,
) -> Result<(), SegmentError> {
    keys.sort_unstable();
    for equal in keys.chunk_by(|a, b| a.0 == b.0).filter(|equal| equal.len() > 1) {
        if let Some((a, b)) = same_record(source, equal)? {
            let detail = format!("rows {a} and {b} have the same namespace and id");
            return Err(SegmentError::corrupt(out.path(), Kind::Ids.name(), detail));
        }
    }
    let mut bloom = BloomBuilder::new(keys.len());
    keys.iter().for_each(|(hash, _)| bloom.insert(*hash));
    out.section(Kind::IdBloom, bloom.bytes())?;
    drop(bloom);
    let mut section = out.begin(Kind::IdHashes)?;
    keys.iter().try_for_each(|(hash, _)| section.write(&hash.to_le_bytes()))?;
    section.finish()?;
    let mut section = out.begin(Kind::IdRows)?;
    keys.iter().try_for_each(|(_, row)| section.write(&row.to_le_bytes()))?;
    section.finish()?;
    Ok(())
}

/// Two rows of the same record among rows of equal hash, of which there are hardly ever two.
fn same_record(
    source: &dyn RowSource,
    keys: &[(u64, u32)],
) -> Result<Option<(u32, u32)>, SegmentError> {
    let mut records = Vec::with_capacity(keys.len());
    for (_, row) in keys {
        records.push((source.namespace(*row)?.to_owned(), source.id(*row)?, *row));
    }
    records.sort_unstable();
    let same = records.windows(2).find(|pair| (&pair[0].0, &pair[0].1) == (&pair[1].0, &pair[1].1));
    Ok(same.map(|pair| (pair[0].2, pair[1].2)))
}

/// Writes the commit sequence number of every row.
pub(super) fn write_seqs(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
) -> Result<(), SegmentError> {
    let mut section = out.begin(Kind::Seqs)?;
    (0..source.rows()).try_for_each(|row| section.write(&source.seq(row).to_le_bytes()))?;
    section.finish()?;
    Ok(())
}
