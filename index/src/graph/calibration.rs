//! What a graph was measured to do.

use crate::FormatError;

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "calibration";

/// `ef` where nothing was measured.
const EF_DEFAULT: u32 = 64;

/// Part of the allowed misses that is held back.
const MARGIN: f32 = 0.25;

/// Recall and cost at one `ef`, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EfPoint {
    /// Candidates kept while searching.
    pub ef: u32,
    /// Mean recall of the 10 nearest after reranking on full vectors, 0 to 1.
    pub recall: f32,
    /// Mean number of code distances computed.
    pub distances: f32,
}

/// What a graph was measured to do when it was built.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Calibration {
    /// Ascending by `ef`.
    pub points: Vec<EfPoint>,
}

impl Calibration {
    /// The smallest `ef` (interpolated) whose measured recall reaches `recall` with a margin; the
    /// largest measured `ef` where none does, and 64 where nothing was measured.
    ///
    /// The margin: a mean over a few hundred probes is only known to within its standard error,
    /// which is about a quarter of the misses (`examples/wordnet.rs` prints it). So that part of the
    /// misses allowed is held back.
    #[must_use]
    pub fn ef_for_recall(&self, recall: f32) -> u32 {
        let wanted = recall + (1.0 - recall) * MARGIN;
        let mut before = EfPoint { ef: 0, recall: 0.0, distances: 0.0 };
        for &point in &self.points {
            if point.recall >= wanted {
                let rise = point.recall - before.recall;
                let part = if rise > 0.0 { (wanted - before.recall) / rise } else { 1.0 };
                let ef = before.ef as f32 + part.clamp(0.0, 1.0) * (point.ef - before.ef) as f32;
                return (ef.ceil() as u32).clamp(1, point.ef);
            }
            before = point;
        }
        self.points.last().map_or(EF_DEFAULT, |point| point.ef)
    }

    /// Expected recall at `ef`, interpolated; 1 where nothing was measured, which is where there
    /// are not two rows.
    #[must_use]
    pub fn recall_at(&self, ef: u32) -> f32 {
        self.interpolate(ef, |point| point.recall).unwrap_or(1.0)
    }

    /// Expected number of distances at `ef`, interpolated, and in proportion beyond the last.
    #[must_use]
    pub fn distances_at(&self, ef: u32) -> f32 {
        match self.points.last() {
            Some(last) if ef > last.ef => last.distances * (ef as f32 / last.ef as f32),
            _ => self.interpolate(ef, |point| point.distances).unwrap_or(1.0),
        }
    }

    /// A value between the points around `ef`, with 0 at `ef` 0 and the last one beyond the last.
    fn interpolate(&self, ef: u32, value: impl Fn(&EfPoint) -> f32) -> Option<f32> {
        let mut before = (0, 0.0);
        for point in &self.points {
            if point.ef >= ef {
                let part = (ef - before.0) as f32 / (point.ef - before.0).max(1) as f32;
                return Some(before.1 + part * (value(point) - before.1));
            }
            before = (point.ef, value(point));
        }
        self.points.last().map(value)
    }

    /// The bytes kept in a segment: version and number of points, then `ef`, recall and distances
    /// of each; four bytes each, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 12 * self.points.len());
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend((self.points.len() as u32).to_le_bytes());
        for point in &self.points {
            bytes.extend(point.ef.to_le_bytes());
            bytes.extend(point.recall.to_le_bytes());
            bytes.extend(point.distances.to_le_bytes());
        }
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let error = |problem: String| FormatError::new(WHAT, problem);
        let (words, rest) = bytes.as_chunks::<4>();
        let Some((&[version, count], words)) = words.split_first_chunk::<2>() else {
            return Err(error(format!("{} bytes are too few", bytes.len())));
        };
        let (version, count) = (u32::from_le_bytes(version), u32::from_le_bytes(count));
        if version != FORMAT_VERSION {
            return Err(error(format!("version {version}, this program reads {FORMAT_VERSION}")));
        }
        let (points, more) = words.as_chunks::<3>();
        if points.len() != count as usize || !more.is_empty() || !rest.is_empty() {
            return Err(error(format!("{} bytes do not hold {count} points", bytes.len())));
        }
        let points: Vec<EfPoint> = points
            .iter()
            .map(|&[ef, recall, distances]| EfPoint {
                ef: u32::from_le_bytes(ef),
                recall: f32::from_le_bytes(recall),
                distances: f32::from_le_bytes(distances),
            })
            .collect();
        let valid = |point: &EfPoint| {
            point.ef > 0
                && (0.0..=1.0).contains(&point.recall)
                && point.distances.is_finite()
                && point.distances >= 0.0
        };
        if !points.iter().all(valid) || !points.is_sorted_by(|a, b| a.ef < b.ef) {
            return Err(error("a point is out of order or out of range".to_owned()));
        }
        Ok(Calibration { points })
    }
}
