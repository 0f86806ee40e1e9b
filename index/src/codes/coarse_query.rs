//! A query against coarse codes.

use std::borrow::Cow;

use super::measure::MIDDLE_KEY;
use super::{COARSE_BLOCK, CodeQuery, Levels, PIECE, PIECE_BYTES, Scale};
use crate::Metric;
use crate::kernels::Kernel;

/// A query prepared for keys of coarse codes.
///
/// Vectors at unit length are as near as their inner product is large, and that takes a fifth of the
/// instructions of the squared differences: the sum of the levels, each times a weight of the query. An
/// inner product of a query with something added to all values of a row is larger by the same for all.
#[derive(Clone, Debug)]
pub(crate) struct CoarseQuery<'a> {
    levels: Levels,
    compared: Compared<'a>,
    scale: Scale,
}

#[derive(Clone, Debug)]
enum Compared<'a> {
    /// By `Σ (a − level)²`, with a code.
    Squares(Cow<'a, [u8]>),
    /// By `base − Σ weight · level`.
    Products { weights: Vec<i8>, base: i64 },
}

impl<'a> CoarseQuery<'a> {
    pub(crate) fn new(query: &'a CodeQuery, levels: Levels) -> Self {
        let zero = zero_of_products(query.metric(), query.zero);
        match zero.and_then(|zero| products(query, zero)) {
            Some((weights, base, scale)) => {
                CoarseQuery { levels, compared: Compared::Products { weights, base }, scale }
            }
            None => {
                let compared = Compared::Squares(code(query, &levels));
                CoarseQuery { levels, compared, scale: query.scale() }
            }
        }
    }

    /// The key of the query and a coarse code.
    #[inline(always)]
    pub(crate) fn key<K: Kernel>(&self, kernel: K, coarse: &[u8]) -> u32 {
        let levels = self.levels.values();
        match &self.compared {
            Compared::Squares(code) => kernel.coarse_squared_l2(code, coarse, levels),
            Compared::Products { weights, base } => {
                let sum = kernel.coarse_sum(weights, coarse, levels);
                (base - i64::from(sum)).clamp(0, i64::from(u32::MAX)) as u32
            }
        }
    }

    /// What the keys of coarse codes stand for.
    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }
}

/// The value of a code that stands for 0 where rows are compared by products: where a product says how near
/// they are, and codes are around 0 or next to it. Weights reach from -128 to 127, and those of codes that are
/// far from 0 would be much alike.
pub(super) fn zero_of_products(metric: Metric, zero: f64) -> Option<f64> {
    let is_product = match metric {
        Metric::Cosine | Metric::Dot => true,
        Metric::Euclidean => false,
    };
    (is_product && (-32.0..=287.0).contains(&zero)).then_some(zero)
}

/// Weights in the order in which a kernel meets the nibbles, what the weighed levels are taken from for a
/// key, and what that stands for; `None` if keys would not fit.
fn products(query: &CodeQuery, zero: f64) -> Option<(Vec<i8>, i64, Scale)> {
    let (components, rest) = query.code().split_at(query.dim.min(query.code().len()));
    let middle = zero.round() as i32;
    let least = i32::from(components.iter().copied().min().unwrap_or(0)) - middle;
    let most = i32::from(components.iter().copied().max().unwrap_or(0)) - middle;
    let shrink = (f64::from(most) / 127.0).max(f64::from(least) / -128.0).max(1.0);

    let mut weights: Vec<i8> = if shrink == 1.0 {
        components.iter().map(|&value| (i32::from(value) - middle) as i8).collect()
    } else {
        // On one side of 0 there are more than 127 values.
        let shrunk = |value: u8| f64::from(i32::from(value) - middle) / shrink;
        components.iter().map(|&value| shrunk(value).round_ties_even() as i8).collect()
    };
    // What has no component is level 0, and must add nothing.
    weights.resize(components.len() + rest.len(), 0);
    let weights = in_order(&weights);

    let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
    let size: i32 = weights.iter().map(|&weight| i32::from(weight).abs()).sum();
    let Scale { metric, unit } = query.scale();
    let (base, scale) = match metric {
        // 1 less the product.
        Metric::Cosine => (1.0 / (shrink * unit), Scale { metric, unit: 2.0 * shrink * unit }),
        _ => (MIDDLE_KEY, Scale { metric, unit: shrink * unit }),
    };
    let base = base + zero * f64::from(sum);
    let most = base + 255.0 * f64::from(size);
    (most < f64::from(u32::MAX)).then_some((weights, base.round() as i64, scale))
}

/// The weights of components as they lie in blocks.
fn in_order(weights: &[i8]) -> Vec<i8> {
    let mut ordered = Vec::with_capacity(weights.len());
    for block in weights.chunks(2 * COARSE_BLOCK) {
        for half in 0..2 {
            for piece in block.as_chunks::<PIECE>().0 {
                ordered.extend_from_slice(&piece[half * PIECE_BYTES..][..PIECE_BYTES]);
            }
        }
    }
    ordered
}

/// The code of the query, for squared differences: what has no component is level 0 in a coarse code, and
/// must add nothing.
fn code<'a>(query: &'a CodeQuery, levels: &Levels) -> Cow<'a, [u8]> {
    let components = query.dim.min(query.code().len());
    if components == query.code().len() {
        return Cow::Borrowed(query.code());
    }
    let mut code = query.code().to_vec();
    code[components..].fill(levels.values()[0]);
    Cow::Owned(code)
}
