//! The order in which rows are linked, and the layers they belong to, drawn from the seed.

use crate::hash::hash;

/// Each layer holds about one in `2^LAYER_BITS` rows of the layer below.
const LAYER_BITS: u32 = 5;

/// Layers above the base at most; more would need more rows than there can be.
pub(super) const LAYERS_MAX: usize = 6;

/// The highest layer of a row with this hash; 0 is the base.
fn layer(hash: u64) -> usize {
    ((hash.trailing_zeros() / LAYER_BITS) as usize).min(LAYERS_MAX)
}

/// All rows in the order in which they are linked: pseudo-random, but rows of higher layers first,
/// so that each layer is a prefix, and a layer is complete before rows outside of it are linked in
/// the one below.
#[derive(Debug)]
pub(super) struct Order {
    rows: Vec<u32>,
    /// Rows of layer 1, layer 2, and so on, as far as there are any.
    layer_lens: Vec<usize>,
}

impl Order {
    pub(super) fn new(seed: u64, rows: u32) -> Self {
        let mut order: Vec<u32> = (0..rows).collect();
        order.sort_unstable_by_key(|&row| {
            let hash = hash(seed, row);
            (LAYERS_MAX - layer(hash), hash, row)
        });
        let len = |least: usize| order.partition_point(|&row| layer(hash(seed, row)) >= least);
        let layer_lens = (1..=LAYERS_MAX).map(len).take_while(|&len| len > 0).collect();
        Order { rows: order, layer_lens }
    }

    /// All rows.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The rows of each layer above the base, from the lowest, in this order.
    pub(super) fn layers(&self) -> impl DoubleEndedIterator<Item = &[u32]> {
        self.layer_lens.iter().map(|&len| &self.rows[..len])
    }
}
