//! A query against codes.

use super::{Keys, Measure, Scale};
use crate::Metric;
use crate::kernels::{Kernel, KernelChoice, WithKernel};

/// A query prepared for distances to codes.
#[derive(Clone, Debug)]
pub struct CodeQuery {
    /// Components; the code is as long or longer.
    pub(super) dim: usize,
    code: Vec<u8>,
    /// Which value of a code would stand for 0.
    pub(super) zero: f64,
    scale: Scale,
}

impl CodeQuery {
    pub(super) fn new(dim: usize, code: Vec<u8>, zero: f64, scale: Scale) -> Self {
        CodeQuery { dim, code, zero, scale }
    }

    /// Approximate distance to one code, in the metric's own unit.
    #[must_use]
    pub fn distance(&self, code: &[u8]) -> f32 {
        let key =
            KernelChoice::detected().run(Key { measure: self.measure(), a: &self.code, b: code });
        self.scale.key_to_distance(key)
    }

    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }

    pub(super) fn metric(&self) -> Metric {
        self.scale.metric
    }

    pub(crate) fn measure(&self) -> Measure {
        Measure::of(self.metric())
    }

    /// What the keys of codes stand for.
    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }
}

struct Key<'a> {
    measure: Measure,
    a: &'a [u8],
    b: &'a [u8],
}

impl WithKernel for Key<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> u32 {
        self.measure.key(kernel, self.a, self.b)
    }
}
