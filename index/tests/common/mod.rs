//! Data and slow twins that several test files share.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use vecstore_index::{
    BuildError, FlatRows, Graph, GraphBuf, GraphOptions, Metric, Quantizer, Rows, Workers, build,
};

/// Numbers that look random (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    /// Bell-shaped around 0.
    pub(crate) fn float(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| (self.word() >> 11) as f64 / (1u64 << 53) as f64).sum();
        (sum - 2.0) as f32
    }
}

/// Vectors around a few centres, back to back.
pub(crate) fn clustered(seed: u64, rows: usize, dim: usize, clusters: usize) -> Vec<f32> {
    let mut random = Random(seed);
    let centres: Vec<f32> = (0..clusters * dim).map(|_| random.float()).collect();
    let mut vectors = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let centre = random.below(clusters) * dim;
        vectors.extend(centres[centre..centre + dim].iter().map(|c| c + 0.5 * random.float()));
    }
    vectors
}

/// Codes of vectors.
pub(crate) struct Coded {
    pub(crate) quantizer: Quantizer,
    pub(crate) bytes: Vec<u8>,
}

impl Coded {
    pub(crate) fn new(metric: Metric, dim: usize, vectors: &[f32]) -> Self {
        Coded::by(Quantizer::train(metric, dim, vectors), vectors)
    }

    pub(crate) fn by(quantizer: Quantizer, vectors: &[f32]) -> Self {
        let dim = quantizer.dim();
        let len = quantizer.code_len();
        let mut bytes = vec![0; vectors.len() / dim * len];
        for (vector, code) in vectors.chunks_exact(dim).zip(bytes.chunks_exact_mut(len)) {
            quantizer.encode(vector, code);
        }
        Coded { quantizer, bytes }
    }

    pub(crate) fn rows(&self) -> FlatRows<'_, u8> {
        FlatRows::new("codes", &self.bytes, self.quantizer.code_len())
    }

    pub(crate) fn build(
        &self,
        options: &GraphOptions,
        workers: &dyn Workers,
    ) -> Result<GraphBuf, BuildError> {
        build(&self.rows(), &self.quantizer, options, workers, &mut |_| ControlFlow::Continue(()))
    }
}

/// Calls `check` with the graph to search.
pub(crate) fn with_graph<T>(
    graph: &GraphBuf,
    check: impl FnOnce(&Graph<'_, FlatRows<'_, u32>>) -> T,
) -> T {
    let links = FlatRows::new("links", &graph.links, graph.degree);
    check(&Graph { links: &links, upper: &graph.upper })
}

/// Rows that can be reached from the entry.
pub(crate) fn reachable(graph: &GraphBuf, rows: usize) -> usize {
    if rows == 0 {
        return 0;
    }
    let links = FlatRows::new("links", &graph.links, graph.degree);
    let mut seen = vec![false; rows];
    let mut open = vec![graph.upper.entry()];
    seen[graph.upper.entry() as usize] = true;
    while let Some(row) = open.pop() {
        for &link in links.row(row).expect("a row").iter().filter(|&&link| link != u32::MAX) {
            if !std::mem::replace(&mut seen[link as usize], true) {
                open.push(link);
            }
        }
    }
    seen.iter().filter(|&&seen| seen).count()
}

/// Threads that take the tasks one by one.
pub(crate) struct Threads(pub(crate) usize);

impl Workers for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= tasks {
                            break;
                        }
                        task(i);
                    }
                });
            }
        });
    }
}
