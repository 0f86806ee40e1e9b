//! What keys stand for.

use super::measure::key_to_dot;
use crate::Metric;

/// How keys of a query become distances, and the other way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(super) metric: Metric,
    /// The metric's square or product that one unit of a key stands for.
    pub(super) unit: f64,
}

impl Scale {
    /// The distance that a key of [`Measure`](super::Measure) stands for; ascends with the key.
    pub(crate) fn key_to_distance(self, key: u32) -> f32 {
        (match self.metric {
            Metric::Cosine => self.unit * f64::from(key) / 2.0,
            Metric::Euclidean => (self.unit * f64::from(key)).sqrt(),
            Metric::Dot => -self.unit * f64::from(key_to_dot(key)),
        }) as f32
    }

    /// The largest key that stands for no more than `distance`, 0 if there is none: a distance that
    /// came of a key gives that, or one that stands for the same.
    pub(crate) fn distance_to_key(self, distance: f32) -> u32 {
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
    }
}
