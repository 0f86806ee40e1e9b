//! Which row of which input becomes which row of the new segment.

use std::collections::BTreeMap;
use std::ops::Range;

use vecstore_index::roaring::RoaringBitmap;

use crate::NamespaceRows;

/// Consecutive new rows: the live rows of one namespace of one input.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Number of the input.
    pub(super) input: u32,
    /// Number of the namespace in that input.
    pub(super) namespace: u32,
    /// The new rows.
    pub(super) new_rows: Range<u32>,
}

/// The order of the new segment: namespaces ascending, within one the inputs in their order,
/// within an input its rows ascending.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    /// For every new row its row in its input.
    old_rows: Vec<u32>,
    /// For every input its runs, by number; their old rows ascend.
    of_input: Vec<Vec<u32>>,
}

impl Runs {
    /// `None` if there are more live rows than a row number can count.
    pub(super) fn new(inputs: &[(&[NamespaceRows], &RoaringBitmap)]) -> Option<Self> {
        let mut by_name: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
        for (input, (namespaces, _)) in (0..).zip(inputs) {
            for (number, namespace) in (0..).zip(*namespaces) {
                by_name.entry(&namespace.name).or_default().push((input, number));
            }
        }
        let mut runs = Runs { of_input: vec![Vec::new(); inputs.len()], ..Runs::default() };
        for (input, namespace) in by_name.into_values().flatten() {
            let (namespaces, deleted) = &inputs[input as usize];
            let start = runs.rows()?;
            live_rows(namespaces[namespace as usize].rows.clone(), deleted, &mut runs.old_rows);
            let new_rows = start..runs.rows()?;
            if !new_rows.is_empty() {
                runs.of_input[input as usize].push(runs.runs.len() as u32);
                runs.runs.push(Run { input, namespace, new_rows });
            }
        }
        Some(runs)
    }

    fn rows(&self) -> Option<u32> {
        u32::try_from(self.old_rows.len()).ok()
    }

    /// Number of new rows.
    pub(super) fn len(&self) -> u32 {
        self.old_rows.len() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// The number of the run that holds a new row.
    pub(super) fn number_of(&self, new_row: u32) -> Option<usize> {
        let number = self.runs.partition_point(|run| run.new_rows.end <= new_row);
        (number < self.runs.len()).then_some(number)
    }

    pub(super) fn run(&self, number: usize) -> Option<&Run> {
        self.runs.get(number)
    }

    /// The row in its input of a new row.
    pub(super) fn old_row(&self, new_row: u32) -> Option<u32> {
        self.old_rows.get(new_row as usize).copied()
    }

    fn old_rows_of(&self, run: u32) -> &[u32] {
        let rows = &self.runs[run as usize].new_rows;
        &self.old_rows[rows.start as usize..rows.end as usize]
    }

    /// The new row of a row of an input, `None` if it was left out.
    pub(super) fn new_row(&self, input: usize, old_row: u32) -> Option<u32> {
        let runs = self.of_input.get(input)?;
        let after = runs.partition_point(|run| {
            self.old_rows_of(*run).first().is_some_and(|first| *first <= old_row)
        });
        let run = runs[after.checked_sub(1)?];
        let at = self.old_rows_of(run).binary_search(&old_row).ok()?;
        Some(self.runs[run as usize].new_rows.start + at as u32)
    }
}

/// Appends the rows that are not deleted.
fn live_rows(rows: Range<u32>, deleted: &RoaringBitmap, live: &mut Vec<u32>) {
    let mut next = rows.start;
    for dead in deleted.range(rows.clone()) {
        live.extend(next..dead);
        next = dead + 1;
    }
    live.extend(next..rows.end);
}
