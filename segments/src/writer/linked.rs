//! One graph: merged from lent ones where that is possible and good enough, else built; and
//! measured on the vectors that are in the file.

use std::ops::ControlFlow;
use std::path::Path;

use vecstore_index::{
    BuildError, Calibration, CoarseBuf, Codes, Damaged, FlatRows, FlatVectors, Graph, GraphBuf,
    GraphOptions, MergeError, MergeInput, Merged, NO_ROW, Probe, Quantizer, WithCoarse, Workers,
    build, build_coarse, calibrate, calibrate_full, merge, shortfall,
};

use crate::format::Kind;
use crate::{GraphOrigin, LentGraph, RebuildCause, SegmentError};

/// A graph, what it was measured to do, and how it was made.
pub(super) struct Linked {
    pub(super) graph: GraphBuf,
    /// What it is walked on, if codes are kept and long enough.
    pub(super) coarse: Option<CoarseBuf>,
    pub(super) calibration: Calibration,
    pub(super) origin: GraphOrigin,
}

/// The rows of a graph to be made.
pub(super) struct Linking<'a> {
    pub(super) path: &'a Path,
    pub(super) codes: FlatRows<'a, u8>,
    /// Whether it is walked on codes later.
    pub(super) kept: Codes,
    pub(super) vectors: FlatVectors<'a>,
    pub(super) quantizer: &'a Quantizer,
    pub(super) options: &'a GraphOptions,
    pub(super) workers: &'a dyn Workers,
}

impl Linking<'_> {
    /// Merges or builds. `progress` starts over if a merged graph is not good enough.
    pub(super) fn run(
        &self,
        lent: Vec<Result<LentGraph<'_>, SegmentError>>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Linked, SegmentError> {
        let coarse = match self.kept {
            Codes::Int8 => build_coarse(self.quantizer, &self.codes, self.workers)
                .map_err(|error| damaged(self.path, &error))?,
            Codes::None => None,
        };
        let origin = if lent.is_empty() {
            GraphOrigin::Built
        } else {
            match self.merge(lent, coarse.as_ref(), probes, progress)? {
                Ok((graph, calibration, origin)) => {
                    return Ok(Linked { graph, coarse, calibration, origin });
                }
                Err(cause) => GraphOrigin::Rebuilt(cause),
            }
        };
        let Linking { codes, quantizer, options, workers, .. } = *self;
        let graph = build(&codes, quantizer, options, workers, progress)
            .map_err(|e| failed(self.path, e))?;
        let calibration = self.calibrate(&graph, coarse.as_ref(), probes)?;
        Ok(Linked { graph, coarse, calibration, origin })
    }

    /// The merged graph, or why it has to be built.
    fn merge(
        &self,
        lent: Vec<Result<LentGraph<'_>, SegmentError>>,
        coarse: Option<&CoarseBuf>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Result<(GraphBuf, Calibration, GraphOrigin), RebuildCause>, SegmentError> {
        let all = lent.len();
        let lent: Vec<LentGraph<'_>> = lent.into_iter().flatten().collect();
        let unreadable = (all - lent.len()) as u32;
        let inputs: Vec<MergeInput<'_>> = lent
            .iter()
            .map(|graph| MergeInput { links: &*graph.links, new_rows: &graph.new_rows })
            .collect();
        let Linking { codes, quantizer, options, workers, .. } = *self;
        let merged = match merge(&inputs, &codes, quantizer, options, workers, progress) {
            Ok(merged) => merged,
            Err(MergeError::TooLittle { reusable, damaged, .. }) => {
                let damaged = unreadable + damaged as u32;
                return Ok(Err(RebuildCause::TooLittle { reusable, damaged }));
            }
            Err(MergeError::Build(error)) => return Err(failed(self.path, error)),
            Err(error @ MergeError::RowMap { .. }) => {
                let detail = format!("lent graphs: {error}");
                return Err(SegmentError::corrupt(self.path, Kind::Indexes.name(), detail));
            }
        };
        let Merged { graph, used, damaged, linked_anew } = merged;
        let calibration = self.calibrate(&graph, coarse, probes)?;
        let measured: Vec<(&Calibration, u32)> = used
            .iter()
            .map(|&number| {
                let live = lent[number].new_rows.iter().filter(|&&row| row != NO_ROW);
                (lent[number].calibration, live.count() as u32)
            })
            .collect();
        if let Some(short) = shortfall(&calibration, &measured) {
            return Ok(Err(RebuildCause::Recall(short)));
        }
        let origin = GraphOrigin::Merged {
            graphs: used.len() as u32,
            damaged: unreadable + damaged as u32,
            linked_anew,
        };
        Ok(Ok((graph, calibration, origin)))
    }

    fn calibrate(
        &self,
        graph: &GraphBuf,
        coarse: Option<&CoarseBuf>,
        probes: &[Probe],
    ) -> Result<Calibration, SegmentError> {
        let links = FlatRows::new(Kind::Links.name(), &graph.links, graph.degree);
        let graph = Graph { links: &links, upper: &graph.upper };
        let Linking { codes, kept, vectors, quantizer, workers, .. } = self;
        let width = CoarseBuf::coarse_len(quantizer.code_len()).unwrap_or(0);
        let coarse = coarse.map(|CoarseBuf { levels, codes }| {
            (FlatRows::new(Kind::CoarseCodes.name(), codes, width), *levels)
        });
        let coarse = coarse.as_ref().map(|(rows, levels)| (rows, *levels));
        let codes = WithCoarse { whole: codes, coarse };
        let measured = match kept {
            Codes::Int8 => calibrate(&graph, &codes, quantizer, vectors, probes, *workers),
            Codes::None => calibrate_full(&graph, quantizer.metric(), vectors, probes, *workers),
        };
        measured.map_err(|error| damaged(self.path, &error))
    }
}

/// A row of the new file that cannot be read back.
pub(super) fn damaged(path: &Path, damaged: &Damaged) -> SegmentError {
    SegmentError::corrupt(path, damaged.array, damaged.to_string())
}

/// An index that could not be built.
pub(super) fn failed(path: &Path, error: BuildError) -> SegmentError {
    match error {
        BuildError::Damaged(row) => damaged(path, &row),
        BuildError::Cancelled => SegmentError::Cancelled,
        e @ (BuildError::Option { .. } | BuildError::TooManyRows(_)) => {
            SegmentError::Unsupported { path: path.to_owned(), detail: e.to_string() }
        }
    }
}
