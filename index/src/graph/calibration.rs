//! What a graph was measured to do.

use super::Gamma;
use crate::curve::too_long;
use crate::{Curve, FormatError};

/// What a graph was measured to do when it was built.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Calibration {
    /// By [`ef`](super::Beam::ef), the rest of a beam as in [`Beam::fixed`](super::Beam::fixed).
    pub by_ef: Curve,
    /// By [`Gamma`] in thousandths, the rest of a beam as in
    /// [`Beam::adaptive`](super::Beam::adaptive). Empty where distances have no zero.
    pub by_gamma: Curve,
}

/// How a graph is to be searched for the 10 nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredEffort {
    /// With a fixed beam.
    Ef(u32),
    /// With an adaptive one.
    Gamma(Gamma),
}

impl Calibration {
    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_ef.points.is_empty() && self.by_gamma.points.is_empty()
    }

    /// The highest recall that was measured; 0 where nothing was.
    #[must_use]
    pub fn best_recall(&self) -> f32 {
        let best = [&self.by_ef, &self.by_gamma].map(|curve| curve.best().map(|p| p.recall));
        best.into_iter().flatten().fold(0.0, f32::max)
    }

    /// The effort that reaches `recall` (with the margin of
    /// [`Curve::effort_for_recall`]) with the fewest distances, if one does.
    #[must_use]
    pub fn effort_for_recall(&self, recall: f32) -> Option<MeasuredEffort> {
        let gamma = self.by_gamma.effort_for_recall(recall).map(Gamma::new);
        let ef = self.by_ef.effort_for_recall(recall);
        let efforts = [gamma.map(MeasuredEffort::Gamma), ef.map(MeasuredEffort::Ef)];
        let distances = |effort: &MeasuredEffort| self.distances_at(*effort);
        efforts.into_iter().flatten().min_by(|a, b| distances(a).total_cmp(&distances(b)))
    }

    /// The effort with the highest recall.
    #[must_use]
    pub fn best_effort(&self) -> Option<MeasuredEffort> {
        match (self.by_ef.best(), self.by_gamma.best()) {
            (Some(ef), Some(gamma)) if gamma.recall >= ef.recall => {
                Some(MeasuredEffort::Gamma(Gamma::new(gamma.effort)))
            }
            (Some(ef), _) => Some(MeasuredEffort::Ef(ef.effort)),
            (None, gamma) => Some(MeasuredEffort::Gamma(Gamma::new(gamma?.effort))),
        }
    }

    /// Expected recall of the 10 nearest.
    #[must_use]
    pub fn recall_at(&self, effort: MeasuredEffort) -> f32 {
        match effort {
            MeasuredEffort::Ef(ef) => self.by_ef.recall_at(ef),
            MeasuredEffort::Gamma(gamma) => self.by_gamma.recall_at(gamma.thousandths()),
        }
    }

    /// Expected number of distances.
    #[must_use]
    pub fn distances_at(&self, effort: MeasuredEffort) -> f32 {
        match effort {
            MeasuredEffort::Ef(ef) => self.by_ef.distances_at(ef),
            MeasuredEffort::Gamma(gamma) => self.by_gamma.distances_at(gamma.thousandths()),
        }
    }

    /// The `ef` of a fixed beam that computes as many distances.
    #[must_use]
    pub fn ef_as_costly_as(&self, effort: MeasuredEffort) -> u32 {
        match effort {
            MeasuredEffort::Ef(ef) => ef,
            MeasuredEffort::Gamma(gamma) => {
                let distances = self.by_gamma.distances_at(gamma.thousandths());
                let last = self.by_ef.points.last().map_or(1, |point| point.effort);
                self.by_ef.effort_for_distances(distances).unwrap_or(last)
            }
        }
    }

    /// The bytes kept in a segment: those of both curves, one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.by_ef.to_bytes();
        bytes.extend(self.by_gamma.to_bytes());
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let (by_ef, rest) = Curve::read(bytes)?;
        let (by_gamma, rest) = Curve::read(rest)?;
        if rest.is_empty() { Ok(Calibration { by_ef, by_gamma }) } else { Err(too_long(rest)) }
    }
}
