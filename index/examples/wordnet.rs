//! Builds and searches a graph over real embeddings, and prints what it cost and found.
//!
//! ```text
//! cargo run --release -p vecstore-index --example wordnet -- DIR [M] [EF_CONSTRUCTION]
//! ```
//!
//! `DIR` holds `base.f16.npy` (rows × dim), `queries.f16.npy` and `neighbors.npy` (queries × k,
//! int32, nearest first by cosine).

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod data;

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use data::{Data, Threads};
use vecstore_index::{
    Accept, Beam, Calibration, CodeQuery, ExactQuery, FlatRows, FlatVectors, Graph, GraphBuf,
    GraphOptions, Metric, OneThread, Probe, Quantizer, Rows, Scratch, Workers, build, calibrate,
    kernel_name, search,
};

type Anything<T> = Result<T, Box<dyn Error>>;

const K: usize = 10;
const RERANKED: usize = 20;
const PROBES: usize = 256;

fn main() -> Anything<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: wordnet DIR [M] [EF_CONSTRUCTION]")?;
    let mut options = GraphOptions::default();
    if let Some(m) = args.next() {
        options.m = m.parse()?;
    }
    if let Some(ef) = args.next() {
        options.ef_construction = ef.parse()?;
    }
    let data = Data::read(Path::new(&dir))?;
    println!("{} rows, {} components, kernels {}", data.rows(), data.dim, kernel_name());

    let time = Instant::now();
    let quantizer = Quantizer::train(Metric::Cosine, data.dim, &data.base);
    println!("quantizer trained in {:.2} s: {quantizer:?}", time.elapsed().as_secs_f64());
    let time = Instant::now();
    let len = quantizer.code_len();
    let mut codes = vec![0; data.rows() * len];
    for (vector, code) in data.base.chunks_exact(data.dim).zip(codes.chunks_exact_mut(len)) {
        quantizer.encode(vector, code);
    }
    println!("coded in {:.2} s", time.elapsed().as_secs_f64());
    let codes = FlatRows::new("codes", &codes, len);

    let graph = timed_build(&codes, &quantizer, &options, &OneThread)?;
    let again = timed_build(&codes, &quantizer, &options, &Threads(2))?;
    println!("same graph on 1 and 2 threads: {}", graph == again);
    let links: usize = graph.links.iter().filter(|&&link| link != u32::MAX).count();
    println!("mean links {:.1} of {}", links as f64 / data.rows() as f64, graph.degree);

    let rows = FlatRows::new("links", &graph.links, graph.degree);
    let graph = Graph { links: &rows, upper: &graph.upper };
    let bench = Bench { data: &data, quantizer: &quantizer, codes: &codes, graph: &graph };

    let time = Instant::now();
    let scanned = bench.scan()?;
    println!(
        "scan of all codes: recall {scanned:.4}, {:.1} queries/s",
        data.queries() as f64 / time.elapsed().as_secs_f64()
    );

    let time = Instant::now();
    let calibration = bench.calibrate(PROBES)?;
    println!("calibrated on {PROBES} probes in {:.2} s", time.elapsed().as_secs_f64());
    println!("  ef   recall  (error)  predicted  distances  predicted  queries/s  poor");
    for ef in [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512] {
        let run = bench.run(ef)?;
        println!(
            "{ef:>4}   {:.4}   {:.4}     {:.4}    {:>7.0}    {:>7.0}    {:>7.0}    {:>4}",
            run.recall,
            run.probe_error,
            calibration.by_ef.recall_at(ef as u32),
            run.distances,
            calibration.by_ef.distances_at(ef as u32),
            run.queries_per_second,
            run.poor
        );
    }
    for wanted in [0.9, 0.95, 0.97, 0.98, 0.99, 0.995] {
        let ef = calibration.by_ef.effort_for_recall(wanted).unwrap_or(512) as usize;
        println!("recall {wanted} asked: ef {ef}, got {:.4}", bench.run(ef)?.recall);
    }
    Ok(())
}

