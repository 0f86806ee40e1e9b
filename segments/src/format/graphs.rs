//! The graphs table: where the links, upper layers and calibration of each graph lie.

use std::ops::Range;

use super::numbers::{u32_at, u64_at};
use super::{Flaw, Kind};
use crate::GraphOrigin;

const ENTRY_BYTES: usize = 72;
/// More links a row than anyone builds; a bound on what a damaged table can ask for.
const DEGREE_MAX: u32 = 4096;

/// One graph. Ranges are bytes within their sections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphEntry {
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    /// Links a row on the base layer.
    pub(crate) degree: u32,
    /// How it was made.
    pub(crate) origin: GraphOrigin,
    pub(crate) links: Range<u64>,
    pub(crate) upper: Range<u64>,
    pub(crate) calibration: Range<u64>,
}

pub(crate) fn encode_graphs(graphs: &[GraphEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(graphs.len() * ENTRY_BYTES);
    for g in graphs {
        let [made, about @ ..] = g.origin.to_words();
        for n in [g.first_row, g.rows, g.degree, made] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&g.links.start.to_le_bytes());
        for range in [&g.upper, &g.calibration] {
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&(range.end - range.start).to_le_bytes());
        }
        for n in [about[0], about[1], about[2], 0] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
    }
    bytes
}

/// Lengths of the three sections a graph lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphSections {
    pub(crate) links: u64,
    pub(crate) upper: u64,
    pub(crate) calibrations: u64,
}

/// Reads the table; every range lies within its section, and links are aligned.
pub(crate) fn decode_graphs(bytes: &[u8], len: GraphSections) -> Result<Vec<GraphEntry>, Flaw> {
    let damaged = |detail: String| Flaw::damaged(Kind::Graphs.name(), detail);
    let short = || damaged("the table is cut off".to_owned());
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return Err(short());
    }
    let within = |start: u64, length: u64, section: u64| {
        start.checked_add(length).filter(|end| *end <= section).map(|end| start..end)
    };
    let mut graphs = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    for (i, entry) in bytes.chunks_exact(ENTRY_BYTES).enumerate() {
        let outside = || damaged(format!("graph {i} lies outside its section"));
        let number = |at| u64_at(entry, at).ok_or_else(short);
        let rows = u32_at(entry, 4).ok_or_else(short)?;
        let degree = u32_at(entry, 8).ok_or_else(short)?;
        if degree == 0 || degree > DEGREE_MAX {
            return Err(damaged(format!("graph {i} has {degree} links a row")));
        }
        let mut origin = [0; 4];
        for (word, at) in origin.iter_mut().zip([12, 56, 60, 64]) {
            *word = u32_at(entry, at).ok_or_else(short)?;
        }
        let origin = GraphOrigin::from_words(origin)
            .ok_or_else(|| damaged(format!("how graph {i} was made is unknown: {origin:?}")))?;
        let links_bytes = 4 * u64::from(rows) * u64::from(degree);
        let graph = GraphEntry {
            first_row: u32_at(entry, 0).ok_or_else(short)?,
            rows,
            degree,
            origin,
            links: within(number(16)?, links_bytes, len.links).ok_or_else(outside)?,
            upper: within(number(24)?, number(32)?, len.upper).ok_or_else(outside)?,
            calibration: within(number(40)?, number(48)?, len.calibrations).ok_or_else(outside)?,
        };
        if !graph.links.start.is_multiple_of(64) {
            return Err(damaged(format!("the links of graph {i} are not aligned")));
        }
        graphs.push(graph);
    }
    Ok(graphs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_range_leaves_its_section() {
        let graph = |first_row: u32, at: u64| GraphEntry {
            first_row,
            rows: 10,
            degree: 8,
            origin: GraphOrigin::Merged { graphs: 2, damaged: 0, linked_anew: at as u32 },
            links: 320 * at..320 * (at + 1),
            upper: 7 * at..7 * (at + 1),
            calibration: 5 * at..5 * (at + 1),
        };
        let good = [graph(0, 0), graph(30, 1)];
        let len = GraphSections { links: 640, upper: 14, calibrations: 10 };
        let bytes = encode_graphs(&good);
        assert_eq!(decode_graphs(&bytes, len), Ok(good.to_vec()));
        assert!(decode_graphs(&bytes[..60], len).is_err());
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = decode_graphs(&bytes, len) else { continue };
            for g in read {
                assert!(g.links.end <= 640 && g.upper.end <= 14 && g.calibration.end <= 10);
                assert_eq!(g.links.end - g.links.start, 4 * u64::from(g.rows * g.degree));
                assert!(g.links.start.is_multiple_of(64));
            }
        }
    }
}
