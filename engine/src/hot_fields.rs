//! Field indices of a memtable, so that a filter does not parse the JSON of every row again.

use std::ops::Range;
use std::sync::OnceLock;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FormatError};
use vecstore_segments::index_metadata;

use crate::memtable::HotRow;
use crate::options::CollectionOptions;

/// Rows of one index. Few, because the rows after the last whole run are matched one by one, at
/// about 2 µs each; not fewer, because every index costs some 10 µs a question.
pub(crate) const RUN_ROWS: u32 = 1_024;

/// The field index of one run of rows: made when a filter first asks for it, never changed, as
/// rows never are. It takes about as many bytes as the JSON.
#[derive(Debug, Default)]
pub(crate) struct RunFields(OnceLock<Fields>);

#[derive(Debug)]
struct Fields {
    bytes: Vec<u8>,
    /// Rows whose metadata can't be read; they are not in the index.
    unread: RoaringBitmap,
}

/// The rows of a run.
pub(crate) fn run_rows(run: u32) -> Range<u32> {
    run * RUN_ROWS..(run + 1) * RUN_ROWS
}

impl RunFields {
    /// The index of the rows of `run`, numbered as in the memtable, and the rows that are not in
    /// it. A reader that asks while another one makes it waits for that.
    pub(crate) fn get<'a>(
        &self,
        run: u32,
        options: &CollectionOptions,
        row: impl Fn(u32) -> &'a HotRow,
    ) -> Result<(FieldIndex<'_>, &RoaringBitmap), FormatError> {
        let fields = self.0.get_or_init(|| {
            let mut builder = options.field_index();
            let mut unread = RoaringBitmap::new();
            for at in run_rows(run) {
                match row(at).metadata() {
                    Ok(metadata) => index_metadata(&mut builder, at, &metadata),
                    Err(_) => drop(unread.insert(at)),
                }
            }
            Fields { bytes: builder.finish(), unread }
        });
        Ok((FieldIndex::open(&fields.bytes)?, &fields.unread))
    }
}