fn timed_build(
    codes: &FlatRows<'_, u8>,
    quantizer: &Quantizer,
    options: &GraphOptions,
    workers: &dyn Workers,
) -> Anything<GraphBuf> {
    let time = Instant::now();
    let graph = build(codes, quantizer, options, workers, &mut |_| ControlFlow::Continue(()))?;
    println!("built on {} threads in {:.1} s", workers.threads(), time.elapsed().as_secs_f64());
    Ok(graph)
}

struct Run {
    recall: f64,
    /// Standard error of a mean over as many probes.
    probe_error: f64,
    distances: f64,
    queries_per_second: f64,
    /// Queries with fewer than 8 of the 10 nearest.
    poor: usize,
}

struct Bench<'a> {
    data: &'a Data,
    quantizer: &'a Quantizer,
    codes: &'a FlatRows<'a, u8>,
    graph: &'a Graph<'a, FlatRows<'a, u32>>,
}

impl Bench<'_> {
    /// All queries, best time of three.
    fn run(&self, ef: usize) -> Anything<Run> {
        let mut scratch = Scratch::default();
        let mut best = Duration::MAX;
        let (mut right, mut squares, mut distances, mut poor) = (0, 0, 0, 0);
        for _ in 0..3 {
            (right, squares, distances, poor) = (0, 0, 0, 0);
            let time = Instant::now();
            for (query, nearest) in self.data.each_query() {
                let code = self.quantizer.query(query);
                let found = search(
                    self.graph,
                    self.codes,
                    &code,
                    Beam::fixed(ef),
                    Accept::All,
                    usize::MAX,
                    &mut scratch,
                )?;
                distances += found.distances;
                let rows = found.candidates.iter().map(|candidate| candidate.row);
                let right_here = self.right(query, nearest, rows);
                right += right_here;
                poor += usize::from(right_here < 8);
                squares += right_here * right_here;
            }
            best = best.min(time.elapsed());
        }
        let count = self.data.queries() as f64;
        let recall = right as f64 / (count * K as f64);
        let variance = squares as f64 / (count * (K * K) as f64) - recall * recall;
        Ok(Run {
            recall,
            probe_error: (variance / PROBES as f64).sqrt(),
            distances: distances as f64 / count,
            queries_per_second: count / best.as_secs_f64(),
            poor,
        })
    }

    /// Recall where the codes alone choose what is reranked.
    fn scan(&self) -> Anything<f64> {
        let mut right = 0;
        for (query, nearest) in self.data.each_query() {
            let code: CodeQuery = self.quantizer.query(query);
            let found = code.scan(self.codes, 0..self.codes.rows(), RERANKED)?;
            right += self.right(query, nearest, found.iter().map(|candidate| candidate.row));
        }
        Ok(right as f64 / (self.data.queries() * K) as f64)
    }

    /// How many of the true `K` nearest are among the best after reranking.
    fn right(&self, query: &[f32], nearest: &[u32], rows: impl Iterator<Item = u32>) -> usize {
        let exact = ExactQuery::new(Metric::Cosine, query);
        let mut ranked: Vec<(f32, u32)> =
            rows.take(RERANKED).map(|row| (exact.distance(self.data.vector(row)), row)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranked.iter().take(K).filter(|(_, row)| nearest[..K].contains(row)).count()
    }

    fn calibrate(&self, probes: usize) -> Anything<Calibration> {
        let step = self.data.rows() / probes;
        let mut probes: Vec<Probe> = (0..probes)
            .map(|i| (i * step + step / 2) as u32)
            .map(|row| Probe::new(Metric::Cosine, row, self.data.vector(row)))
            .collect();
        for (i, block) in self.data.base.chunks(256 * self.data.dim).enumerate() {
            for probe in &mut probes {
                probe.observe(256 * i as u32, block);
            }
        }
        let vectors = FlatVectors::new(&self.data.base, self.data.dim);
        Ok(calibrate(self.graph, self.codes, self.quantizer, &vectors, &probes, &OneThread)?)
    }
}
