//! The namespaces table: which rows belong to which namespace.

use super::numbers::u32_at;
use super::{Flaw, Kind};

const HEAD_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;
const NO_INDEX: u32 = u32::MAX;

/// One namespace; its rows end where the next one's begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceEntry {
    pub(crate) name: String,
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    /// Number of its index in the table of indexes.
    pub(crate) index: Option<u32>,
}

pub(crate) fn encode_namespaces(namespaces: &[NamespaceEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + namespaces.len() * (ENTRY_BYTES + 8));
    bytes.extend_from_slice(&(namespaces.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&0u32.to_le_bytes());
    for n in namespaces {
        bytes.extend_from_slice(&n.first_row.to_le_bytes());
        bytes.extend_from_slice(&n.rows.to_le_bytes());
        bytes.extend_from_slice(&n.index.unwrap_or(NO_INDEX).to_le_bytes());
        bytes.extend_from_slice(&(n.name.len() as u32).to_le_bytes());
    }
    for n in namespaces {
        bytes.extend_from_slice(n.name.as_bytes());
    }
    bytes
}

/// Reads the table of a segment with `rows` rows; the namespaces cover the rows without a gap,
/// ascend by name, and their indexes are numbered from 0.
pub(crate) fn decode_namespaces(bytes: &[u8], rows: u32) -> Result<Vec<NamespaceEntry>, Flaw> {
    let damaged = |detail: String| Flaw::damaged(Kind::Namespaces.name(), detail);
    let short = || damaged("the table is cut off".to_owned());
    let count = u32_at(bytes, 0).ok_or_else(short)? as usize;
    let names_at = count
        .checked_mul(ENTRY_BYTES)
        .and_then(|n| n.checked_add(HEAD_BYTES))
        .filter(|at| *at <= bytes.len())
        .ok_or_else(short)?;
    let mut names = &bytes[names_at..];
    let mut namespaces: Vec<NamespaceEntry> = Vec::with_capacity(count);
    let mut next_row = 0u32;
    let mut next_index = 0u32;
    for (i, entry) in bytes[HEAD_BYTES..names_at].chunks_exact(ENTRY_BYTES).enumerate() {
        let first_row = u32_at(entry, 0).ok_or_else(short)?;
        let rows_here = u32_at(entry, 4).ok_or_else(short)?;
        let index = Some(u32_at(entry, 8).ok_or_else(short)?).filter(|i| *i != NO_INDEX);
        let name_len = u32_at(entry, 12).ok_or_else(short)? as usize;
        let (name, rest) = names.split_at_checked(name_len).ok_or_else(short)?;
        names = rest;
        let name = std::str::from_utf8(name)
            .map_err(|_| damaged(format!("the name of namespace {i} is not UTF-8")))?
            .to_owned();
        if namespaces.last().is_some_and(|last| last.name >= name) {
            return Err(damaged(format!("namespace {i} is out of order")));
        }
        if first_row != next_row || rows_here == 0 {
            return Err(damaged(format!("the rows of namespace {i} do not follow the last one's")));
        }
        next_row = first_row
            .checked_add(rows_here)
            .filter(|end| *end <= rows)
            .ok_or_else(|| damaged(format!("namespace {i} has rows past the last one")))?;
        if let Some(index) = index {
            if index != next_index {
                return Err(damaged(format!("the index of namespace {i} is out of order")));
            }
            next_index += 1;
        }
        namespaces.push(NamespaceEntry { name, first_row, rows: rows_here, index });
    }
    if next_row != rows || !names.is_empty() {
        return Err(damaged("the table does not cover all rows".to_owned()));
    }
    Ok(namespaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written is read; what contradicts itself is refused, and anything else still
    /// covers the rows in order.
    #[test]
    fn the_table_is_believed_where_it_makes_sense() {
        let entry = |name: &str, first_row, rows, index| NamespaceEntry {
            name: name.to_owned(),
            first_row,
            rows,
            index,
        };
        let good =
            [entry("", 0, 5, Some(0)), entry("b", 5, 1, None), entry("größe", 6, 9, Some(1))];
        let bytes = encode_namespaces(&good);
        assert_eq!(decode_namespaces(&bytes, 15), Ok(good.to_vec()));
        assert!(decode_namespaces(&bytes, 14).is_err() && decode_namespaces(&bytes, 16).is_err());
        assert!((0..bytes.len()).all(|len| decode_namespaces(&bytes[..len], 15).is_err()));
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = decode_namespaces(&bytes, 15) else { continue };
            assert!(read.is_sorted_by(|a, b| a.name < b.name), "bit {bit}");
            assert!(read.windows(2).all(|n| n[0].first_row + n[0].rows == n[1].first_row));
            assert!(read.last().is_some_and(|n| n.first_row + n.rows == 15));
            assert!(
                read.iter()
                    .filter_map(|n| n.index)
                    .eq(0..read.iter().filter(|n| n.index.is_some()).count() as u32)
            );
        }
    }
}
