//! Recall and cost by effort, measured.

use crate::FormatError;

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "calibration";

/// Part of the allowed misses that is held back.
const MARGIN: f32 = 0.25;

/// Recall and cost at one effort, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffortPoint {
    /// How hard was looked: a curve says what the number is, and at least 1. More finds more.
    pub effort: u32,
    /// Mean recall of the 10 nearest after reranking on full vectors, 0 to 1.
    pub recall: f32,
    /// Mean number of code distances computed.
    pub distances: f32,
}

/// What an index was measured to do, by one way to look harder.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Curve {
    /// Ascending by `effort`.
    pub points: Vec<EffortPoint>,
}

impl Curve {
    /// The highest recall that was measured, if anything was.
    #[must_use]
    pub fn best(&self) -> Option<&EffortPoint> {
        self.points.iter().max_by(|a, b| a.recall.total_cmp(&b.recall))
    }

    /// The least effort (interpolated) whose measured recall reaches `recall` with a margin; if only
    /// the margin is not reached, the effort that came nearest.
    ///
    /// The margin: a mean over a few hundred probes is only known to within its standard error,
    /// which is about a quarter of the misses (`examples/wordnet.rs` prints it). So that part of the
    /// misses allowed is held back.
    #[must_use]
    pub fn effort_for_recall(&self, recall: f32) -> Option<u32> {
        self.effort_for(recall + (1.0 - recall) * MARGIN, |point| point.recall)
            .or_else(|| self.best().filter(|best| best.recall >= recall).map(|best| best.effort))
    }

    /// The least effort (interpolated) that computes so many distances, if one does.
    #[must_use]
    pub fn effort_for_distances(&self, distances: f32) -> Option<u32> {
        self.effort_for(distances, |point| point.distances)
    }

    fn effort_for(&self, wanted: f32, value: impl Fn(&EffortPoint) -> f32) -> Option<u32> {
        let mut before = (0, 0.0);
        for point in &self.points {
            let now = value(point);
            if now >= wanted {
                let rise = now - before.1;
                let part = if rise > 0.0 { (wanted - before.1) / rise } else { 1.0 };
                let effort =
                    before.0 as f32 + part.clamp(0.0, 1.0) * (point.effort - before.0) as f32;
                return Some((effort.ceil() as u32).clamp(1, point.effort));
            }
            before = (point.effort, now);
        }
        None
    }

    /// Expected recall at an effort, interpolated; 1 where nothing was measured, which is where
    /// there are not two rows.
    #[must_use]
    pub fn recall_at(&self, effort: u32) -> f32 {
        self.interpolate(effort, |point| point.recall).unwrap_or(1.0)
    }

    /// Expected number of distances at an effort, interpolated, and in proportion beyond the last.
    #[must_use]
    pub fn distances_at(&self, effort: u32) -> f32 {
        match self.points.last() {
            Some(last) if effort > last.effort => {
                last.distances * (effort as f32 / last.effort as f32)
            }
            _ => self.interpolate(effort, |point| point.distances).unwrap_or(1.0),
        }
    }

    /// A value between the points around `effort`, with 0 at effort 0 and the last one beyond the
    /// last.
    fn interpolate(&self, effort: u32, value: impl Fn(&EffortPoint) -> f32) -> Option<f32> {
        let mut before = (0, 0.0);
        for point in &self.points {
            if point.effort >= effort {
                let part = (effort - before.0) as f32 / (point.effort - before.0).max(1) as f32;
                return Some(before.1 + part * (value(point) - before.1));
            }
            before = (point.effort, value(point));
        }
        self.points.last().map(value)
    }

    /// The bytes kept in a segment: version and number of points, then effort, recall and
    /// distances of each; four bytes each, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 12 * self.points.len());
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend((self.points.len() as u32).to_le_bytes());
        for point in &self.points {
            bytes.extend(point.effort.to_le_bytes());
            bytes.extend(point.recall.to_le_bytes());
            bytes.extend(point.distances.to_le_bytes());
        }
        bytes
    }

    /// Reads what `to_bytes` wrote at the beginning of `bytes`; the rest of them comes back.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let error = |problem: String| FormatError::new(WHAT, problem);
        let Some((head, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(error(format!("{} bytes are too few", bytes.len())));
        };
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (version, count) = (word(0), word(4));
        if version != FORMAT_VERSION {
            return Err(error(format!("version {version}, this program reads {FORMAT_VERSION}")));
        }
        let Some((points, rest)) =
            (count as usize).checked_mul(12).and_then(|len| rest.split_at_checked(len))
        else {
            return Err(error(format!("{} bytes do not hold {count} points", bytes.len())));
        };
        let (words, _) = points.as_chunks::<4>();
        let (points, _) = words.as_chunks::<3>();
        let points: Vec<EffortPoint> = points
            .iter()
            .map(|&[effort, recall, distances]| EffortPoint {
                effort: u32::from_le_bytes(effort),
                recall: f32::from_le_bytes(recall),
                distances: f32::from_le_bytes(distances),
            })
            .collect();
        let valid = |point: &EffortPoint| {
            point.effort > 0
                && (0.0..=1.0).contains(&point.recall)
                && point.distances.is_finite()
                && point.distances >= 0.0
        };
        if !points.iter().all(valid) || !points.is_sorted_by(|a, b| a.effort < b.effort) {
            return Err(error("a point is out of order or out of range".to_owned()));
        }
        Ok((Curve { points }, rest))
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let (curve, rest) = Curve::read(bytes)?;
        if rest.is_empty() { Ok(curve) } else { Err(too_long(rest)) }
    }
}

pub(crate) fn too_long(rest: &[u8]) -> FormatError {
    FormatError::new(WHAT, format!("{} bytes are too many", rest.len()))
}
