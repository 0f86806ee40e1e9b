//! What reading a filter and finding its rows takes: no input as long as is read needs a deep stack,
//! and twice the input never needs much more than twice the work.

#![allow(clippy::unwrap_used)]

mod long_texts;
#[allow(dead_code, reason = "what other tests need besides")]
mod records;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use long_texts::{params, texts, used};
use records::build_index;
use serde_json::json;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FieldLimits};
use vecstore_query::{FILTER_BYTES_MAX, Filter, Matcher, Params, Stop, compile};
use vecstore_segments::Metadata;

/// The system's allocator, which counts what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    // A thread that ends frees its own last.
    let _ = ALLOCATED.try_with(|cell| {
        let (calls, total) = cell.get();
        cell.set((calls + 1, total + bytes as u64));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the pointer is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`; the pointer is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Everything that is done with the text of a filter before a record is looked at.
fn read(text: &str, params: &Params) -> bool {
    let is_date = |_: &_| true;
    match Filter::parse(text, params) {
        Ok(filter) => {
            let json = filter.to_json();
            assert_eq!(Filter::from_json(&json).as_ref(), Ok(&filter));
            let _ = filter.to_string();
            if let Err(error) = filter.with_dates(&is_date) {
                assert!(error.to_string().len() < 600, "{}", error.to_string().len());
            }
            true
        }
        Err(error) => {
            assert!(error.to_string().len() < 600, "{}", error.to_string().len());
            false
        }
    }
}

#[test]
fn no_text_takes_a_deep_stack() {
    // Less than a tenth of what a thread has by default. The worst takes some three quarters of it
    // where nothing is optimised.
    const STACK: usize = 192 << 10;
    let run = || {
        let mut filters = 0;
        for (what, text) in texts(FILTER_BYTES_MAX) {
            assert!(text.len() <= FILTER_BYTES_MAX, "{what}");
            assert!(text.len() > FILTER_BYTES_MAX / 2, "{what}: {}", text.len());
            filters += usize::from(read(&text, &used(&text)));
            read(&text, &params());
        }
        assert!(filters >= 24, "only {filters} are filters");
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}

#[test]
fn twice_the_text_asks_for_no_more_than_twice_the_memory() {
    for ((what, half), (_, whole)) in
        texts(FILTER_BYTES_MAX / 2).iter().zip(&texts(FILTER_BYTES_MAX))
    {
        let asked = |text: &str| {
            let params = used(text);
            let (calls, bytes) = ALLOCATED.get();
            read(text, &params);
            let (calls_after, bytes_after) = ALLOCATED.get();
            (calls_after - calls, bytes_after - bytes)
        };
        let (half, whole) = (asked(half), asked(whole));
        // A vector that doubles may do so once more; a little is asked for any text.
        assert!(whole.0 * 2 <= half.0 * 5 + 200, "{what}: {half:?} then {whole:?} allocations");
        assert!(whole.1 * 2 <= half.1 * 5 + (64 << 10), "{what}: {half:?} then {whole:?} bytes");
        // Not only in proportion but little, with all the copies that are made here.
        assert!(whole.1 < 400 * FILTER_BYTES_MAX as u64, "{what}: {whole:?}");
    }
}

/// Records that the long texts speak of.
fn records() -> Vec<Metadata> {
    let record = |i: usize| match i % 4 {
        0 => json!({"a": i, "b": 1}),
        1 => json!({"a": format!("x{i}"), "c": "x"}),
        2 => json!({"a": [i, format!("x{i}")], "b": "x", "d": 2}),
        _ => json!({"a": "2024-05-01T10:00:00.123456+02:00", "e": null}),
    };
    (0..2_000).map(|i| record(i).as_object().unwrap().clone()).collect()
}

#[test]
fn rows_of_long_filters_are_found_with_little_work() {
    // As for reading.
    const STACK: usize = 192 << 10;
    let run = || {
        let records = records();
        let bytes = build_index(&records, FieldLimits::default(), &[]);
        let index = FieldIndex::open(&bytes).unwrap();
        let universe: RoaringBitmap = (0..records.len() as u32).collect();
        let mut filters = 0;
        for ((what, half), (_, whole)) in
            texts(FILTER_BYTES_MAX / 2).iter().zip(&texts(FILTER_BYTES_MAX))
        {
            let asked = |text: &str| {
                let filter = Filter::parse(text, &used(text)).ok()?;
                let (_, before) = ALLOCATED.get();
                let found = compile(&filter, &index, &universe, &Stop::never()).unwrap();
                let (_, compiled) = ALLOCATED.get();
                let matcher = Matcher::new(&filter);
                for row in (0..records.len()).step_by(97) {
                    let is_found = found.rows.contains(row as u32);
                    assert_eq!(is_found, matcher.matches(&records[row]), "{what}, row {row}");
                }
                let (_, matched) = ALLOCATED.get();
                assert!(found.unsure.is_empty(), "{what}");
                Some((compiled - before, matched - compiled))
            };
            let (Some(half), Some(whole)) = (asked(half), asked(whole)) else { continue };
            filters += 1;
            // Some texts have 6,000 conditions; each asks for its rows and little else.
            assert!(whole.0 < (6_000 * 10) << 10, "{what}: {whole:?}");
            assert!(whole.0 * 2 <= half.0 * 5 + (128 << 10), "{what}: {half:?} then {whole:?}");
            assert!(whole.1 * 2 <= half.1 * 5 + (256 << 10), "{what}: {half:?} then {whole:?}");
        }
        assert!(filters >= 24, "only {filters} are filters");
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}

/// Scanning a text again for each of its words asks for no memory. It shows in the time, which is a
/// poor measure of a factor of 2, so this asks for one of 32: linear work takes about as much more,
/// quadratic work 1,024 times as much.
#[test]
fn long_texts_take_time_in_proportion() {
    const TIMES: usize = 32;
    const SLOWER_MAX: u32 = TIMES as u32 * 8;
    let fastest = |text: &str, params: &Params| {
        let time = || {
            let started = Instant::now();
            let _ = std::hint::black_box(Filter::parse(text, params));
            started.elapsed()
        };
        (0..7).map(|_| time()).min().unwrap()
    };
    let long = texts(FILTER_BYTES_MAX);
    for ((what, short), (_, long)) in texts(FILTER_BYTES_MAX / TIMES).iter().zip(&long) {
        let params = used(long);
        // Other work on the machine may fall on the long one alone, but not again and again.
        let times = || {
            let short = fastest(short, &params).max(Duration::from_micros(2));
            (short, fastest(long, &params))
        };
        let taken: Vec<_> = (0..5)
            .map(|_| times())
            .take_while(|(short, long)| *long > *short * SLOWER_MAX)
            .collect();
        assert!(taken.len() < 5, "{what}: a text, and {TIMES} times as much, each time: {taken:?}");
    }
}
