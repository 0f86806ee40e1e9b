//! Scans the codes of some rows, with sketches and without, and prints what that cost and found.
//!
//! ```text
//! cargo run --release -p vecstore-index --example sketches -- DIR [ROUNDS]
//! ```
//!
//! `DIR` as for the example `wordnet`. Rows are chosen by chance; medians of 3 rounds by default.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod data;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use data::{Data, Threads};
use vecstore_index::{
    CodeQuery, FlatRows, Metric, Quantizer, Rows, SketchesBuf, build_sketches, kernel_name,
};

type Anything<T> = Result<T, Box<dyn Error>>;

const KEEP: usize = 26;
const SHARES: [f64; 6] = [1.0, 0.5, 0.12, 0.04, 0.01, 0.001];

fn main() -> Anything<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: sketches DIR [ROUNDS]")?;
    let rounds: usize = args.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let data = Data::read(Path::new(&dir))?;
    println!("{} rows, {} components, kernels {}", data.rows(), data.dim, kernel_name());

    let quantizer = Quantizer::train(Metric::Cosine, data.dim, &data.base);
    let code_len = quantizer.code_len();
    let mut codes = vec![0; data.rows() * code_len];
    for (vector, code) in data.base.chunks_exact(data.dim).zip(codes.chunks_exact_mut(code_len)) {
        quantizer.encode(vector, code);
    }
    let time = Instant::now();
    let SketchesBuf { sketches, data: bytes } = build_sketches(&quantizer, &codes, &Threads(2))?;
    let len = sketches.sketch_len();
    println!("sketched on 2 threads in {:.2} s, {len} bytes a row", time.elapsed().as_secs_f64());
    println!("{:?}", sketches.expected);

    let (codes, rows) =
        (FlatRows::new("codes", &codes, code_len), FlatRows::new("sketches", &bytes, len));
    let queries: Vec<CodeQuery> =
        data.each_query().map(|(query, _)| quantizer.query(query)).collect();

    println!("share    rows   codes µs  sketches µs  compared (most)  expected  the same, worst");
    for share in SHARES {
        let every =
            |row: &u32| f64::from(row.wrapping_mul(2_654_435_761)) < share * f64::from(u32::MAX);
        let some: Vec<u32> = (0..codes.rows()).filter(every).collect();
        let (mut by_codes, mut by_sketches) = (Vec::new(), Vec::new());
        let (mut compared, mut most, mut same, mut worst) = (0, 0, 0, KEEP);
        for round in 0..rounds {
            let time = Instant::now();
            let plain = queries
                .iter()
                .map(|query| query.scan(&codes, some.iter().copied(), KEEP))
                .collect::<Result<Vec<_>, _>>()?;
            by_codes.push(time.elapsed().as_secs_f64());
            let time = Instant::now();
            let sketched = queries
                .iter()
                .map(|query| sketches.scan(query, &rows, &codes, some.iter().copied(), KEEP))
                .collect::<Result<Vec<_>, _>>()?;
            by_sketches.push(time.elapsed().as_secs_f64());
            if round == 0 {
                for (plain, sketched) in plain.iter().zip(&sketched) {
                    compared += sketched.distances;
                    most = most.max(sketched.distances);
                    let here = plain.iter().filter(|c| sketched.candidates.contains(c)).count();
                    same += here;
                    worst = worst.min(here);
                }
            }
        }
        let us = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2] * 1e6 / queries.len() as f64
        };
        let count = queries.len();
        println!(
            "{share:>5}  {:>7}  {:>8.1}  {:>11.1}  {:>8} ({most:>5})  {:>8.0}  {:.5} {worst}",
            some.len(),
            us(&mut by_codes),
            us(&mut by_sketches),
            compared / count,
            sketches.expected.of(some.len() as u64, KEEP),
            same as f64 / (count * KEEP.min(some.len())) as f64,
        );
    }
    Ok(())
}
