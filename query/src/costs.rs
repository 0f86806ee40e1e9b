//! Cost constants of this machine.

use std::hint::black_box;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, ClusterOptions, CoarseBuf, CodeQuery, ExactQuery, FlatRows, FlatVectors, Metric,
    OneThread, Quantizer, Reach, RowSet, Rows, Scratch, SketchesBuf, Vectors, build_clusters,
    build_sketches,
};

use crate::numbering::Blocks;
use crate::stopwatch::Stopwatch;

/// Nanoseconds of the basic steps, from which plans are priced.
///
/// Plain data: a plan made twice from equal costs is equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Components of the vectors that the numbers are for.
    pub dim: usize,
    /// One code distance in row order.
    pub code_in_order_ns: f64,
    /// One code distance at a random row that was asked for ahead of time.
    pub code_random_ns: f64,
    /// The same at a row that is in the caches next to the core.
    pub code_near_ns: f64,
    /// One coarse code distance at a random row that was asked for ahead of time.
    pub coarse_random_ns: f64,
    /// Preparing a query for sketches.
    pub sketch_query_ns: f64,
    /// The bound that a sketch gives, in row order.
    pub sketch_in_order_ns: f64,
    /// The same at a random row.
    pub sketch_random_ns: f64,
    /// The same at a row that is in the caches next to the core.
    pub sketch_near_ns: f64,
    /// One exact distance in row order.
    pub exact_in_order_ns: f64,
    /// One exact distance at a random row.
    pub exact_random_ns: f64,
    /// One exact distance at a row that is in the caches next to the core.
    pub exact_near_ns: f64,
    /// One distance of a graph search: the code at a random row, and this distance's share of
    /// reading links, testing visited rows and keeping the pool.
    pub graph_step_ns: f64,
    /// One centroid that the leaves of clusters are ranked by.
    pub leaf_ns: f64,
    /// One row of a leaf: a 4-bit code in a block of 16.
    pub cluster_row_ns: f64,
    /// Taking one row out of a roaring bitmap.
    pub bitmap_row_ns: f64,
    /// Putting one row of a roaring bitmap into the set that a graph search tests rows with.
    pub row_set_row_ns: f64,
}

impl Default for Costs {
    /// A server core of the 2020s, 384 components. For where there is no clock, and for tests.
    fn default() -> Self {
        Costs {
            dim: 384,
            code_in_order_ns: 12.0,
            code_random_ns: 25.0,
            code_near_ns: 12.0,
            coarse_random_ns: 25.0 * COARSE_SHARE,
            sketch_query_ns: 3_000.0,
            sketch_in_order_ns: 8.0,
            sketch_random_ns: 12.0,
            sketch_near_ns: 7.0,
            exact_in_order_ns: 90.0,
            exact_random_ns: 250.0,
            exact_near_ns: 45.0,
            graph_step_ns: 25.0 + GRAPH_OVERHEAD_NS,
            leaf_ns: 25.0,
            cluster_row_ns: 4.0,
            bitmap_row_ns: 1.0,
            row_set_row_ns: 1.0,
        }
    }
}

/// What a distance of a graph search costs beyond the distance itself.
const GRAPH_OVERHEAD_NS: f64 = 25.0;
/// What a coarse code distance costs of that of a whole code. Not measured anew: at random rows it is
/// the memory that takes the time, of which a coarse code is half.
const COARSE_SHARE: f64 = 0.5;

impl Costs {
    /// One distance of a graph search on coarse codes, as [`graph_step_ns`](Self::graph_step_ns) is one
    /// on whole codes.
    pub(crate) fn coarse_graph_step_ns(&self) -> f64 {
        self.graph_step_ns - self.code_random_ns + self.coarse_random_ns
    }

    /// One distance of a graph search on full vectors.
    pub(crate) fn full_graph_step_ns(&self) -> f64 {
        self.graph_step_ns - self.code_random_ns + self.exact_random_ns
    }

