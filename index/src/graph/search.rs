//! Searching a graph.

use super::budget::{Budget, Cost, GaveUp};
use super::walk::{Links, Walk};
use super::{Beam, GRAPH_ROWS_MAX, RowSet, Scratch, UpperLayers};
use crate::codes::{Coarse, CoarseQuery, Distances, Full, Keys, Nearness, Whole};
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{Candidate, CodeQuery, Damaged, ExactQuery, Rows, Vectors, WalkCodes};

/// A graph to search: links wherever they live, rows `u32::MAX`-padded to equal length.
#[derive(Debug)]
pub struct Graph<'a, L> {
    /// Base layer.
    pub links: &'a L,
    /// Layers above it.
    pub upper: &'a UpperLayers,
}

/// Which rows a search may return; all are walked through.
#[derive(Clone, Copy, Debug)]
pub enum Accept<'a> {
    /// Every row.
    All,
    /// Rows of the set.
    Only(&'a RowSet),
}

/// What a search found and what it cost.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Accepted rows that the beam keeps, nearest first by code distance.
    pub candidates: Vec<Candidate>,
    /// Distances computed.
    pub distances: usize,
    /// Rows whose links were read.
    pub hops: usize,
    /// Whether the search was given up before its end.
    pub gave_up: Option<GaveUp>,
}

/// Best-first search (Malkov & Yashunin 2018, Alg. 2 and 5) over codes: over coarse ones where there are
/// any, after which what the beam kept is compared again on whole codes, unless all of that is
/// [reranked](crate::Limits::all_reranked) anyway.
///
/// With `Accept::Only` every row is walked through but only members are collected; the walk ends
/// when no row is left that the beam would keep if it were a member, or when the next hop would
/// exceed the `budget`. What was found until then is returned.
///
/// The result does not depend on the instruction set: distances are exact integers, ties go by
/// row. With an `ef` of at least the number of rows every row is found. A
/// `gamma` is for distances: with an inner product, where there is no zero, it means nothing.
pub fn search<'a, C: WalkCodes, L: Rows<u32>>(
    graph: &Graph<'_, L>,
    codes: &C,
    query: &CodeQuery,
    beam: Beam,
    accept: Accept<'_>,
    budget: impl Into<Budget<'a>>,
    scratch: &mut Scratch,
) -> Result<Found, Damaged> {
    search_hiding(None, graph, codes, query, beam, accept, budget.into(), scratch)
}

/// [`search`] as if the row `hidden` had never been linked to (its links are not used either),
/// unless it is the entry.
#[allow(clippy::too_many_arguments, reason = "those of `search` and one more")]
pub(super) fn search_hiding<C: WalkCodes, L: Rows<u32>>(
    hidden: Option<u32>,
    graph: &Graph<'_, L>,
    codes: &C,
    query: &CodeQuery,
    beam: Beam,
    accept: Accept<'_>,
    budget: Budget<'_>,
    scratch: &mut Scratch,
) -> Result<Found, Damaged> {
    let whole = Whole::new(codes.whole(), query);
    let asked = Asked { hidden, graph, beam, accept, budget };
    let Some((coarse, levels)) = codes.coarse() else {
        return asked.search(whole, query.scale(), scratch);
    };
    let near = Coarse { coarse, query: CoarseQuery::new(query, levels) };
    let scale = near.query.scale();
    let mut found = asked.search(near, scale, scratch)?;
    if found.candidates.len() > budget.all_reranked() {
        found.candidates = KernelChoice::detected().run(Again {
            whole,
            keys: query.scale(),
            found: found.candidates,
        })?;
    }
    Ok(found)
}

/// [`search`] over full vectors, for rows that have no codes: its candidates are in the order of their exact
/// distances, ties by row.
pub fn search_full<'a, V: Vectors, L: Rows<u32>>(
    graph: &Graph<'_, L>,
    vectors: &V,
    query: &ExactQuery,
    beam: Beam,
    accept: Accept<'_>,
    budget: impl Into<Budget<'a>>,
    scratch: &mut Scratch,
) -> Result<Found, Damaged> {
    search_full_hiding(None, graph, vectors, query, beam, accept, budget.into(), scratch)
}

/// [`search_full`] as if the row `hidden` had never been linked to.
#[allow(clippy::too_many_arguments, reason = "those of `search_full` and one more")]
pub(super) fn search_full_hiding<V: Vectors, L: Rows<u32>>(
    hidden: Option<u32>,
    graph: &Graph<'_, L>,
    vectors: &V,
    query: &ExactQuery,
    beam: Beam,
    accept: Accept<'_>,
    budget: Budget<'_>,
    scratch: &mut Scratch,
) -> Result<Found, Damaged> {
    let asked = Asked { hidden, graph, beam, accept, budget };
    asked.search(Full { vectors, query }, Distances, scratch)
}

