//! The sketches of all rows.

use vecstore_index::{Quantizer, Workers, build_sketches};

use super::file::FileWriter;
use super::write::WriteOptions;
use crate::SegmentError;
use crate::format::Kind;

/// Writes the sketches of `codes`, or two empty sections where there are to be none.
pub(super) fn write_sketches(
    out: &mut FileWriter<'_>,
    codes: &[u8],
    quantizer: &Quantizer,
    options: &WriteOptions,
    workers: &dyn Workers,
) -> Result<(), SegmentError> {
    let rows = codes.len() / quantizer.code_len();
    let (mut head, mut data) = (Vec::new(), Vec::new());
    if rows >= options.sketch_rows_min as usize {
        let built = build_sketches(quantizer, codes, workers).map_err(|damaged| {
            SegmentError::corrupt(out.path(), damaged.array, damaged.to_string())
        })?;
        (head, data) = (built.sketches.to_bytes(), built.data);
    }
    out.section(Kind::Sketches, &head)?;
    out.section(Kind::SketchRows, &data)?;
    Ok(())
}
