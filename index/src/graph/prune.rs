//! Which of many candidates a row is linked to.

use crate::codes::Measure;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// Candidates looked at; those farther away are rarely kept and cost as much as the near ones.
pub(super) const CANDIDATES_MAX: usize = 64;

/// α² in units of 1/1024, for α = 1.1: an integer, so that every processor decides alike.
const ALPHA_SQUARED: u64 = 1239;

/// Keeps a candidate unless one that is kept already is clearly nearer to it than the row is: the
/// way then leads over that one (RobustPrune of Subramanya et al., DiskANN, 2019).
///
/// `candidates` are key and row, nearest first, without the row itself; at most `limit` are put
/// into the empty `kept`, nearest first. For inner products, which are no metric, α is 1 (the
/// heuristic of Malkov & Yashunin 2018, Alg. 4).
#[inline(always)]
pub(super) fn prune<K: Kernel, C: Rows<u8>>(
    kernel: K,
    codes: &C,
    measure: Measure,
    candidates: &[(u32, u32)],
    limit: usize,
    kept: &mut Vec<u32>,
) -> Result<(), Damaged> {
    'candidates: for &(key, row) in candidates.iter().take(CANDIDATES_MAX) {
        let code = codes.row(row)?;
        for &other in &*kept {
            let between = measure.key(kernel, code, codes.row(other)?);
            let covered = match measure {
                Measure::SquaredL2 => u64::from(between) * ALPHA_SQUARED <= u64::from(key) << 10,
                Measure::Dot => between < key,
            };
            if covered {
                continue 'candidates;
            }
        }
        kept.push(row);
        if kept.len() == limit {
            break;
        }
    }
    Ok(())
}
