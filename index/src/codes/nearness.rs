//! How far a query is from rows: by whole codes, by coarse ones or by full vectors.

use super::{CoarseQuery, Distances, Measure, Stretch};
use crate::kernels::Kernel;
use crate::{CodeQuery, Damaged, ExactQuery, Gamma, Rows, Vectors};

/// Rows to compare a query with.
pub(crate) trait Nearness: Sync {
    fn rows(&self) -> u32;
    /// The key of the query and a row: the smaller, the nearer.
    fn key<K: Kernel>(&self, kernel: K, row: u32) -> Result<u32, Damaged>;
    /// Asks the processor to load what is compared of a row.
    fn prefetch(&self, row: u32);
    /// How far in keys what is `gamma` farther may be.
    fn stretch(&self, gamma: Gamma) -> Stretch {
        Stretch::of_squares(gamma)
    }
}

/// A query and whole codes.
#[derive(Debug)]
pub(crate) struct Whole<'a, C> {
    pub(crate) codes: &'a C,
    pub(crate) measure: Measure,
    pub(crate) query: &'a [u8],
}

impl<'a, C> Whole<'a, C> {
    pub(crate) fn new(codes: &'a C, query: &'a CodeQuery) -> Self {
        Whole { codes, measure: query.measure(), query: query.code() }
    }
}

impl<C: Rows<u8>> Nearness for Whole<'_, C> {
    fn rows(&self) -> u32 {
        self.codes.rows()
    }

    #[inline(always)]
    fn key<K: Kernel>(&self, kernel: K, row: u32) -> Result<u32, Damaged> {
        Ok(self.measure.key(kernel, self.query, self.codes.row(row)?))
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        self.codes.prefetch(row);
    }
}

/// A query and coarse codes.
#[derive(Debug)]
pub(crate) struct Coarse<'a, H> {
    pub(crate) coarse: &'a H,
    pub(crate) query: CoarseQuery<'a>,
}

impl<H: Rows<u8>> Nearness for Coarse<'_, H> {
    fn rows(&self) -> u32 {
        self.coarse.rows()
    }

    #[inline(always)]
    fn key<K: Kernel>(&self, kernel: K, row: u32) -> Result<u32, Damaged> {
        Ok(self.query.key(kernel, self.coarse.row(row)?))
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        self.coarse.prefetch(row);
    }
}

/// A query and full vectors, by [`Distances`].
#[derive(Debug)]
pub(crate) struct Full<'a, V> {
    pub(crate) vectors: &'a V,
    pub(crate) query: &'a ExactQuery,
}

impl<V: Vectors> Nearness for Full<'_, V> {
    fn rows(&self) -> u32 {
        self.vectors.rows()
    }

    #[inline(always)]
    fn key<K: Kernel>(&self, kernel: K, row: u32) -> Result<u32, Damaged> {
        Ok(Distances.key(self.query.distance_by(kernel, self.vectors.vector(row)?)))
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        self.vectors.prefetch(row);
    }

    fn stretch(&self, gamma: Gamma) -> Stretch {
        Stretch::of_distances(self.query.metric(), gamma)
    }
}
