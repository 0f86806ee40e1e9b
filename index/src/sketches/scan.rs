//! Sketches of all rows first, codes of the few that could be among the nearest.

use super::head::Sketches;
use super::query::{LANES, SketchQuery};
use crate::ahead::Ahead;
use crate::codes::Best;
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{CodeQuery, Damaged, Found, Rows};

/// Rows whose bounds are held at once.
const STRETCH: usize = 1 << 16;
/// Rows of the first stretch at least, after which it is seen whether sketches are of use.
const FIRST_STRETCH: usize = 1 << 10;
/// How many times as many as are looked at first in any case.
const FIRST_STRETCH_PROMISING: usize = 4;
/// Codes compared before the next rows are held against what was found: enough for the processor to
/// have many on their way (of 814 codes in a filter of 2,556 rows each took 300 ns in sixteens).
const LOOKS: usize = 256;
/// How many times as many rows as are kept are looked at first, to know how near the kept ones are.
pub(super) const PROMISING: usize = 4;

impl Sketches {
    /// The `keep` nearest of the given rows by their codes, nearest first, ties by row: what
    /// [`CodeQuery::scan`] gives, but for a row now and then whose sketch is farther off than can be
    /// expected. Ascending row order is fastest.
    ///
    /// [`Found::distances`] are the codes compared.
    pub fn scan<S: Rows<u8>, C: Rows<u8>>(
        &self,
        query: &CodeQuery,
        sketches: &S,
        codes: &C,
        rows: impl Iterator<Item = u32>,
        keep: usize,
    ) -> Result<Found, Damaged> {
        let sketch_query = self.query(query);
        let scan = Scan {
            query,
            sketch_query: &sketch_query,
            sketches,
            codes,
            rows,
            best: Best::new(keep),
            compared: 0,
        };
        let (best, distances) = KernelChoice::detected().run(scan)?;
        let candidates = best.into_sorted().into_iter().map(|value| query.candidate(value));
        Ok(Found { candidates: candidates.collect(), distances, ..Found::default() })
    }

    /// Appends the least value that each of the given rows may have; for measuring what sketches cost.
    pub fn bounds<S: Rows<u8>>(
        &self,
        query: &SketchQuery,
        sketches: &S,
        rows: impl Iterator<Item = u32>,
        bounds: &mut Vec<f32>,
    ) -> Result<(), Damaged> {
        KernelChoice::detected().run(Bounds { query, sketches, rows, bounds })
    }
}

struct Bounds<'a, S, I> {
    query: &'a SketchQuery,
    sketches: &'a S,
    rows: I,
    bounds: &'a mut Vec<f32>,
}

impl<S: Rows<u8>, I: Iterator<Item = u32>> WithKernel for Bounds<'_, S, I> {
    type Output = Result<(), Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(mut self, kernel: K) -> Self::Output {
        let rows = &mut Vec::new();
        stretch(kernel, self.query, self.sketches, &mut self.rows, usize::MAX, rows, self.bounds)
    }
}

struct Scan<'a, S, C, I> {
    query: &'a CodeQuery,
    sketch_query: &'a SketchQuery,
    sketches: &'a S,
    codes: &'a C,
    rows: I,
    best: Best,
    compared: usize,
}

impl<S: Rows<u8>, C: Rows<u8>, I: Iterator<Item = u32>> WithKernel for Scan<'_, S, C, I> {
    type Output = Result<(Best, usize), Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(mut self, kernel: K) -> Self::Output {
        if self.best.keep() == 0 {
            return Ok((self.best, 0));
        }
        let (mut rows, mut bounds) = (Vec::new(), Vec::new());
        let promising = self.best.keep().saturating_mul(PROMISING);
        let first_stretch =
            promising.saturating_mul(FIRST_STRETCH_PROMISING).clamp(FIRST_STRETCH, STRETCH);
        let mut len_max = first_stretch;
        loop {
            rows.clear();
            bounds.clear();
            let (query, sketches) = (self.sketch_query, self.sketches);
            stretch(kernel, query, sketches, &mut self.rows, len_max, &mut rows, &mut bounds)?;
            if rows.is_empty() {
                return Ok((self.best, self.compared));
            }
            self.look_at_promising(kernel, &rows, &mut bounds)?;
            self.look(kernel, &rows, &bounds)?;
            if len_max == first_stretch && self.compared > rows.len() / 2 {
                // Rows lie too close together here for bounds to tell them apart.
                let Scan { query, codes, rows, mut best, compared, .. } = self;
                let mut rest = 0;
                query.offer_each(kernel, codes, rows.inspect(|_| rest += 1), &mut best)?;
                return Ok((best, compared + rest));
            }
            len_max = STRETCH;
        }
    }
}