/// What a search is asked for, however the query is compared with rows.
struct Asked<'a, 'b, L> {
    hidden: Option<u32>,
    graph: &'a Graph<'a, L>,
    beam: Beam,
    accept: Accept<'a>,
    budget: Budget<'b>,
}

impl<L: Rows<u32>> Asked<'_, '_, L> {
    fn search<N: Nearness>(
        self,
        near: N,
        keys: impl Keys,
        scratch: &mut Scratch,
    ) -> Result<Found, Damaged> {
        let Asked { hidden, graph, beam, accept, budget } = self;
        let rows = graph.links.rows().min(near.rows()).min(GRAPH_ROWS_MAX);
        let walk = Walk { near, links: graph.links, rows, hidden };
        let from = Descent { walk, upper: graph.upper, root: graph.upper.entry };
        match accept {
            Accept::All => from.search(keys, beam, ALL, budget, scratch),
            Accept::Only(set) if set.is_empty() => Ok(Found::default()),
            Accept::Only(set) => {
                let accept = |row| set.contains(row);
                from.search(keys, beam, Some(accept), budget, scratch)
            }
        }
    }
}

/// Candidates compared again, on whole codes, and put into that order.
struct Again<'a, C, S> {
    whole: Whole<'a, C>,
    keys: S,
    found: Vec<Candidate>,
}

impl<C: Rows<u8>, S: Keys> WithKernel for Again<'_, C, S> {
    type Output = Result<Vec<Candidate>, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let Again { whole, keys, found } = self;
        for candidate in &found {
            whole.prefetch(candidate.row);
        }
        let mut entries = Vec::with_capacity(found.len());
        for candidate in &found {
            entries.push((whole.key(kernel, candidate.row)?, candidate.row));
        }
        entries.sort_unstable();
        let mut found = found;
        for (candidate, (key, row)) in found.iter_mut().zip(entries) {
            *candidate = Candidate { distance: keys.key_to_distance(key), row };
        }
        Ok(found)
    }
}

/// Every row is accepted.
pub(super) const ALL: Option<fn(u32) -> bool> = None;

/// A walk that begins in the layers above.
pub(super) struct Descent<'a, N, L> {
    /// Its hidden row may be the root, or wild: then it hides nothing.
    pub(super) walk: Walk<'a, N, L>,
    pub(super) upper: &'a UpperLayers,
    /// The row from which every other can be reached.
    pub(super) root: u32,
}

impl<N: Nearness, L: Links> Descent<'_, N, L> {
    /// What `beam` keeps of the rows that `accept` accepts, or of all.
    pub(super) fn search(
        mut self,
        keys: impl Keys,
        beam: Beam,
        accept: Option<impl Fn(u32) -> bool>,
        budget: Budget<'_>,
        scratch: &mut Scratch,
    ) -> Result<Found, Damaged> {
        let rows = self.walk.rows;
        if rows == 0 || beam.ef == 0 {
            return Ok(Found::default());
        }
        for start in [self.root, self.upper.entry] {
            if start >= rows {
                return Err(Damaged { array: "links", row: start });
            }
        }
        self.walk.hidden = self.walk.hidden.filter(|&row| row < rows && row != self.root);
        let found_within = keys.distance_to_key(budget.found_within());
        let search = Search { from: self, beam, accept, budget, found_within, scratch };
        let cost = KernelChoice::detected().run(search)?;
        let candidate = |(key, row)| Candidate { distance: keys.key_to_distance(key), row };
        Ok(Found {
            candidates: scratch.pool.iter().map(candidate).collect(),
            distances: cost.distances,
            hops: cost.hops,
            gave_up: cost.gave_up,
        })
    }
}

struct Search<'a, 'b, N, L, A> {
    from: Descent<'a, N, L>,
    beam: Beam,
    accept: Option<A>,
    budget: Budget<'b>,
    found_within: u32,
    scratch: &'a mut Scratch,
}

impl<'b, N: Nearness, L: Links, A: Fn(u32) -> bool> WithKernel for Search<'_, 'b, N, L, A> {
    type Output = Result<Cost<'b>, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let Search { from, beam, accept, budget, found_within, scratch } = self;
        let Descent { walk, upper, root } = from;
        let mut cost = Cost::within(budget);
        cost.found_within = found_within;
        scratch.pool.start(beam, walk.near.stretch(beam.gamma), found_within);
        let down = upper.descend(kernel, &walk.near, &mut cost)?;
        let Some(down) = down.filter(|_| cost.gave_up.is_none()) else {
            return Ok(cost);
        };
        if down >= walk.rows {
            return Err(Damaged { array: "links", row: down });
        }
        // The root too, because it is from there that every row can be reached.
        let seeds = [down, root];
        match accept {
            None => walk.nearest(kernel, &seeds, beam, &mut cost, scratch)?,
            Some(accept) => {
                walk.nearest_accepted(kernel, &seeds, beam, accept, &mut cost, scratch)?;
            }
        }
        Ok(cost)
    }
}
