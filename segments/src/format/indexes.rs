//! The table of indexes: of which kind each is, and where its parts lie.

use std::ops::Range;

use vecstore_index::Levels;

use super::numbers::{u32_at, u64_at};
use super::{Flaw, Kind};
use crate::{GraphOrigin, IndexChoice};

const ENTRY_BYTES: usize = 120;
/// More links a row than anyone builds; a bound on what a damaged table can ask for.
const DEGREE_MAX: u32 = 4096;
/// More bytes of a block than any dimension needs.
const BLOCK_BYTES_MAX: u32 = 1 << 20;

const GRAPH: u32 = 0;
const CLUSTERS: u32 = 1;

/// The index over the rows of one namespace. Ranges are bytes within their sections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexEntry {
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    /// Why it is of this kind.
    pub(crate) choice: IndexChoice,
    pub(crate) calibration: Range<u64>,
    pub(crate) parts: IndexParts,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IndexParts {
    Graph(GraphParts),
    Clusters(ClusterParts),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphParts {
    /// Links a row on the base layer.
    pub(crate) degree: u32,
    /// How it was made.
    pub(crate) origin: GraphOrigin,
    pub(crate) links: Range<u64>,
    pub(crate) upper: Range<u64>,
    /// Coarse codes of its rows, if there are any.
    pub(crate) coarse: Option<CoarseParts>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CoarseParts {
    pub(crate) levels: Levels,
    /// Where they lie, in `coarse-codes`.
    pub(crate) codes: Range<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusterParts {
    /// Bytes of a block.
    pub(crate) block_bytes: u32,
    pub(crate) blocks: u32,
    /// The blocks, in `cluster-blocks`.
    pub(crate) data: Range<u64>,
    /// What else there is, in `clusters`.
    pub(crate) head: Range<u64>,
}

pub(crate) fn encode_indexes(indexes: &[IndexEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(indexes.len() * ENTRY_BYTES);
    for index in indexes {
        let (kind, width, data, small, made) = match &index.parts {
            IndexParts::Graph(g) => (GRAPH, g.degree, &g.links, &g.upper, g.origin.to_words()),
            IndexParts::Clusters(c) => {
                (CLUSTERS, c.block_bytes, &c.data, &c.head, [c.blocks, 0, 0, 0])
            }
        };
        for n in [index.first_row, index.rows, kind, width] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&data.start.to_le_bytes());
        for range in [small, &index.calibration] {
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&(range.end - range.start).to_le_bytes());
        }
        for n in made.into_iter().chain(index.choice.to_words()) {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        let coarse = match &index.parts {
            IndexParts::Graph(graph) => graph.coarse.as_ref(),
            IndexParts::Clusters(_) => None,
        };
        let codes = coarse.map_or(0..0, |coarse| coarse.codes.clone());
        bytes.extend_from_slice(&codes.start.to_le_bytes());
        bytes.extend_from_slice(&(codes.end - codes.start).to_le_bytes());
        bytes.extend_from_slice(&coarse.map_or([0; 16], |coarse| coarse.levels.to_bytes()));
    }
    bytes
}

/// Lengths of the sections that indexes lie in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexSections {
    pub(crate) links: u64,
    pub(crate) upper: u64,
    pub(crate) coarse: u64,
    pub(crate) cluster_blocks: u64,
    pub(crate) clusters: u64,
    pub(crate) calibrations: u64,
}

/// Reads the table; every range lies within its section, and links and blocks are aligned.
pub(crate) fn decode_indexes(bytes: &[u8], len: IndexSections) -> Result<Vec<IndexEntry>, Flaw> {
    let damaged = |detail: String| Flaw::damaged(Kind::Indexes.name(), detail);
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return Err(damaged("the table is cut off".to_owned()));
    }
    let mut indexes = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    for (i, entry) in bytes.chunks_exact(ENTRY_BYTES).enumerate() {
        let index = decode_entry(entry, len).map_err(|why| damaged(format!("index {i} {why}")))?;
        indexes.push(index);
    }
    Ok(indexes)
}

fn decode_entry(entry: &[u8], len: IndexSections) -> Result<IndexEntry, String> {
    let outside = || "lies outside its section".to_owned();
    let word = |at| u32_at(entry, at).ok_or_else(outside);
    let number = |at| u64_at(entry, at).ok_or_else(outside);
    let within = |start: u64, length: u64, section: u64| {
        let end = start.checked_add(length).filter(|end| *end <= section);
        end.map(|end| start..end).ok_or_else(outside)
    };
    let (rows, width) = (word(4)?, word(12)?);
    let made = [word(56)?, word(60)?, word(64)?, word(68)?];
    let choice = [word(72)?, word(76)?, word(80)?, word(84)?];
    let levels = entry.get(104..).and_then(<[u8]>::first_chunk).ok_or_else(outside)?;
    let levels = Levels::from_bytes(*levels);
    let parts = match word(8)? {
        GRAPH => {
            if width == 0 || width > DEGREE_MAX {
                return Err(format!("has {width} links a row"));
            }
            let links_bytes = 4 * u64::from(rows) * u64::from(width);
            IndexParts::Graph(GraphParts {
                degree: width,
                origin: GraphOrigin::from_words(made)
                    .ok_or_else(|| format!("is a graph made in an unknown way: {made:?}"))?,
                links: within(number(16)?, links_bytes, len.links)?,
                upper: within(number(24)?, number(32)?, len.upper)?,
                coarse: match within(number(88)?, number(96)?, len.coarse)? {
                    none if none.is_empty() => None,
                    codes if !codes.start.is_multiple_of(64) => return Err("is not aligned".into()),
                    codes => Some(CoarseParts { levels, codes }),
                },
            })
        }
        CLUSTERS => {
            let [blocks, 0, 0, 0] = made else {
                return Err(format!("is clusters made in an unknown way: {made:?}"));
            };
            if width == 0 || width > BLOCK_BYTES_MAX || !width.is_multiple_of(64) {
                return Err(format!("has blocks of {width} bytes"));
            }
            let blocks_bytes = u64::from(blocks) * u64::from(width);
            IndexParts::Clusters(ClusterParts {
                block_bytes: width,
                blocks,
                data: within(number(16)?, blocks_bytes, len.cluster_blocks)?,
                head: within(number(24)?, number(32)?, len.clusters)?,
            })
        }
        kind => return Err(format!("is of unknown kind {kind}")),
    };
    let data = match &parts {
        IndexParts::Graph(graph) => &graph.links,
        IndexParts::Clusters(clusters) => &clusters.data,
    };
    if !data.start.is_multiple_of(64) {
        return Err("is not aligned".to_owned());
    }
    Ok(IndexEntry {
        first_row: word(0)?,
        rows,
        choice: IndexChoice::from_words(choice)
            .ok_or_else(|| format!("was chosen in an unknown way: {choice:?}"))?,
        calibration: within(number(40)?, number(48)?, len.calibrations)?,
        parts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MeasuredCosts;

    #[test]
    fn no_range_leaves_its_section() {
        let measured = MeasuredCosts { us: 12.5, other_us: 99.0, rows: 10 };
        let graph = |first_row: u32, at: u64| IndexEntry {
            first_row,
            rows: 10,
            choice: IndexChoice::Asked,
            calibration: 5 * at..5 * (at + 1),
            parts: IndexParts::Graph(GraphParts {
                degree: 8,
                origin: GraphOrigin::Merged { graphs: 2, damaged: 0, linked_anew: at as u32 },
                links: 320 * at..320 * (at + 1),
                upper: 7 * at..7 * (at + 1),
                coarse: (at > 0)
                    .then(|| CoarseParts { levels: Levels::from_bytes([9; 16]), codes: 64..384 }),
            }),
        };
        let clusters = IndexEntry {
            first_row: 40,
            rows: 20,
            choice: IndexChoice::Measured(measured),
            calibration: 2..9,
            parts: IndexParts::Clusters(ClusterParts {
                block_bytes: 192,
                blocks: 2,
                data: 64..448,
                head: 1..8,
            }),
        };
        let good = [graph(0, 0), graph(30, 1), clusters];
        let len = IndexSections {
            links: 640,
            upper: 14,
            coarse: 384,
            cluster_blocks: 448,
            clusters: 8,
            calibrations: 10,
        };
        let bytes = encode_indexes(&good);
        assert_eq!(decode_indexes(&bytes, len), Ok(good.to_vec()));
        assert!(decode_indexes(&bytes[..60], len).is_err());
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = decode_indexes(&bytes, len) else { continue };
            for index in read {
                assert!(index.calibration.end <= 10);
                match index.parts {
                    IndexParts::Graph(g) => {
                        assert!(g.links.end <= 640 && g.upper.end <= 14);
                        let links_bytes = 4 * u64::from(index.rows * g.degree);
                        assert_eq!(g.links.end - g.links.start, links_bytes);
                        assert!(g.links.start.is_multiple_of(64));
                        if let Some(coarse) = g.coarse {
                            assert!(coarse.codes.end <= 384);
                            assert!(coarse.codes.start.is_multiple_of(64));
                        }
                    }
                    IndexParts::Clusters(c) => {
                        assert!(c.data.end <= 448 && c.head.end <= 8);
                        assert_eq!(c.data.end - c.data.start, u64::from(c.blocks * c.block_bytes));
                        assert!(c.data.start.is_multiple_of(64));
                    }
                }
            }
        }
    }
}
