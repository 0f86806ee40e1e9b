//! The longest filters that are read, slowest first: reading, finding rows through an index, and looking
//! at records one by one.
//!
//! ```text
//! cargo run --release -p vecstore-query --example long_filters
//! ```

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/long_texts/mod.rs"]
#[allow(dead_code, reason = "what the tests need besides")]
mod long_texts;

use std::hint::black_box;
use std::time::Instant;

use long_texts::{texts, used};
use serde_json::json;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FieldIndexBuilder, FieldLimits};
use vecstore_query::{FILTER_BYTES_MAX, Filter, Matcher, Stop, compile};
use vecstore_segments::{Metadata, index_metadata};

/// Rows of a segment, each with a value of its own.
const ROWS: usize = 50_000;
/// Records looked at one by one, as those of a memtable that are not indexed yet.
const RECORDS: usize = 1_000;

fn main() {
    let records: Vec<Metadata> = (0..ROWS)
        .map(|i| match i % 2 {
            0 => json!({"a": i, "b": 1}),
            _ => json!({"a": format!("x{i} of a length that titles have"), "c": "x"}),
        })
        .map(|record| record.as_object().unwrap().clone())
        .collect();
    let mut builder = FieldIndexBuilder::new(FieldLimits::default());
    for (row, metadata) in (0..).zip(&records) {
        index_metadata(&mut builder, row, metadata);
    }
    let bytes = builder.finish();
    let index = FieldIndex::open(&bytes).unwrap();
    let universe: RoaringBitmap = (0..ROWS as u32).collect();

    let fastest = |work: &dyn Fn()| {
        let time = || {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64() * 1e3
        };
        (0..3).map(|_| time()).fold(f64::INFINITY, f64::min)
    };
    let mut lines: Vec<(f64, String)> = Vec::new();
    for (what, text) in texts(FILTER_BYTES_MAX) {
        let params = used(&text);
        let read = fastest(&|| drop(black_box(Filter::parse(&text, &params))));
        let (mut find, mut look) = (0.0, 0.0);
        if let Ok(filter) = Filter::parse(&text, &params) {
            find =
                fastest(&|| drop(black_box(compile(&filter, &index, &universe, &Stop::never()))));
            look = fastest(&|| {
                let matcher = Matcher::new(&filter);
                black_box(records.iter().take(RECORDS).filter(|r| matcher.matches(r)).count());
            });
        }
        let line = format!(
            "{what:<32} read {read:>8.2} ms, rows of {ROWS} found {find:>8.2} ms, \
             {RECORDS} records {look:>8.2} ms"
        );
        lines.push((read.max(find).max(look), line));
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    lines.iter().for_each(|(_, line)| println!("{line}"));
}
