//! What keys stand for.

use super::measure::key_to_dot;
use crate::{Gamma, Metric};

/// What keys stand for: distances that ascend with them.
pub(crate) trait Keys: Copy {
    /// The distance that a key stands for.
    fn key_to_distance(self, key: u32) -> f32;

    /// The largest key that stands for no more than `distance`, 0 if there is none: a distance that
    /// came of a key gives that, or one that stands for the same.
    fn distance_to_key(self, distance: f32) -> u32 {
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

/// How far rows may be that are a part farther than another, in keys. Of an inner product, which has no zero,
/// a part means nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stretch {
    /// Keys are squares: (1 + γ)² in 65,536ths.
    Squares(u64),
    /// Keys are [`Distances`], which are multiplied.
    Distances(f32),
}

impl Stretch {
    /// `gamma` farther, where keys are squares of distances.
    pub(crate) fn of_squares(gamma: Gamma) -> Self {
        let factor = factor(gamma);
        Stretch::Squares((factor * factor * 65_536.0) as u64)
    }

    /// `gamma` farther, where keys are distances of the metric.
    pub(crate) fn of_distances(metric: Metric, gamma: Gamma) -> Self {
        let factor = factor(gamma);
        Stretch::Distances(match metric {
            // Half the square of the distance of unit vectors.
            Metric::Cosine => factor * factor,
            Metric::Euclidean => factor,
            Metric::Dot => 1.0,
        } as f32)
    }

    /// The key of what is so much farther than `key`; more than any, if there is none.
    #[inline(always)]
    pub(crate) fn of(self, key: u32) -> u64 {
        match self {
            Stretch::Squares(factor) => u64::from(key).saturating_mul(factor) >> 16,
            Stretch::Distances(factor) => {
                u64::from(Distances.key(Distances.key_to_distance(key) * factor))
            }
        }
    }
}

fn factor(gamma: Gamma) -> f64 {
    1.0 + f64::from(gamma.thousandths()) / 1e3
}

/// Keys of a [`Measure`](super::Measure) of codes, or of coarse ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(super) metric: Metric,
    /// The metric's square or product that one unit of a key stands for.
    pub(super) unit: f64,
}

impl Keys for Scale {
    fn key_to_distance(self, key: u32) -> f32 {
        (match self.metric {
            Metric::Cosine => self.unit * f64::from(key) / 2.0,
            Metric::Euclidean => (self.unit * f64::from(key)).sqrt(),
            Metric::Dot => -self.unit * f64::from(key_to_dot(key)),
        }) as f32
    }
}

/// Keys that are distances: their bits, so turned that they ascend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distances;

const SIGN: u32 = 1 << 31;

impl Distances {
    /// The key of a distance.
    #[inline(always)]
    pub(crate) fn key(self, distance: f32) -> u32 {
        let bits = distance.to_bits();
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    }
}

impl Keys for Distances {
    fn key_to_distance(self, key: u32) -> f32 {
        f32::from_bits(if key & SIGN != 0 { key & !SIGN } else { !key })
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
            let scale = Scale { metric, unit };
            let distance = scale.key_to_distance(key);
            let back = scale.distance_to_key(distance);
            prop_assert!(back >= key);
            prop_assert_eq!(scale.key_to_distance(back), distance);
            if let Some(next) = back.checked_add(1) {
                prop_assert!(scale.key_to_distance(next) > distance);
            }
            prop_assert_eq!(scale.distance_to_key(f32::INFINITY), u32::MAX);
            prop_assert_eq!(scale.distance_to_key(f32::NEG_INFINITY), 0);
        }

        #[test]
        fn keys_of_distances_ascend_with_them(a in any::<f32>(), b in any::<f32>()) {
            let [of_a, of_b] = [a, b].map(|distance| Distances.key(distance));
            prop_assert_eq!(of_a.cmp(&of_b), a.total_cmp(&b));
            prop_assert_eq!(Distances.key_to_distance(of_a).to_bits(), a.to_bits());
            let back = Distances.distance_to_key(a);
            let is_same = a == f32::INFINITY || Distances.key_to_distance(back) == a;
            prop_assert!(a.is_nan() || back >= of_a && is_same);
        }
    }
}
