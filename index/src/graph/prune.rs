//! Which of many candidates a row is linked to.

use crate::codes::Measure;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// Candidates looked at; those farther away are rarely kept and cost as much as the near ones.
pub(super) const CANDIDATES_MAX: usize = 64;

/// α² in units of 1/1024, for α = 1.05: an integer, so that every processor decides alike. With 1.1
/// queries take a third longer at recall 0.99 on `wordnet50k`, and with 1.0 an eighth.
const ALPHA_SQUARED: u64 = 1129;

/// A row that another one may be linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) key: u32,
    pub(super) row: u32,
    /// Whether one pruning for the same row, with the same rule, kept it and all others that say so:
    /// none of those is nearer to another than the row is, and they need not be compared again.
    pub(super) is_pruned: bool,
}

impl Candidate {
    /// One that may have to be compared with every other.
    #[inline(always)]
    pub(super) fn new((key, row): (u32, u32)) -> Self {
        Candidate { key, row, is_pruned: false }
    }
}

/// Keeps a candidate unless one that is kept already is clearly nearer to it than the row is: the
/// way then leads over that one (RobustPrune of Subramanya et al., DiskANN, 2019).
///
/// `candidates` are nearest first, without the row itself; at most `limit` are put into the empty
/// `kept`, nearest first. For inner products, which are no metric, α is 1 (the heuristic of Malkov
/// & Yashunin 2018, Alg. 4).
#[inline(always)]
pub(super) fn prune<K: Kernel, C: Rows<u8>>(
    kernel: K,
    codes: &C,
    measure: Measure,
    candidates: &[Candidate],
    limit: usize,
    kept: &mut Vec<u32>,
) -> Result<(), Damaged> {
    // Those kept that were not pruned before.
    let mut fresh = [0; CANDIDATES_MAX];
    let mut fresh_len = 0;
    'candidates: for &Candidate { key, row, is_pruned } in candidates.iter().take(CANDIDATES_MAX) {
        let code = codes.row(row)?;
        let others = if is_pruned { &fresh[..fresh_len] } else { &**kept };
        for &other in others {
            let between = measure.key(kernel, code, codes.row(other)?);
            let covered = match measure {
                Measure::SquaredL2 => u64::from(between) * ALPHA_SQUARED <= u64::from(key) << 10,
                Measure::Dot => between < key,
            };
            if covered {
                continue 'candidates;
            }
        }
        if !is_pruned {
            fresh[fresh_len] = row;
            fresh_len += 1;
        }
        kept.push(row);
        if kept.len() == limit {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FlatRows;
    use crate::kernels::{KernelChoice, WithKernel};

    const LEN: usize = 3;

    struct Prune<'a> {
        codes: &'a FlatRows<'a, u8>,
        measure: Measure,
        /// Rows that were pruned together, and others.
        pruned: &'a [u32],
        others: &'a [u32],
        limit: usize,
    }

    impl WithKernel for Prune<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> Vec<u32> {
            let target = self.codes.row(0).unwrap();
            let candidate = |row: u32, is_pruned| {
                let key = self.measure.key(kernel, target, self.codes.row(row).unwrap());
                Candidate { key, row, is_pruned }
            };
            let mut candidates: Vec<Candidate> = (self.pruned.iter().map(|&r| candidate(r, true)))
                .chain(self.others.iter().map(|&r| candidate(r, false)))
                .collect();
            candidates.sort_unstable();
            let mut kept = Vec::new();
            prune(kernel, self.codes, self.measure, &candidates, self.limit, &mut kept).unwrap();
            kept
        }
    }

    proptest! {
        #[test]
        fn what_was_pruned_together_is_not_compared_again(
            codes in prop::collection::vec(0_u8..128, LEN * 120),
            earlier in 1_u32..100,
            limits in (1_usize..64, 1_usize..64),
            is_dot: bool,
        ) {
            let codes = FlatRows::new("codes", &codes, LEN);
            let measure = if is_dot { Measure::Dot } else { Measure::SquaredL2 };
            let prune = |pruned: &[u32], others: &[u32], limit| {
                KernelChoice::detected().run(Prune { codes: &codes, measure, pruned, others, limit })
            };
            let earlier: Vec<u32> = (1..=earlier).collect();
            let later: Vec<u32> = (earlier.len() as u32 + 1..120).collect();
            let pruned = prune(&[], &earlier, limits.0);
            let all = [&pruned[..], &later].concat();
            prop_assert_eq!(prune(&pruned, &later, limits.1), prune(&[], &all, limits.1));
        }
    }
}
