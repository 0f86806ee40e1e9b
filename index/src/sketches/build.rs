//! Sketches of all rows.

use super::expected::{FEW, KEPT};
use super::{ExpectedLooks, Sketches};
use crate::workers::collect;
use crate::{Damaged, FlatRows, Quantizer, Rows, Workers};

/// Rows that one task sketches.
const TASK_ROWS: usize = 1_024;
/// Rows that scans are measured with as queries.
const PROBES: u32 = 32;

/// Sketches that were just made.
#[derive(Clone, Debug, PartialEq)]
pub struct SketchesBuf {
    /// How they were made, and what scans of them are expected to cost.
    pub sketches: Sketches,
    /// [`Sketches::sketch_len`] bytes a row.
    pub data: Vec<u8>,
}

/// Sketches all rows of `codes` (back to back, of the quantizer's length), the same for any number of
/// threads and on any processor, and measures scans of them.
pub fn build_sketches(
    quantizer: &Quantizer,
    codes: &[u8],
    workers: &dyn Workers,
) -> Result<SketchesBuf, Damaged> {
    let code_len = quantizer.code_len();
    let code_rows = FlatRows::new("codes", codes, code_len);
    let mut sketches = Sketches::train(quantizer, &code_rows)?;
    let sketch_len = sketches.sketch_len();
    let tasks: Vec<&[u8]> = codes.chunks(TASK_ROWS * code_len.max(1)).collect();
    let parts = collect(workers, tasks.len(), |task| {
        let mut part = vec![0; tasks[task].len() / code_len * sketch_len];
        sketches.write(tasks[task], code_len, &mut part);
        part
    });
    let data = parts.concat();
    let sketch_rows = FlatRows::new("sketches", &data, sketch_len);

    let rows = code_rows.rows();
    let every = rows.div_ceil(PROBES).max(1) as usize;
    let probes: Vec<u32> = (0..rows).step_by(every).collect();
    let looks = collect(workers, probes.len(), |probe| {
        let query = quantizer.query_code(code_rows.row(probes[probe])?);
        let looks = |step: u32| {
            let rows = (0..rows).step_by(step as usize);
            let found = sketches.scan(&query, &sketch_rows, &code_rows, rows, KEPT)?;
            Ok::<_, Damaged>(found.distances as f64)
        };
        Ok::<_, Damaged>((looks(1)?, looks(FEW)?))
    });
    let (mut of_all, mut of_few) = (0.0, 0.0);
    for looks in looks {
        let (all, few) = looks?;
        of_all += all;
        of_few += few;
    }
    let count = probes.len().max(1) as f64;
    let (of_all, of_few) = ((of_all / count) as f32, (of_few / count) as f32);
    sketches.expected = ExpectedLooks { rows, of_all, of_few };
    Ok(SketchesBuf { sketches, data })
}
