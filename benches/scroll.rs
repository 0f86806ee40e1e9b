//! What it takes to read a whole collection in pages of 100, in the order of ids and of a field.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin scroll -- [RECORDS]
//! ```
//!
//! Default: 116,659 records in one segment, and 2,000 more in memory.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use serde_json::json;
use vecstore::{Collection, Database, Durability, Metric, Options, Record, Scroll};

const DIM: usize = 16;
const IN_MEMORY: u64 = 2_000;

type Ask = dyn Fn(Scroll<'_>) -> Scroll<'_>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records: u64 = match std::env::args().nth(1) {
        Some(n) => n.parse()?,
        None => 116_659,
    };
    let dir = tempfile::tempdir()?;
    let options = Options {
        durability: Durability::None,
        background_merge: false,
        memtable_bytes_max: 1 << 30,
        ..Options::default()
    };
    let db = Database::open_with(dir.path(), options)?;
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean))?;
    let mut state = 1_u64;
    let mut number = || {
        // Knuth's linear congruential generator (MMIX).
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut fill = |ids: std::ops::Range<u64>| -> vecstore::Result<()> {
        let ids: Vec<u64> = ids.collect();
        for some in ids.chunks(4_096) {
            let batch = some.iter().map(|id| {
                let vector: Vec<f32> = (0..DIM).map(|_| number() as f32).collect();
                let metadata =
                    json!({"n": number() % 50_000, "kind": format!("k{}", number() % 40)});
                // Written in another order than that of their ids.
                Record::new(id.wrapping_mul(0x9e37_79b9_7f4a_7c15), vector).metadata(metadata)
            });
            docs.batch_upsert(batch.collect())?;
        }
        Ok(())
    };
    fill(0..records)?;
    docs.flush()?;
    fill(records..records + IN_MEMORY)?;

    let orders: [(&str, Box<Ask>); 3] = [
        ("by id", Box::new(|scroll| scroll)),
        ("by n", Box::new(|scroll: Scroll<'_>| scroll.order_by("n"))),
        ("by kind, descending", Box::new(|scroll: Scroll<'_>| scroll.order_by_descending("kind"))),
    ];
    println!("{} records, pages of 100", records + IN_MEMORY);
    for (name, order) in &orders {
        let started = Instant::now();
        let mut seen = 0;
        for page in order(docs.scroll()).pages()? {
            seen += page?.records.len() as u64;
        }
        let whole = started.elapsed();
        let (mut pages, mut first, mut slowest, mut after) = (0, None, 0.0_f64, None);
        let started = Instant::now();
        loop {
            let begun = Instant::now();
            let scroll = order(docs.scroll());
            let page = match after.take() {
                Some(cursor) => scroll.resume(cursor).run()?,
                None => scroll.run()?,
            };
            pages += 1;
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            first.get_or_insert(ms);
            slowest = slowest.max(ms);
            let Some(cursor) = page.cursor else { break };
            after = Some(cursor);
        }
        let resumed = started.elapsed();
        println!(
            "  {name:<20} pages(): {seen} records in {:>7.1} ms; resumed: {pages} pages in {:>7.1} ms, \
             {:.3} ms a page, the slowest {slowest:.1} ms",
            whole.as_secs_f64() * 1e3,
            resumed.as_secs_f64() * 1e3,
            resumed.as_secs_f64() * 1e3 / f64::from(pages),
        );
    }
    Ok(())
}
