//! Merges graphs over parts of real embeddings, and compares with building the graph of all rows.
//!
//! ```text
//! cargo run --release -p vecstore-index --example merge -- DIR [ROWS] [ROUNDS]
//! ```
//!
//! `DIR` is as in the example `wordnet`; of its rows the first `ROWS` are used. Prints the time of
//! merges and builds, interleaved, medians of `ROUNDS`; recall at several `ef` and the mean number
//! of distances; and recall after each of five generations, in which a graph over half of the rows
//! grows to one over all of them by merging in a tenth at a time.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod data;

use std::error::Error;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::Instant;

use data::{Data, Threads};
use vecstore_index::{
    Accept, Beam, ExactQuery, FlatRows, Graph, GraphBuf, GraphOptions, MergeInput, Metric, NO_ROW,
    Quantizer, Rows, Scratch, build, merge, search,
};

type Anything<T> = Result<T, Box<dyn Error>>;

const K: usize = 10;
const RERANKED: usize = 20;
const EFS: [usize; 7] = [16, 24, 40, 64, 96, 128, 256];

fn main() -> Anything<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: merge DIR [ROWS] [ROUNDS]")?;
    let data = Data::read(Path::new(&dir))?;
    let rows = args.next().map_or(Ok(data.rows()), |rows| rows.parse())?.min(data.rows());
    let rounds: usize = args.next().map_or(Ok(1), |rounds| rounds.parse())?;
    let quantizer = Quantizer::train(Metric::Cosine, data.dim, &data.base);
    let mut codes = vec![0; rows * quantizer.code_len()];
    for (vector, code) in
        data.base.chunks_exact(data.dim).zip(codes.chunks_exact_mut(quantizer.code_len()))
    {
        quantizer.encode(vector, code);
    }
    let bench = Bench { truth: truth(&data, rows), data, quantizer, codes };
    println!("{rows} rows");

    for parts in [equal(rows, 2), equal(rows, 4), vec![0..rows * 9 / 10, rows * 9 / 10..rows]] {
        bench.compare(&parts, rows, rounds)?;
    }
    bench.generations(rows)
}

fn equal(rows: usize, parts: usize) -> Vec<Range<usize>> {
    (0..parts).map(|part| rows * part / parts..rows * (part + 1) / parts).collect()
}

/// Distance of the tenth nearest of the first `rows` to each query.
fn truth(data: &Data, rows: usize) -> Vec<f32> {
    data.each_query()
        .map(|(query, nearest)| {
            let exact = ExactQuery::new(Metric::Cosine, query);
            let mut distances: Vec<f32> = if rows == data.rows() {
                nearest.iter().map(|&row| exact.distance(data.vector(row))).collect()
            } else {
                (0..rows as u32).map(|row| exact.distance(data.vector(row))).collect()
            };
            distances.sort_by(f32::total_cmp);
            distances[K - 1]
        })
        .collect()
}

struct Bench {
    data: Data,
    truth: Vec<f32>,
    quantizer: Quantizer,
    codes: Vec<u8>,
}

