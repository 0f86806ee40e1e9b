//! From vectors to codes.

use super::range::{Coder, Range};
use super::{CodeQuery, Measure, Scale};
use crate::kernels::{Kernel, KernelChoice, WithKernel, squared_norm};
use crate::{FormatError, Metric};

/// Components a vector may have: a sum of so many squared differences of bytes still fits 32 bits.
pub const DIM_MAX: usize = 65_536;

/// Components looked at when a range is fitted; of a larger sample every n-th vector is taken.
const FITTED_COMPONENTS_MAX: usize = 1 << 20;

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "quantizer";

/// Uniform scalar quantisation to `u8` with one range for all components.
///
/// | metric | coded | codes are compared by | distance |
/// |---|---|---|---|
/// | cosine | the vector at unit length | `s = Σ (a − b)²` | `step² · s / 2` |
/// | Euclidean | the vector | `s = Σ (a − b)²` | `step · √s` |
/// | dot | the vector, 0 at code 128 | `s = Σ (a − 128)(b − 128)` | `−step · step_q · s` |
///
/// Components outside of the range are coded as its nearer end. The code of a vector is the same
/// on every processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantizer {
    metric: Metric,
    dim: usize,
    range: Range,
}

impl Quantizer {
    /// Fits the range to `sample` (vectors back to back, as given by the user).
    ///
    /// A sample that is empty or constant gives a range that is valid, if not good.
    ///
    /// # Panics
    ///
    /// If `dim` is more than [`DIM_MAX`].
    #[must_use]
    pub fn train(metric: Metric, dim: usize, sample: &[f32]) -> Self {
        assert!(dim <= DIM_MAX, "{dim} components, at most {DIM_MAX} can be coded");
        let mut values = Vec::new();
        if dim > 0 {
            let stride = sample.len().div_ceil(FITTED_COMPONENTS_MAX).max(1);
            for vector in sample.chunks_exact(dim).step_by(stride) {
                let scale = scale(metric, vector);
                values.extend(vector.iter().map(|&x| (f64::from(x) * scale) as f32));
            }
        }
        let range = match metric {
            Metric::Cosine | Metric::Euclidean => Range::fit(&mut values),
            Metric::Dot => Range::fit_symmetric(&mut values),
        };
        Quantizer { metric, dim, range }
    }

    /// The metric that codes are compared by.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Components of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of one code: the dimension rounded up to 64.
    #[must_use]
    pub fn code_len(&self) -> usize {
        self.dim.next_multiple_of(64)
    }

    /// Writes the code of `vector` (as given by the user) into `code` of `code_len` bytes.
    ///
    /// Bytes without a component are filled so that they add nothing to a distance.
    pub fn encode(&self, vector: &[f32], code: &mut [u8]) {
        encode(self.range, scale(self.metric, vector), vector, self.filler(), code);
    }

    /// Prepares a query.
    #[must_use]
    pub fn query(&self, query: &[f32]) -> CodeQuery {
        let mut code = vec![0; self.code_len()];
        if self.metric != Metric::Dot {
            self.encode(query, &mut code);
            return self.query_of(code, self.range);
        }
        // An inner product may be scaled as one likes, so the query is spread over a range of its
        // own and nothing of it is cut off, however long it is.
        let bound = query.iter().fold(0.0f32, |bound, x| bound.max(x.abs()));
        let range = Range::symmetric(f64::from(bound));
        encode(range, 1.0, query, self.filler(), &mut code);
        self.query_of(code, range)
    }

    /// A query that is a stored code.
    #[must_use]
    pub fn query_code(&self, code: &[u8]) -> CodeQuery {
        self.query_of(code.to_vec(), self.range)
    }

    /// Which value of a code would stand for 0.
    pub(super) fn zero(&self) -> f64 {
        self.range.zero()
    }

    /// The query with a code in the range `coded`.
    fn query_of(&self, code: Vec<u8>, coded: Range) -> CodeQuery {
        let unit = f64::from(self.range.step) * f64::from(coded.step);
        CodeQuery::new(self.dim, code, coded.zero(), Scale { metric: self.metric, unit })
    }

    /// The code that adds nothing to a distance if both rows have it.
    fn filler(&self) -> u8 {
        match Measure::of(self.metric) {
            Measure::SquaredL2 => 0,
            Measure::Dot => 128,
        }
    }

    /// The bytes kept in a segment: version, metric, dimension, `low`, `step`; four bytes each,
    /// little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let metric: u32 = match self.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::Euclidean => 2,
        };
        let mut bytes = Vec::with_capacity(20);
        for word in [FORMAT_VERSION, metric, self.dim as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.range.low.to_le_bytes());
        bytes.extend(self.range.step.to_le_bytes());
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let (words, []) = bytes.as_chunks::<4>() else {
            return Err(FormatError::new(WHAT, format!("{} bytes, expected 20", bytes.len())));
        };
        let &[version, metric, dim, low, step] = words else {
            return Err(FormatError::new(WHAT, format!("{} bytes, expected 20", bytes.len())));
        };
        let version = u32::from_le_bytes(version);
        if version != FORMAT_VERSION {
            let problem = format!("version {version}, this program reads {FORMAT_VERSION}");
            return Err(FormatError::new(WHAT, problem));
        }
        let metric = match u32::from_le_bytes(metric) {
            0 => Metric::Cosine,
            1 => Metric::Dot,
            2 => Metric::Euclidean,
            other => return Err(FormatError::new(WHAT, format!("unknown metric {other}"))),
        };
        let dim = u32::from_le_bytes(dim) as usize;
        if dim > DIM_MAX {
            return Err(FormatError::new(WHAT, format!("{dim} components, at most {DIM_MAX}")));
        }
        let range = Range { low: f32::from_le_bytes(low), step: f32::from_le_bytes(step) };
        if !range.low.is_finite() || !range.step.is_finite() || range.step <= 0.0 {
            let problem = format!("range from {} in steps of {}", range.low, range.step);
            return Err(FormatError::new(WHAT, problem));
        }
        Ok(Quantizer { metric, dim, range })
    }
}

/// What a vector is multiplied by before it is coded: to unit length for cosine.
fn scale(metric: Metric, vector: &[f32]) -> f64 {
    if metric != Metric::Cosine {
        return 1.0;
    }
    unit_scale(vector)
}

/// What brings `vector` to unit length; 1 for a zero vector.
pub(crate) fn unit_scale(vector: &[f32]) -> f64 {
    let norm = squared_norm(vector).sqrt();
    if norm > 0.0 { 1.0 / norm } else { 1.0 }
}

fn encode(range: Range, scale: f64, vector: &[f32], filler: u8, code: &mut [u8]) {
    let coded = vector.len().min(code.len());
    KernelChoice::detected().run(Encode { coder: range.coder(scale), vector, code });
    code[coded..].fill(filler);
}

/// As many codes as there are components, compiled for the instruction set.
struct Encode<'a> {
    coder: Coder,
    vector: &'a [f32],
    code: &'a mut [u8],
}

impl WithKernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernel>(self, _kernel: K) {
        for (code, &value) in self.code.iter_mut().zip(self.vector) {
            *code = self.coder.code(value);
        }
    }
}
