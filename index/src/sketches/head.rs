//! How rows are sketched.

use super::TAIL_BYTES;
use super::expected::ExpectedLooks;
use super::rotation::Rotation;
use crate::codes::Measure;
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{DIM_MAX, Damaged, FormatError, Metric, Quantizer, Rows};

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "sketches";
/// Words before the centre: version, measure, dimension, rows, looks of all rows and of few.
const HEAD_WORDS: usize = 6;
/// Codes that the centre is the mean of.
const CENTER_ROWS: u32 = 1 << 16;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;
/// Sums that a sum of components is made in, so that its order is fixed.
const SUMS: usize = 16;

/// How the codes of a segment are sketched, and what a scan of sketches is expected to cost.
///
/// With `r` the code less the centre, rotated, a sketch has the signs of `r`, `‖r‖²`, and
/// `‖r‖² / Σ |rᵢ|`, by which the signs are multiplied to stand for `r`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketches {
    pub(super) measure: Measure,
    pub(super) dim: usize,
    /// The mean code.
    pub(super) center: Vec<u8>,
    pub(super) rotation: Rotation,
    /// What scans were measured to look at.
    pub expected: ExpectedLooks,
}

impl Sketches {
    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.center.capacity() + self.rotation.heap_bytes()
    }

    /// With the mean of codes as the centre.
    pub(super) fn train<C: Rows<u8>>(quantizer: &Quantizer, codes: &C) -> Result<Self, Damaged> {
        let dim = quantizer.dim();
        let mut sums = vec![0u64; dim];
        let every = codes.rows().div_ceil(CENTER_ROWS).max(1);
        let mut count = 0u64;
        for row in (0..codes.rows()).step_by(every as usize) {
            sums.iter_mut().zip(codes.row(row)?).for_each(|(sum, &code)| *sum += u64::from(code));
            count += 1;
        }
        let center = sums.iter().map(|sum| (sum + count / 2).checked_div(count).unwrap_or(0) as u8);
        Ok(Sketches {
            measure: Measure::of(quantizer.metric()),
            dim,
            center: center.collect(),
            rotation: Rotation::new(dim),
            expected: ExpectedLooks::default(),
        })
    }

    /// Bytes of one sketch: a bit a component, in whole words of 64, and two numbers; and zeros up to a
    /// multiple of 64 bytes where those are no more than a quarter, so that fewer cache lines are read
    /// for it.
    #[must_use]
    pub fn sketch_len(&self) -> usize {
        let len = self.bit_bytes() + TAIL_BYTES;
        let lines = len.next_multiple_of(LINE_BYTES);
        if 4 * (lines - len) <= len { lines } else { len }
    }

    pub(super) fn bit_bytes(&self) -> usize {
        self.dim.div_ceil(64) * 8
    }

    /// Whether they can be of codes of this quantizer.
    #[must_use]
    pub fn fit(&self, quantizer: &Quantizer) -> bool {
        self.dim == quantizer.dim() && self.measure == Measure::of(quantizer.metric())
    }

    /// Writes the sketches of `codes`, back to back, into `sketches`.
    pub(super) fn write(&self, codes: &[u8], code_len: usize, sketches: &mut [u8]) {
        KernelChoice::detected().run(Write { sketches: self, codes, code_len, out: sketches });
    }

    /// The bytes kept in a segment: version, measure (0 squared differences, 1 products), dimension,
    /// rows, and the looks at all and at a sixteenth of them as `f32`; four bytes each,
    /// little-endian; then the centre, a byte a component.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let measure: u32 = match self.measure {
            Measure::SquaredL2 => 0,
            Measure::Dot => 1,
        };
        let ExpectedLooks { rows, of_all, of_few } = self.expected;
        let mut bytes = Vec::with_capacity(4 * HEAD_WORDS + self.dim);
        for word in [FORMAT_VERSION, measure, self.dim as u32, rows] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(of_all.to_le_bytes());
        bytes.extend(of_few.to_le_bytes());
        bytes.extend(&self.center);
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let error = |problem: String| FormatError::new(WHAT, problem);
        let Some((head, center)) = bytes.split_first_chunk::<{ 4 * HEAD_WORDS }>() else {
            return Err(error(format!("{} bytes are too few", bytes.len())));
        };
        let word = |at: usize| [head[4 * at], head[4 * at + 1], head[4 * at + 2], head[4 * at + 3]];
        let version = u32::from_le_bytes(word(0));
        if version != FORMAT_VERSION {
            return Err(error(format!("version {version}, this program reads {FORMAT_VERSION}")));
        }
        let metric = match u32::from_le_bytes(word(1)) {
            0 => Metric::Euclidean,
            1 => Metric::Dot,
            other => return Err(error(format!("unknown measure {other}"))),
        };
        let dim = u32::from_le_bytes(word(2)) as usize;
        if dim == 0 || dim > DIM_MAX || center.len() != dim {
            return Err(error(format!("{dim} components and a centre of {}", center.len())));
        }
        let expected = ExpectedLooks {
            rows: u32::from_le_bytes(word(3)),
            of_all: f32::from_le_bytes(word(4)),
            of_few: f32::from_le_bytes(word(5)),
        };
        if !expected.is_valid() {
            return Err(error("what was measured is out of range".to_owned()));
        }
        Ok(Sketches {
            measure: Measure::of(metric),
            dim,
            center: center.to_vec(),
            rotation: Rotation::new(dim),
            expected,
        })
    }
}

/// Many sketches, compiled for the instruction set.
struct Write<'a> {
    sketches: &'a Sketches,
    codes: &'a [u8],
    code_len: usize,
    out: &'a mut [u8],
}

impl WithKernel for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernel>(self, _kernel: K) {
        let Sketches { center, rotation, .. } = self.sketches;
        let bit_bytes = self.sketches.bit_bytes();
        let mut rest = vec![0.0f32; center.len()];
        let codes = self.codes.chunks_exact(self.code_len);
        for (code, out) in codes.zip(self.out.chunks_exact_mut(self.sketches.sketch_len())) {
            for (value, (&code, &center)) in rest.iter_mut().zip(code.iter().zip(center)) {
                *value = f32::from(code) - f32::from(center);
            }
            // Exact: a rotation would only add rounding.
            let squared = rest.iter().map(|value| (value * value) as u64).sum::<u64>() as f32;
            rotation.apply(&mut rest);
            let sum = sum_of_sizes(&rest);
            let factor = if sum > 0.0 { squared / sum } else { 0.0 };
            let (bits, tail) = out.split_at_mut(bit_bytes);
            bits.fill(0);
            for (byte, values) in bits.iter_mut().zip(rest.chunks(8)) {
                *byte =
                    values.iter().rev().fold(0, |byte, &value| byte << 1 | u8::from(value >= 0.0));
            }
            tail[..4].copy_from_slice(&squared.to_le_bytes());
            tail[4..TAIL_BYTES].copy_from_slice(&factor.to_le_bytes());
            tail[TAIL_BYTES..].fill(0);
        }
    }
}

/// `Σ |xᵢ|`, in one order on every processor.
#[inline(always)]
fn sum_of_sizes(values: &[f32]) -> f32 {
    let (lanes, rest) = values.as_chunks::<SUMS>();
    let mut sums = [0.0f32; SUMS];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value.abs());
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| value.abs()).sum::<f32>()
}