    /// One distance of a search of a segment's graph, which has coarse codes where codes are long.
    #[must_use]
    pub fn sealed_graph_step_ns(&self) -> f64 {
        match CoarseBuf::coarse_len(self.dim.next_multiple_of(64)) {
            Some(_) => self.coarse_graph_step_ns(),
            None => self.graph_step_ns,
        }
    }

    /// Measures this machine for vectors of `dim` components; takes some 20 ms.
    #[must_use]
    pub fn measure(dim: usize) -> Self {
        let bench = Bench::new(dim.max(1));
        let [code_in_order_ns, code_random_ns, code_near_ns] = by_order(|order| bench.codes(order));
        let (sketch_query_ns, sketch_ns) = bench.sketches();
        let [sketch_in_order_ns, sketch_random_ns, sketch_near_ns] = sketch_ns;
        let [exact_in_order_ns, exact_random_ns, exact_near_ns] =
            by_order(|order| bench.exact(order));
        let measured = Costs {
            dim: bench.dim,
            code_in_order_ns,
            code_random_ns,
            code_near_ns,
            coarse_random_ns: code_random_ns * COARSE_SHARE,
            sketch_query_ns,
            sketch_in_order_ns,
            sketch_random_ns,
            sketch_near_ns,
            exact_in_order_ns,
            exact_random_ns,
            exact_near_ns,
            graph_step_ns: code_random_ns + GRAPH_OVERHEAD_NS,
            leaf_ns: bench.leaf(),
            cluster_row_ns: bench.cluster_row(),
            bitmap_row_ns: bench.bitmap(),
            row_set_row_ns: bench.row_set(),
        };
        // Without a clock everything takes no time, and nothing can be compared.
        if code_in_order_ns > 0.0 && exact_in_order_ns > 0.0 {
            measured
        } else {
            Costs::default().scaled(bench.dim)
        }
    }

    /// The costs for vectors of `dim` components: distances grow with the bytes they read, over a
    /// fixed part worth about 64 components; the rest of a graph step stays as it is.
    #[must_use]
    pub fn scaled(&self, dim: usize) -> Self {
        if dim == self.dim {
            return *self;
        }
        let factor = (dim as f64 + 64.0) / (self.dim as f64 + 64.0);
        let graph_overhead_ns = (self.graph_step_ns - self.code_random_ns).max(0.0);
        Costs {
            dim,
            code_in_order_ns: self.code_in_order_ns * factor,
            code_random_ns: self.code_random_ns * factor,
            code_near_ns: self.code_near_ns * factor,
            coarse_random_ns: self.coarse_random_ns * factor,
            sketch_query_ns: self.sketch_query_ns * factor,
            sketch_in_order_ns: self.sketch_in_order_ns * factor,
            sketch_random_ns: self.sketch_random_ns * factor,
            sketch_near_ns: self.sketch_near_ns * factor,
            exact_in_order_ns: self.exact_in_order_ns * factor,
            exact_random_ns: self.exact_random_ns * factor,
            exact_near_ns: self.exact_near_ns * factor,
            graph_step_ns: self.code_random_ns * factor + graph_overhead_ns,
            leaf_ns: self.leaf_ns * factor,
            cluster_row_ns: self.cluster_row_ns * factor,
            bitmap_row_ns: self.bitmap_row_ns,
            row_set_row_ns: self.row_set_row_ns,
        }
    }
}

#[derive(Clone, Copy)]
enum Order {
    Ascending,
    Random,
    /// Random rows, the same few over and over.
    Near,
}

/// What `cost_ns` says of rows in order, at random and near. A row far away is never cheaper than the
/// next one, and a near one never dearer than that, whatever noise says.
fn by_order(mut cost_ns: impl FnMut(Order) -> f64) -> [f64; 3] {
    let in_order = cost_ns(Order::Ascending);
    [in_order, cost_ns(Order::Random).max(in_order), cost_ns(Order::Near).min(in_order)]
}

/// Made-up vectors and codes to time distances on. What the bytes say makes no difference to the
/// time.
struct Bench {
    dim: usize,
    code_len: usize,
    vectors: Vec<f32>,
    codes: Vec<u8>,
    code_query: CodeQuery,
    exact_query: ExactQuery,
}

