//! A query against codes.

use std::borrow::Cow;

use super::measure::key_to_dot;
use super::{Levels, Measure};
use crate::Metric;
use crate::kernels::{Kernel, KernelChoice, WithKernel};

/// A query prepared for distances to codes.
#[derive(Clone, Debug)]
pub struct CodeQuery {
    metric: Metric,
    /// Components; the code is as long or longer.
    dim: usize,
    code: Vec<u8>,
    /// The metric's square or product that one unit of the integer comparison stands for.
    unit: f64,
}

impl CodeQuery {
    pub(super) fn new(metric: Metric, dim: usize, code: Vec<u8>, unit: f64) -> Self {
        CodeQuery { metric, dim, code, unit }
    }

    /// Approximate distance to one code, in the metric's own unit.
    #[must_use]
    pub fn distance(&self, code: &[u8]) -> f32 {
        let key =
            KernelChoice::detected().run(Key { measure: self.measure(), a: &self.code, b: code });
        self.key_to_distance(key)
    }

    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }

    /// The code for comparisons with coarse ones: what has no component is level 0 there, and must add
    /// nothing to a distance.
    pub(crate) fn code_for_coarse(&self, levels: &Levels) -> Cow<'_, [u8]> {
        let components = self.dim.min(self.code.len());
        if components == self.code.len() || self.measure() == Measure::Dot {
            // An inner product with the middle, which fills a query's code, adds nothing anyway.
            return Cow::Borrowed(&self.code);
        }
        let mut code = self.code.clone();
        code[components..].fill(levels.values()[0]);
        Cow::Owned(code)
    }

    pub(crate) fn measure(&self) -> Measure {
        Measure::of(self.metric)
    }

    /// The distance that a key of [`Measure`] stands for; ascends with the key.
    pub(crate) fn key_to_distance(&self, key: u32) -> f32 {
        (match self.metric {
            Metric::Cosine => self.unit * f64::from(key) / 2.0,
            Metric::Euclidean => (self.unit * f64::from(key)).sqrt(),
            Metric::Dot => -self.unit * f64::from(key_to_dot(key)),
        }) as f32
    }
}

impl CodeQuery {
    /// The largest key that stands for no more than `distance`, 0 if there is none: a distance that
    /// came of a key gives that, or one that stands for the same.
    pub(crate) fn distance_to_key(&self, distance: f32) -> u32 {
        if distance == f32::INFINITY {
            // Of nearly every search.
            return u32::MAX;
        }
        let (mut key, mut step) = (0u32, 1 << 31);
        while step > 0 {
            if self.key_to_distance(key | step) <= distance {
                key |= step;
            }
            step >>= 1;
        }
        key
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_distance_that_came_of_a_key_gives_it_back(
            key in any::<u32>(),
            unit in 1e-9f64..1e3,
            metric in prop::sample::select(Metric::ALL.to_vec()),
        ) {
            let query = CodeQuery::new(metric, 0, Vec::new(), unit);
            let distance = query.key_to_distance(key);
            let back = query.distance_to_key(distance);
            prop_assert!(back >= key);
            prop_assert_eq!(query.key_to_distance(back), distance);
            if let Some(next) = back.checked_add(1) {
                prop_assert!(query.key_to_distance(next) > distance);
            }
            prop_assert_eq!(query.distance_to_key(f32::INFINITY), u32::MAX);
            prop_assert_eq!(query.distance_to_key(f32::NEG_INFINITY), 0);
        }
    }
}
