//! The live rows of several segments.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vecstore_index::NO_ROW;
use vecstore_index::roaring::RoaringBitmap;

use super::input::Input;
use super::runs::{Run, Runs};
use crate::format::Kind;
use crate::{LentChoice, LentGraph, RecordId, RowSource, Segment, SegmentError};

/// The live rows of several segments in the order of the new segment: namespaces ascending,
/// within a namespace the inputs in the order given, within an input its rows ascending.
///
/// Rows are read with positioned reads, not through the mapping, so that a merge does not push
/// the inputs into this process's memory; they are checked block by block, and read ahead where a
/// pass goes through them in order. Graphs of the inputs are lent to the new ones. Takes 12 bytes of memory a row and a few MiB an input.
#[derive(Debug)]
pub struct MergeSource {
    inputs: Vec<Input>,
    runs: Runs,
    /// Read when the merge begins, since [`RowSource::seq`] cannot fail.
    seqs: Vec<u64>,
    /// The run that was asked for last; passes go through the rows in order.
    last_run: AtomicUsize,
}

impl MergeSource {
    /// Live rows (all but `deleted`) of each input. Reads and checks their commit sequence
    /// numbers.
    ///
    /// Inputs of different dimensions or metrics, and more rows than a segment can have, are
    /// [`SegmentError::Unsupported`].
    pub fn new(inputs: Vec<(Arc<Segment>, Arc<RoaringBitmap>)>) -> Result<Self, SegmentError> {
        if let Some(((first, _), rest)) = inputs.split_first() {
            rest.iter().try_for_each(|(other, _)| same_shape(first, other))?;
        }
        let views: Vec<_> =
            inputs.iter().map(|(s, deleted)| (s.namespaces(), &**deleted)).collect();
        let runs = Runs::new(&views).ok_or_else(|| SegmentError::Unsupported {
            path: inputs.first().map(|(s, _)| s.path().clone()).unwrap_or_default(),
            detail: "the segments have more live rows than one segment can have".to_owned(),
        })?;
        let inputs: Vec<Input> =
            inputs.into_iter().map(|(segment, _)| Input::new(segment)).collect::<Result<_, _>>()?;
        let mut readers: Vec<_> = inputs.iter().map(Input::seqs).collect();
        let mut seqs = Vec::with_capacity(runs.len() as usize);
        for run in runs.iter() {
            let input = run.input as usize;
            for new_row in run.new_rows.clone() {
                let old_row = runs.old_row(new_row).unwrap_or(u32::MAX);
                seqs.push(inputs[input].seq(&mut readers[input], old_row)?);
            }
        }
        Ok(MergeSource { inputs, runs, seqs, last_run: AtomicUsize::new(0) })
    }

    /// The row of the new segment that row `row` of input number `input` became, or `None` if it
    /// was left out.
    #[must_use]
    pub fn new_row(&self, input: usize, row: u32) -> Option<u32> {
        self.runs.new_row(input, row)
    }

    fn run(&self, new_row: u32) -> Option<&Run> {
        let last = self.last_run.load(Ordering::Relaxed);
        if let Some(run) = self.runs.run(last)
            && run.new_rows.contains(&new_row)
        {
            return Some(run);
        }
        let number = self.runs.number_of(new_row)?;
        self.last_run.store(number, Ordering::Relaxed);
        self.runs.run(number)
    }

    /// Input and row of a new row.
    fn origin(&self, new_row: u32) -> Result<(&Input, u32), SegmentError> {
        let input = self.run(new_row).and_then(|run| self.inputs.get(run.input as usize));
        input.zip(self.runs.old_row(new_row)).ok_or_else(|| self.no_such_row(new_row))
    }

    /// The graph that the rows of a run have in their input, if there is one; rows are numbered
    /// from `first_row`.
    fn lend(&self, run: &Run, first_row: u32) -> Result<Option<LentGraph<'_>>, SegmentError> {
        let segment = &self.inputs[run.input as usize].segment;
        let namespace = &segment.namespaces()[run.namespace as usize];
        let Some(graph) = segment.graph(namespace)? else { return Ok(None) };
        let mut new_rows = vec![NO_ROW; namespace.rows.len()];
        for new_row in run.new_rows.clone() {
            if let Some(old_row) = self.runs.old_row(new_row) {
                new_rows[(old_row - namespace.rows.start) as usize] = new_row - first_row;
            }
        }
        let links = Box::new(graph.links);
        Ok(Some(LentGraph { links, new_rows, calibration: graph.calibration }))
    }

    /// Of which kind the index is that the rows of a run have in their input, if it can be read.
    fn choice(&self, run: &Run) -> Option<LentChoice> {
        let segment = &self.inputs[run.input as usize].segment;
        let namespace = &segment.namespaces()[run.namespace as usize];
        let choice = segment.choice(&namespace.name)?;
        Some(LentChoice { rows: run.new_rows.len() as u32, ..choice })
    }

    /// The runs of a namespace's rows.
    fn runs_of(&self, rows: &Range<u32>) -> impl Iterator<Item = &Run> {
        let first = self.runs.number_of(rows.start).unwrap_or(usize::MAX);
        let runs = (first..).map_while(|number| self.runs.run(number));
        runs.take_while(move |run| run.new_rows.end <= rows.end)
    }

    fn no_such_row(&self, new_row: u32) -> SegmentError {
        let path = self.inputs.first().map(|i| i.segment.path().clone()).unwrap_or_default();
        let detail = format!("there is no row {new_row}, the merge has {}", self.runs.len());
        SegmentError::corrupt(&path, Kind::Ids.name(), detail)
    }
}

fn same_shape(first: &Segment, other: &Segment) -> Result<(), SegmentError> {
    let shape = |segment: &Segment| (segment.dim(), segment.precision(), segment.metric());
    if shape(first) == shape(other) {
        return Ok(());
    }
    Err(SegmentError::Unsupported {
        path: other.path().clone(),
        detail: format!(
            "vectors of {} components ({}, {}) cannot be merged with vectors of {} ({}, {})",
            other.dim(),
            other.precision(),
            other.metric(),
            first.dim(),
            first.precision(),
            first.metric()
        ),
    })
}

impl RowSource for MergeSource {
    fn rows(&self) -> u32 {
        self.runs.len()
    }

    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        let run = self.run(row).ok_or_else(|| self.no_such_row(row))?;
        let namespaces = self.inputs[run.input as usize].segment.namespaces();
        Ok(&namespaces[run.namespace as usize].name)
    }

    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        let (input, row) = self.origin(row)?;
        input.id(row)
    }

    fn seq(&self, row: u32) -> u64 {
        self.seqs.get(row as usize).copied().unwrap_or_default()
    }

    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        let (input, row) = self.origin(row)?;
        input.vector(row, vector)
    }

    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        let (input, row) = self.origin(row)?;
        input.metadata(row, json)
    }

    /// The graphs of the inputs. Their links are read through the mapping, as every query does.
    fn graphs(&self, rows: Range<u32>) -> Vec<Result<LentGraph<'_>, SegmentError>> {
        self.runs_of(&rows).filter_map(|run| self.lend(run, rows.start).transpose()).collect()
    }

    fn choices(&self, rows: Range<u32>) -> Vec<LentChoice> {
        self.runs_of(&rows).filter_map(|run| self.choice(run)).collect()
    }
}
