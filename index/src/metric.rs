//! The three metrics, and the one place where a distance becomes a score.

use std::fmt;
use std::str::FromStr;

/// How near two vectors are.
///
/// A *distance* is always smaller-is-nearer; a *score* is what a user ranks by, higher is better.
///
/// | metric | distance | score |
/// |---|---|---|
/// | `Cosine` | `1 − cos(q, x)` in `0..=2` | `cos(q, x)` |
/// | `Dot` | `−⟨q, x⟩` | `⟨q, x⟩` |
/// | `Euclidean` | `‖q − x‖` | `−‖q − x‖` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Angle between the vectors; lengths do not count.
    Cosine,
    /// Inner product.
    Dot,
    /// Straight-line distance (not squared).
    Euclidean,
}

impl Metric {
    /// Every metric, in the order in which they are documented.
    pub const ALL: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

    /// Turns a distance into the score that users see.
    #[must_use]
    pub fn score(self, distance: f32) -> f32 {
        match self {
            Metric::Cosine => 1.0 - distance,
            Metric::Dot | Metric::Euclidean => -distance,
        }
    }

    /// The name used in every face and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::Euclidean => "euclidean",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A metric name that is none of the known names and aliases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric `{0}`: use cosine, dot or euclidean")]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    /// Reads a metric name in any letter case; the aliases are `ip` and `inner_product` for
    /// `dot`, `l2` and `euclid` for `euclidean`.
    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        match name.to_ascii_lowercase().as_str() {
            "cosine" => Ok(Metric::Cosine),
            "dot" | "ip" | "inner_product" => Ok(Metric::Dot),
            "euclidean" | "euclid" | "l2" => Ok(Metric::Euclidean),
            _ => Err(UnknownMetric(name.to_owned())),
        }
    }
}