impl<S: Rows<u8>, C: Rows<u8>, I> Scan<'_, S, C, I> {
    /// Compares the codes of the rows with the smallest bounds, which set the mark for all others.
    #[inline(always)]
    fn look_at_promising<K: Kernel>(
        &mut self,
        kernel: K,
        rows: &[u32],
        bounds: &mut [f32],
    ) -> Result<(), Damaged> {
        let mark = self.mark();
        let mut promising = Best::new(self.best.keep().saturating_mul(PROMISING));
        let (lanes, rest) = bounds.as_chunks::<LANES>();
        let rest_at = bounds.len() - rest.len();
        for (lanes, first) in lanes.iter().zip((0..).step_by(LANES)) {
            let mut below = !kernel.lanes_at_least(lanes, mark);
            while below != 0 {
                let lane = below.trailing_zeros() as usize;
                promising.offer(ascending(lanes[lane]) | (first + lane) as u64);
                below &= below - 1;
            }
        }
        for (&bound, place) in rest.iter().zip(rest_at..).filter(|&(&bound, _)| bound < mark) {
            promising.offer(ascending(bound) | place as u64);
        }
        let places: Vec<u32> =
            promising.into_sorted().into_iter().map(|value| value as u32).collect();
        // Once is enough.
        places.iter().for_each(|&place| bounds[place as usize] = f32::INFINITY);
        self.compare(kernel, places.into_iter().map(|place| rows[place as usize]))
    }

    /// Compares the codes of the rows whose bound is below the farthest that is kept so far.
    #[inline(always)]
    fn look<K: Kernel>(&mut self, kernel: K, rows: &[u32], bounds: &[f32]) -> Result<(), Damaged> {
        let mut near = Vec::with_capacity(LOOKS + LANES);
        let mut mark = self.mark();
        let (lanes, rest) = bounds.as_chunks::<LANES>();
        for (lanes, rows) in lanes.iter().zip(rows.chunks_exact(LANES)) {
            let mut below = !kernel.lanes_at_least(lanes, mark);
            while below != 0 {
                near.push(rows[below.trailing_zeros() as usize]);
                below &= below - 1;
            }
            if near.len() >= LOOKS {
                self.compare(kernel, near.drain(..))?;
                mark = self.mark();
            }
        }
        let rows = &rows[rows.len() - rest.len()..];
        near.extend(rows.iter().zip(rest).filter(|&(_, &bound)| bound < mark).map(|(&row, _)| row));
        self.compare(kernel, near.drain(..))
    }

    /// The value from which on a row is of no use.
    fn mark(&self) -> f32 {
        self.query.measure().value((self.best.bound() >> 32) as u32)
    }

    #[inline(always)]
    fn compare<K: Kernel>(
        &mut self,
        kernel: K,
        rows: impl ExactSizeIterator<Item = u32>,
    ) -> Result<(), Damaged> {
        self.compared += rows.len();
        self.query.offer_each(kernel, self.codes, rows, &mut self.best)?;
        self.best.tighten();
        Ok(())
    }
}

/// Takes up to `len_max` rows, in whole pairs of blocks, and computes their bounds.
#[inline(always)]
fn stretch<K: Kernel, S: Rows<u8>>(
    kernel: K,
    query: &SketchQuery,
    sketches: &S,
    rows: &mut impl Iterator<Item = u32>,
    len_max: usize,
    taken_rows: &mut Vec<u32>,
    bounds: &mut Vec<f32>,
) -> Result<(), Damaged> {
    // Two blocks take turns: one is being fetched while the other is read.
    let (mut current, mut next) = (Ahead::EMPTY, Ahead::EMPTY);
    let mut left = len_max.div_ceil(2 * LANES);
    current.fetch(sketches, rows)?;
    while !current.is_empty() {
        next.fetch(sketches, rows)?;
        read(kernel, query, &mut current, taken_rows, bounds);
        left -= 1;
        if left > 0 {
            current.fetch(sketches, rows)?;
        } else {
            current.clear();
        }
        if !next.is_empty() {
            read(kernel, query, &mut next, taken_rows, bounds);
        }
    }
    Ok(())
}

/// Computes the bounds of rows that are there.
#[inline(always)]
fn read<K: Kernel>(
    kernel: K,
    query: &SketchQuery,
    block: &mut Ahead<'_, LANES>,
    taken_rows: &mut Vec<u32>,
    bounds: &mut Vec<f32>,
) {
    let all = query.bounds(kernel, block.data());
    let rows = block.rows();
    if let Ok(rows) = <&[u32; LANES]>::try_from(rows) {
        // Of a known length: no call is made for it.
        taken_rows.extend_from_slice(rows);
        bounds.extend_from_slice(&all);
    } else {
        taken_rows.extend_from_slice(rows);
        bounds.extend_from_slice(&all[..rows.len()]);
    }
}

/// Upper bits that sort as the number does.
#[inline(always)]
fn ascending(value: f32) -> u64 {
    let bits = value.to_bits();
    u64::from(bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)) << 32
}