impl Bench {
    /// Bytes of full vectors, more than the caches next to a core hold.
    const VECTOR_BYTES: usize = 16 << 20;
    /// Bytes of centroids.
    const CENTROID_BYTES: usize = 256 << 10;
    /// Distances in one timing.
    const STEPS: u32 = 2_000;
    /// Queries prepared in one timing.
    const QUERIES: u32 = 20;
    /// Timings of which the fastest counts: what else runs on the machine only makes it slower.
    const ROUNDS: u32 = 3;

    fn new(dim: usize) -> Self {
        let rows = (Self::VECTOR_BYTES / (4 * dim)).clamp(64, 1 << 15);
        let pattern: Vec<f32> =
            (0..1021u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.0).collect();
        let vectors = repeated(&pattern, rows * dim);
        let query = &vectors[..dim];
        let quantizer = Quantizer::train(Metric::Euclidean, dim, &vectors[..dim * rows.min(16)]);
        let code_len = quantizer.code_len();
        let codes = repeated(&BYTES, rows * code_len);
        Bench {
            dim,
            code_len,
            code_query: quantizer.query(query),
            exact_query: ExactQuery::new(Metric::Euclidean, query),
            vectors,
            codes,
        }
    }

    /// Nanoseconds of a code distance.
    fn codes(&self, order: Order) -> f64 {
        let codes = FlatRows::new("codes", &self.codes, self.code_len);
        let rows = codes.rows();
        self.fastest_ns(|round| {
            let rows = steps(order, rows, self.code_len, round);
            let _ = black_box(self.code_query.scan(&codes, rows, 32));
        })
    }

    /// Nanoseconds to prepare a query for sketches, and of the bound that a sketch gives, by order.
    fn sketches(&self) -> (f64, [f64; 3]) {
        /// Rows that are really sketched: what the others say makes no difference.
        const SKETCHED: usize = 64;
        let quantizer = Quantizer::train(Metric::Euclidean, self.dim, &self.vectors[..self.dim]);
        let rows = self.codes.len() / self.code_len;
        let few = &self.codes[..rows.min(SKETCHED) * self.code_len];
        let Ok(SketchesBuf { sketches, .. }) = build_sketches(&quantizer, few, &OneThread) else {
            return (0.0, [0.0; 3]);
        };
        let data = repeated(&BYTES, rows * sketches.sketch_len());
        let rows = FlatRows::new("sketch-rows", &data, sketches.sketch_len());
        let query = sketches.query(&self.code_query);
        let mut bounds = Vec::new();
        let sketch_ns = by_order(|order| {
            self.fastest_ns(|round| {
                bounds.clear();
                let steps = steps(order, rows.rows(), sketches.sketch_len(), round);
                let _ = black_box(sketches.bounds(&query, &rows, steps, &mut bounds));
            })
        });
        let prepared = self.fastest_ns(|_| {
            for _ in 0..Self::QUERIES {
                black_box(sketches.query(&self.code_query));
            }
        });
        (prepared * f64::from(Self::STEPS / Self::QUERIES), sketch_ns)
    }

    /// Nanoseconds of an exact distance.
    fn exact(&self, order: Order) -> f64 {
        let vectors = FlatVectors::new(&self.vectors, self.dim);
        let rows = vectors.rows();
        self.fastest_ns(|round| {
            let mut sum = 0.0f32;
            for row in steps(order, rows, size_of::<f32>() * self.dim, round) {
                if let Ok(vector) = vectors.vector(row) {
                    sum += self.exact_query.distance(vector);
                }
            }
            black_box(sum);
        })
    }

