//! The layers above the base, which bring a search near its target in a few hops.

use super::NO_LINK;
use super::budget::Cost;
use super::order::LAYERS_MAX;
use crate::codes::Nearness;
use crate::kernels::Kernel;
use crate::{Damaged, FormatError};

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "upper layers";

/// The small layers above the base: entry point, nodes and links of each.
///
/// Each layer's nodes are among the nodes of the layer below, and the entry is in all of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UpperLayers {
    pub(super) entry: u32,
    /// Links of a node.
    pub(super) degree: usize,
    /// From layer 1 up.
    pub(super) layers: Vec<Layer>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Layer {
    /// Rows, ascending.
    pub(super) nodes: Vec<u32>,
    /// `degree` links of each node, which are indices into `nodes`, padded like the base layer's.
    pub(super) links: Vec<u32>,
}

impl Layer {
    fn links_of(&self, node: usize, degree: usize) -> &[u32] {
        self.links.get(node * degree..(node + 1) * degree).unwrap_or_default()
    }
}

impl UpperLayers {
    /// Row at which every search begins. The whole base layer can be reached from it.
    #[must_use]
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let layer = |layer: &Layer| (layer.nodes.capacity() + layer.links.capacity()) * 4;
        self.layers.capacity() * size_of::<Layer>() + self.layers.iter().map(layer).sum::<usize>()
    }

    /// Walks greedily to the node of layer 1 that seems nearest, or as far as the cost allows.
    ///
    /// `None` where not even the entry could be compared.
    #[inline(always)]
    pub(super) fn descend<K: Kernel, N: Nearness>(
        &self,
        kernel: K,
        near: &N,
        cost: &mut Cost<'_>,
    ) -> Result<Option<u32>, Damaged> {
        if !cost.spend(1) {
            return Ok(None);
        }
        let mut row = self.entry;
        let mut best = (near.key(kernel, row)?, row);
        for layer in self.layers.iter().rev() {
            // `build` and `from_bytes` see to it that a layer's nodes are in the layer below.
            let Ok(mut node) = layer.nodes.binary_search(&row) else {
                continue;
            };
            loop {
                let links = layer.links_of(node, self.degree);
                let mut nearer = None;
                for &link in links {
                    if let Some(&row) = layer.nodes.get(link as usize) {
                        near.prefetch(row);
                    }
                }
                cost.hops += 1;
                for &link in links {
                    // The padding is past the end.
                    let Some(&row) = layer.nodes.get(link as usize) else {
                        break;
                    };
                    if !cost.spend(1) {
                        return Ok(Some(best.1));
                    }
                    let found = (near.key(kernel, row)?, row);
                    if found < best {
                        best = found;
                        nearer = Some(link as usize);
                    }
                }
                match nearer {
                    Some(nearer) => node = nearer,
                    None => break,
                }
            }
            row = best.1;
        }
        Ok(Some(row))
    }

    /// The bytes kept in a segment.
    ///
    /// Words of four bytes, little-endian: version, entry, degree, number of layers; then for each
    /// layer from the lowest the number of nodes, the nodes, and `degree` links of each node.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut words =
            vec![FORMAT_VERSION, self.entry, self.degree as u32, self.layers.len() as u32];
        for layer in &self.layers {
            words.push(layer.nodes.len() as u32);
            words.extend(&layer.nodes);
            words.extend(&layer.links);
        }
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// Reads what `to_bytes` wrote and checks every node and link against `rows`.
    pub fn from_bytes(bytes: &[u8], rows: u32) -> Result<Self, FormatError> {
        let error = |problem: String| FormatError::new(WHAT, problem);
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(error(format!("{} bytes are not whole words", bytes.len())));
        }
        let (head, mut rest) = words
            .split_first_chunk::<4>()
            .ok_or_else(|| error(format!("{} bytes are too few", bytes.len())))?;
        let [version, entry, degree, layer_count] = head.map(u32::from_le_bytes);
        if version != FORMAT_VERSION {
            return Err(error(format!("version {version}, this program reads {FORMAT_VERSION}")));
        }
        if entry >= rows.max(1) {
            return Err(error(format!("the entry is row {entry} of {rows}")));
        }
        if layer_count as usize > LAYERS_MAX {
            return Err(error(format!("{layer_count} layers, at most {LAYERS_MAX}")));
        }

        let mut layers: Vec<Layer> = Vec::new();
        for number in 1..=layer_count {
            let cut = || error(format!("layer {number} is cut short"));
            let (&count, after) = rest.split_first().ok_or_else(cut)?;
            let node_count = u32::from_le_bytes(count) as usize;
            let link_count = node_count.checked_mul(degree as usize).ok_or_else(cut)?;
            let (nodes, after) = after.split_at_checked(node_count).ok_or_else(cut)?;
            let (links, after) = after.split_at_checked(link_count).ok_or_else(cut)?;
            rest = after;
            let nodes: Vec<u32> = nodes.iter().map(|&word| u32::from_le_bytes(word)).collect();
            let links: Vec<u32> = links.iter().map(|&word| u32::from_le_bytes(word)).collect();

            if !nodes.is_sorted_by(|a, b| a < b) || nodes.last().is_some_and(|&row| row >= rows) {
                return Err(error(format!("nodes of layer {number} are not rows in order")));
            }
            // The way down: who stands on a node must find it again below.
            if nodes.binary_search(&entry).is_err() {
                return Err(error(format!("the entry is missing in layer {number}")));
            }
            if let Some(below) = layers.last()
                && nodes.iter().any(|row| below.nodes.binary_search(row).is_err())
            {
                return Err(error(format!("a node of layer {number} is missing below")));
            }
            if links.iter().any(|&link| link != NO_LINK && link as usize >= node_count) {
                return Err(error(format!("a link of layer {number} leaves the layer")));
            }
            layers.push(Layer { nodes, links });
        }
        if !rest.is_empty() {
            return Err(error(format!("{} words too many", rest.len())));
        }
        Ok(UpperLayers { entry, degree: degree as usize, layers })
    }
}
