//! What the segment will consist of, known before a byte is written.

use std::path::Path;

use vecstore_index::Codes;

use crate::format::{DIM_MAX, Kind, NamespaceEntry, ROWS_MAX};
use crate::{IndexKind, IndexOption, RowSource, SegmentError, WriteOptions};

/// The namespaces of `source`, each with the number of its index if it is to have one.
pub(super) fn plan_namespaces(
    source: &dyn RowSource,
    options: &WriteOptions,
    path: &Path,
) -> Result<Vec<NamespaceEntry>, SegmentError> {
    let mut namespaces: Vec<NamespaceEntry> = Vec::new();
    for row in 0..source.rows() {
        let name = source.namespace(row)?;
        match namespaces.last_mut() {
            Some(last) if last.name == name => last.rows += 1,
            Some(last) if last.name.as_str() > name => {
                let detail = format!("row {row} is of namespace `{name}`, after `{}`", last.name);
                return Err(SegmentError::corrupt(path, Kind::Namespaces.name(), detail));
            }
            _ => namespaces.push(NamespaceEntry {
                name: name.to_owned(),
                first_row: row,
                rows: 1,
                index: None,
            }),
        }
    }
    let large = namespaces.iter_mut().filter(|n| n.rows >= options.index_rows_min);
    large.zip(0..).for_each(|(namespace, index)| namespace.index = Some(index));
    Ok(namespaces)
}

/// The limits of the format, and options that contradict each other.
pub(super) fn check_limits(
    source: &dyn RowSource,
    options: &WriteOptions,
    path: &Path,
) -> Result<(), SegmentError> {
    let detail = if options.dim == 0 || options.dim > DIM_MAX {
        format!("a vector has 1 to {DIM_MAX} components, not {}", options.dim)
    } else if source.rows() > ROWS_MAX {
        format!("a segment has at most {ROWS_MAX} rows, not {}", source.rows())
    } else if (options.codes, options.index)
        == (Codes::None, IndexOption::Always(IndexKind::Clusters))
    {
        "clusters consist of codes, of which there are to be none".to_owned()
    } else {
        return Ok(());
    };
    Err(SegmentError::Unsupported { path: path.to_owned(), detail })
}

/// `count` rows of `0..rows`, evenly spread, ascending; all of them if there are fewer.
pub(super) fn spread(rows: u32, count: u32) -> impl Iterator<Item = u32> {
    let count = u64::from(count.min(rows));
    (0..count).map(move |i| ((2 * i + 1) * u64::from(rows) / (2 * count)) as u32)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn spread_is_even() {
        assert_eq!(spread(0, 5).count(), 0);
        assert!(spread(3, 5).eq(0..3));
        assert!(spread(100, 4).eq([12, 37, 62, 87]));
        assert!(spread(u32::MAX, 1000).is_sorted_by(|a, b| a < b));
    }
}
