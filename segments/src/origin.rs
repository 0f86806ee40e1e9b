//! How a graph came about, kept beside it.

use std::fmt;

use vecstore_index::Shortfall;

/// How a graph was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GraphOrigin {
    /// Built; there was no graph to merge from.
    Built,
    /// Merged from graphs over parts of its rows.
    Merged {
        /// How many.
        graphs: u32,
        /// Further ones that were not used because they are damaged.
        damaged: u32,
        /// Rows that were in none of them.
        linked_anew: u32,
    },
    /// Built, although there were graphs to merge from.
    Rebuilt(RebuildCause),
}

/// Why a graph was built although there were graphs to merge from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RebuildCause {
    /// The merged graph was measured to find too little.
    Recall(Shortfall),
    /// Building is faster where most rows are in no graph that can be used.
    TooLittle {
        /// Rows in usable graphs.
        reusable: u32,
        /// Graphs that are damaged.
        damaged: u32,
    },
}

impl GraphOrigin {
    /// The words in the graphs table: how it was made, and three about that.
    pub(crate) fn to_words(self) -> [u32; 4] {
        match self {
            GraphOrigin::Built => [0; 4],
            GraphOrigin::Merged { graphs, damaged, linked_anew } => {
                [1, graphs, damaged, linked_anew]
            }
            GraphOrigin::Rebuilt(RebuildCause::Recall(short)) => {
                [2, short.ef, short.recall.to_bits(), short.least.to_bits()]
            }
            GraphOrigin::Rebuilt(RebuildCause::TooLittle { reusable, damaged }) => {
                [3, reusable, damaged, 0]
            }
        }
    }

    /// `None` where the words mean nothing.
    pub(crate) fn from_words(words: [u32; 4]) -> Option<Self> {
        match words {
            [0, 0, 0, 0] => Some(GraphOrigin::Built),
            [1, graphs, damaged, linked_anew] => {
                Some(GraphOrigin::Merged { graphs, damaged, linked_anew })
            }
            [2, ef, recall, least] => {
                let [recall, least] = [recall, least].map(f32::from_bits);
                let short = Shortfall { ef, recall, least };
                (recall.is_finite() && least.is_finite())
                    .then_some(GraphOrigin::Rebuilt(RebuildCause::Recall(short)))
            }
            [3, reusable, damaged, 0] => {
                Some(GraphOrigin::Rebuilt(RebuildCause::TooLittle { reusable, damaged }))
            }
            _ => None,
        }
    }
}

impl fmt::Display for GraphOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let damaged = match *self {
            GraphOrigin::Built => return f.write_str("built"),
            GraphOrigin::Merged { graphs, damaged, linked_anew } => {
                write!(f, "merged from {graphs}")?;
                if linked_anew > 0 {
                    write!(f, ", {linked_anew} rows linked anew")?;
                }
                damaged
            }
            GraphOrigin::Rebuilt(RebuildCause::Recall(Shortfall { ef, recall, least })) => {
                return write!(f, "rebuilt: recall {recall:.3} below {least:.3} at ef {ef}");
            }
            GraphOrigin::Rebuilt(RebuildCause::TooLittle { reusable, damaged }) => {
                write!(f, "rebuilt: only {reusable} rows in usable graphs")?;
                damaged
            }
        };
        if damaged > 0 {
            write!(f, ", {damaged} damaged")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_text() {
        let check = |origin: GraphOrigin, text: &str| {
            assert_eq!(GraphOrigin::from_words(origin.to_words()), Some(origin));
            assert_eq!(origin.to_string(), text);
        };
        let merged = |damaged, linked_anew| GraphOrigin::Merged { graphs: 2, damaged, linked_anew };
        let rebuilt = GraphOrigin::Rebuilt;
        let short = Shortfall { ef: 64, recall: 0.93, least: 0.95 };
        let too_little = |damaged| RebuildCause::TooLittle { reusable: 7, damaged };
        check(GraphOrigin::Built, "built");
        check(merged(0, 0), "merged from 2");
        check(merged(1, 9), "merged from 2, 9 rows linked anew, 1 damaged");
        check(rebuilt(RebuildCause::Recall(short)), "rebuilt: recall 0.930 below 0.950 at ef 64");
        check(rebuilt(too_little(0)), "rebuilt: only 7 rows in usable graphs");
        check(rebuilt(too_little(2)), "rebuilt: only 7 rows in usable graphs, 2 damaged");
        for words in [[4, 0, 0, 0], [0, 1, 0, 0], [3, 0, 0, 1], [2, 1, f32::NAN.to_bits(), 0]] {
            assert_eq!(GraphOrigin::from_words(words), None);
        }
    }
}