    /// Nanoseconds to compare a query with a centroid; those stay near the core.
    fn leaf(&self) -> f64 {
        let query = ExactQuery::new(Metric::Dot, self.exact_query.vector());
        let centroids = (Self::CENTROID_BYTES / (4 * self.dim)).clamp(1, Self::STEPS as usize);
        let block = &self.vectors[..(centroids * self.dim).min(self.vectors.len())];
        let mut distances = Vec::new();
        let mut compared = 0;
        let ns = self.fastest_ns(|_| {
            compared = 0;
            while compared < Self::STEPS as usize {
                distances.clear();
                query.distances(black_box(block), &mut distances);
                compared += distances.len().max(1);
            }
        });
        ns * f64::from(Self::STEPS) / compared.max(1) as f64
    }

    /// Nanoseconds to compare a query with a row of a leaf.
    fn cluster_row(&self) -> f64 {
        let rows = (self.vectors.len() / self.dim).min(Self::STEPS as usize);
        let vectors = FlatVectors::new(&self.vectors[..rows * self.dim], self.dim);
        let options = ClusterOptions { leaves: Some(1), rounds: 0 };
        let (metric, go_on) = (Metric::Dot, &mut |_| std::ops::ControlFlow::Continue(()));
        let built = build_clusters(&vectors, metric, self.dim, &options, &OneThread, go_on);
        let Ok(built) = built else { return 0.0 };
        let blocks = FlatRows::new("cluster-blocks", &built.blocks, built.clusters.block_len());
        let mut scratch = Scratch::default();
        let query = self.exact_query.vector();
        let ns = self.fastest_ns(|_| {
            let found = built.clusters.search(
                &blocks,
                query,
                Reach::leaves(1),
                32,
                Accept::All,
                &mut scratch,
            );
            let _ = black_box(found);
        });
        ns * f64::from(Self::STEPS) / rows as f64
    }

    /// Nanoseconds to take a row out of a bitmap.
    fn bitmap(&self) -> f64 {
        let bitmap: RoaringBitmap = (0..Self::STEPS).map(|i| 7 * i).collect();
        self.fastest_ns(|_| {
            black_box(Blocks::new(&bitmap).fold(0u32, |sum, row| sum.wrapping_add(row)));
        })
    }

    /// Nanoseconds to put a row of a bitmap into a set.
    fn row_set(&self) -> f64 {
        let bitmap: RoaringBitmap = (0..Self::STEPS).map(|i| 3 * i).collect();
        self.fastest_ns(|_| {
            black_box(RowSet::from_bitmap(&bitmap, 0..3 * Self::STEPS));
        })
    }

    fn fastest_ns(&self, mut timed: impl FnMut(u32)) -> f64 {
        (0..Self::ROUNDS)
            .map(|round| {
                let watch = Stopwatch::start();
                timed(round);
                watch.us() * 1e3 / f64::from(Self::STEPS)
            })
            .fold(f64::INFINITY, f64::min)
    }
}

/// Bytes that codes are made of.
const BYTES: [u8; 251] = {
    let mut bytes = [0; 251];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

/// `len` elements, a pattern over and over: written, so that their pages are there before a clock runs.
fn repeated<T: Copy>(pattern: &[T], len: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(len + pattern.len());
    while all.len() < len {
        all.extend_from_slice(pattern);
    }
    all.truncate(len);
    all
}

/// `Bench::STEPS` rows of so many bytes, other ones in every round as far as there are so many.
fn steps(order: Order, rows: u32, row_len: usize, round: u32) -> impl Iterator<Item = u32> {
    /// Bytes that surely fit the caches next to a core.
    const NEAR_BYTES: usize = 128 << 10;
    let few = (NEAR_BYTES / row_len.max(1)).clamp(1, rows.max(1) as usize) as u64;
    (round * Bench::STEPS..(round + 1) * Bench::STEPS).map(move |step| {
        // Fibonacci hashing: neighbours in `step` land far apart.
        let hash = u64::from(step.wrapping_mul(2_654_435_769));
        match order {
            Order::Ascending => step % rows,
            Order::Random => ((hash * u64::from(rows)) >> 32) as u32,
            // As far apart, so that no row is read along with the one before it.
            Order::Near => (((hash * few) >> 32) * u64::from(rows) / few) as u32,
        }
    })
}