impl Bench {
    fn codes(&self, rows: Range<usize>) -> FlatRows<'_, u8> {
        let len = self.quantizer.code_len();
        FlatRows::new("codes", &self.codes[rows.start * len..rows.end * len], len)
    }

    fn build(&self, rows: Range<usize>) -> Anything<GraphBuf> {
        let keep_going = &mut |_| ControlFlow::Continue(());
        let codes = self.codes(rows);
        Ok(build(&codes, &self.quantizer, &GraphOptions::default(), &Threads(2), keep_going)?)
    }

    /// The graph over the first `rows`, from graphs over consecutive parts of them.
    fn merge(&self, parts: &[(Range<usize>, &GraphBuf)], rows: usize) -> Anything<GraphBuf> {
        let maps: Vec<Vec<u32>> =
            parts.iter().map(|(part, _)| (part.start as u32..part.end as u32).collect()).collect();
        debug_assert!(maps.iter().flatten().all(|&row| row != NO_ROW));
        let links: Vec<FlatRows<'_, u32>> = parts
            .iter()
            .map(|(_, graph)| FlatRows::new("links", &graph.links, graph.degree))
            .collect();
        let inputs: Vec<MergeInput<'_>> = maps
            .iter()
            .zip(&links)
            .map(|(new_rows, links)| MergeInput { links, new_rows })
            .collect();
        let keep_going = &mut |_| ControlFlow::Continue(());
        let codes = self.codes(0..rows);
        let options = GraphOptions::default();
        Ok(merge(&inputs, &codes, &self.quantizer, &options, &Threads(2), keep_going)?.graph)
    }

    /// Merge against build, time and recall.
    fn compare(&self, parts: &[Range<usize>], rows: usize, rounds: usize) -> Anything<()> {
        let sizes: Vec<usize> = parts.iter().map(Range::len).collect();
        let graphs: Vec<GraphBuf> =
            parts.iter().map(|part| self.build(part.clone())).collect::<Anything<_>>()?;
        let parts: Vec<_> = parts.iter().cloned().zip(&graphs).collect();
        let (mut merging, mut building) = (Vec::new(), Vec::new());
        let mut results = None;
        for _ in 0..rounds {
            let time = Instant::now();
            let merged = self.merge(&parts, rows)?;
            merging.push(time.elapsed().as_secs_f64());
            let time = Instant::now();
            let built = self.build(0..rows)?;
            building.push(time.elapsed().as_secs_f64());
            results = Some((merged, built));
        }
        let (merging, building) = (median(merging), median(building));
        println!(
            "\nparts of {sizes:?}: merged in {merging:.2} s, built in {building:.2} s, {:.2} times \
             faster",
            building / merging
        );
        if let Some((merged, built)) = results {
            self.print("merged", &merged)?;
            self.print("built", &built)?;
        }
        Ok(())
    }

    fn generations(&self, rows: usize) -> Anything<()> {
        println!("\ngenerations");
        let mut graph = self.build(0..rows / 2)?;
        for tenth in 6..=10 {
            let (before, now) = (rows * (tenth - 1) / 10, rows * tenth / 10);
            let before = if tenth == 6 { rows / 2 } else { before };
            let more = self.build(before..now)?;
            graph = self.merge(&[(0..before, &graph), (before..now, &more)], now)?;
        }
        self.print("5 generations", &graph)?;
        self.print("built", &self.build(0..rows)?)
    }

    /// Recall and cost at each `ef`.
    fn print(&self, name: &str, graph: &GraphBuf) -> Anything<()> {
        let links = FlatRows::new("links", &graph.links, graph.degree);
        let rows = links.rows();
        let used = graph.links.iter().filter(|&&link| link != u32::MAX).count();
        print!("{name:>13}  {:.1} links |", used as f64 / f64::from(rows));
        let codes = self.codes(0..rows as usize);
        let graph = Graph { links: &links, upper: &graph.upper };
        let mut scratch = Scratch::default();
        for ef in EFS {
            let (mut right, mut distances) = (0, 0);
            for ((query, _), truth) in self.data.each_query().zip(&self.truth) {
                let code = self.quantizer.query(query);
                let found = search(
                    &graph,
                    &codes,
                    &code,
                    Beam::fixed(ef),
                    Accept::All,
                    usize::MAX,
                    &mut scratch,
                )?;
                distances += found.distances;
                let exact = ExactQuery::new(Metric::Cosine, query);
                let near =
                    found.candidates.iter().take(RERANKED).filter(|candidate| {
                        exact.distance(self.data.vector(candidate.row)) <= *truth
                    });
                right += near.count().min(K);
            }
            let queries = self.data.queries() as f64;
            print!(
                " {ef}: {:.4} ({:.0})",
                right as f64 / (queries * K as f64),
                distances as f64 / queries
            );
        }
        println!();
        Ok(())
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
