//! How fast a search of this shape could be on this machine at best.
//!
//! ```text
//! bytes = distances · code + hops · (links + code again) + reranked · vector   in whole cache lines
//! limit = max(bytes / bandwidth, distances · kernel, hops · latency)
//! ```
//!
//! *Bandwidth* is that of random rows which are asked for in time; *latency* is that of one
//! dependent read (after the prefetches a hop has one left); *kernel* is one distance between codes (of
//! full vectors, where there are none) in the first-level cache. All three are measured here, in memory as
//! large as the hot data.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vecstore_index::{Codes, ExactQuery, FlatRows, Metric, Quantizer, Rows};

/// What one query touches on average.
pub(crate) struct Shape {
    pub(crate) distances: f64,
    pub(crate) hops: f64,
    pub(crate) reranked: f64,
    /// Read for each distance.
    pub(crate) code_bytes: usize,
    /// Of the whole code of what is compared again, 0 if nothing is.
    pub(crate) again_bytes: usize,
    pub(crate) links_bytes: usize,
    pub(crate) vector_bytes: usize,
}

/// What the machine can do.
pub(crate) struct Machine {
    bytes_per_second: f64,
    latency: Duration,
    kernel: Duration,
}

const LINE_BYTES: usize = 64;
/// The probe is repeated and the best counts, so that a busy machine looks no slower than it is.
const ROUNDS: usize = 5;

impl Machine {
    /// Probes memory of `hot_bytes` in rows of `code_bytes`; `metric`, `dim` and `codes` choose the kernel.
    pub(crate) fn probe(
        metric: Metric,
        dim: usize,
        codes: Codes,
        code_bytes: usize,
        hot_bytes: usize,
    ) -> Self {
        let lines = (hot_bytes / LINE_BYTES).max(1 << 12);
        let memory = vec![1u8; lines * LINE_BYTES];
        let best = |probe: &dyn Fn() -> Duration| (0..ROUNDS).map(|_| probe()).min();
        let (gathered, bytes) =
            (best(&|| gather(&memory, code_bytes).0), gather(&memory, code_bytes).1);
        let chase = chain(lines);
        Machine {
            bytes_per_second: bytes as f64 / gathered.unwrap_or_default().as_secs_f64(),
            latency: best(&|| follow(&chase)).unwrap_or_default(),
            kernel: best(&|| kernel(metric, dim, codes)).unwrap_or_default(),
        }
    }

    /// The least time of one query.
    pub(crate) fn limit(&self, shape: &Shape) -> Duration {
        let whole_lines = |bytes: usize| bytes.next_multiple_of(LINE_BYTES) as f64;
        let bytes = shape.distances * whole_lines(shape.code_bytes)
            + shape.hops * (whole_lines(shape.links_bytes) + whole_lines(shape.again_bytes))
            + shape.reranked * whole_lines(shape.vector_bytes);
        let bandwidth = Duration::from_secs_f64(bytes / self.bytes_per_second);
        let kernels = self.kernel.mul_f64(shape.distances);
        bandwidth.max(kernels).max(self.latency.mul_f64(shape.hops))
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "random rows {:.1} GB/s, dependent read {} ns, kernel {:.1} ns",
            self.bytes_per_second / 1e9,
            self.latency.as_nanos(),
            self.kernel.as_secs_f64() * 1e9,
        )
    }
}

/// A cheap generator of well-mixed numbers (Steele et al., SplitMix64, 2014).
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Reads random rows, asked for a few rows ahead; gives the time and the bytes read.
fn gather(memory: &[u8], row_bytes: usize) -> (Duration, usize) {
    const READS: usize = 200_000;
    const AHEAD: usize = 8;
    let row_bytes = row_bytes.next_multiple_of(LINE_BYTES);
    let rows = FlatRows::new("probe", memory, row_bytes);
    let at = |i: usize| (mixed(i as u64) % u64::from(rows.rows().max(1))) as u32;
    let picked: Vec<u32> = (0..READS + AHEAD).map(at).collect();
    let started = Instant::now();
    let mut sum = 0u64;
    for (&row, &ahead) in picked.iter().zip(&picked[AHEAD..]) {
        rows.prefetch(ahead);
        let bytes = rows.row(row).unwrap_or_default();
        sum += bytes.chunks(LINE_BYTES).map(|line| u64::from(line[0])).sum::<u64>();
    }
    black_box(sum);
    (started.elapsed(), READS * row_bytes)
}

/// One cycle through all lines in random order (Sattolo's algorithm).
fn chain(lines: usize) -> Vec<[u32; LINE_BYTES / 4]> {
    let mut next: Vec<u32> = (0..lines as u32).collect();
    for i in (1..lines).rev() {
        next.swap(i, (mixed(i as u64) % i as u64) as usize);
    }
    next.into_iter().map(|to| [to; LINE_BYTES / 4]).collect()
}

/// Time of one step along the chain.
fn follow(chain: &[[u32; LINE_BYTES / 4]]) -> Duration {
    const STEPS: u32 = 100_000;
    let started = Instant::now();
    let mut at = 0u32;
    for _ in 0..STEPS {
        at = chain[at as usize][0];
    }
    black_box(at);
    started.elapsed() / STEPS
}

/// Time of one distance between codes, or full vectors, that are in the first-level cache.
fn kernel(metric: Metric, dim: usize, codes: Codes) -> Duration {
    const ROWS: u32 = 32;
    const SCANS: u32 = 500;
    // Not so long that the sums of squares leave single precision.
    let vector: Vec<f32> = (0..dim).map(|i| (mixed(i as u64) >> 40) as f32).collect();
    if codes == Codes::None {
        let (query, block) = (ExactQuery::new(metric, &vector), vector.repeat(ROWS as usize));
        let mut distances = Vec::with_capacity(ROWS as usize);
        let started = Instant::now();
        for _ in 0..16 * SCANS {
            distances.clear();
            query.distances(black_box(&block), &mut distances);
        }
        black_box(distances);
        return started.elapsed() / (SCANS * 16 * ROWS);
    }
    let quantizer = Quantizer::train(metric, dim, &vector);
    let mut codes = vec![0; ROWS as usize * quantizer.code_len()];
    for code in codes.chunks_exact_mut(quantizer.code_len()) {
        quantizer.encode(&vector, code);
    }
    let codes = FlatRows::new("probe", &codes, quantizer.code_len());
    let query = quantizer.query(&vector);
    let started = Instant::now();
    for _ in 0..SCANS {
        // So that little beside the distances is measured: one row in the same block is kept.
        black_box(query.scan(&codes, (0..ROWS).cycle().take(16 * ROWS as usize), 1)).ok();
    }
    started.elapsed() / (SCANS * 16 * ROWS)
}
