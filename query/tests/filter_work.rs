//! What reading a filter takes: no input as long as is read needs a deep stack, and twice the input
//! never needs much more than twice the work.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::json;
use vecstore_query::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, Filter, Params};

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

/// `piece` as often as it fits, between `head` and `tail`.
fn filled(head: &str, piece: &str, tail: &str, bytes: usize) -> String {
    let room = bytes.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", piece.repeat(room / piece.len()))
}

/// Texts of about so many bytes, each long in another way; some are filters, some are not.
fn texts(bytes: usize) -> Vec<(&'static str, String)> {
    let fill = |head, piece, tail| filled(head, piece, tail, bytes);
    let depth = FILTER_DEPTH_MAX - 1;
    let nested = |open: &str, close: &str| {
        let level = format!("{}a = 1{} OR ", open.repeat(depth), close.repeat(depth));
        filled("", &level, "a = 1", bytes)
    };
    vec![
        ("parentheses", fill("", "(", "")),
        ("closed parentheses", {
            let half = bytes / 2 - 4;
            format!("{}a = 1{}", "(".repeat(half), ")".repeat(half))
        }),
        ("NOT", fill("", "NOT ", "a = 1")),
        ("NOT (", fill("", "NOT(", "a = 1")),
        ("nests as deep as may be", nested("(", ")")),
        ("NOT as deep as may be", nested("NOT ", "")),
        ("a nest in each level", nested("(b = 1 AND ", ")")),
        ("AND", fill("a = 1", " AND a = 1", "")),
        ("OR", fill("a = 1", " OR a = 1", "")),
        ("AND and OR", fill("a = 1", " OR a = 1 AND b != 2", "")),
        ("pairs", fill("a = 1", " AND (b = 1 OR c = 1)", "")),
        ("IN with integers", fill("a IN [1", ",1", "]")),
        ("IN with floats", fill("a IN [1.5", ", 1.5e-3", "]")),
        ("IN with strings", fill("a IN ['x'", ", 'it''s'", "]")),
        ("IN with dates", fill("a IN [1", ", DATE '2024-05-01T10:00:00.123456+02:00'", "]")),
        ("IN with parameters", fill("a IN [$p", ",$p", "]")),
        ("IN without an end", fill("a IN [1", ",1", "")),
        ("lists in lists", fill("a IN ", "[", "")),
        ("IN a list that is bound", fill("a IN $list", " OR a IN $list", "")),
        ("a string", fill("a = '", "x", "'")),
        ("a string of quotes", fill("a = '", "''", "'")),
        ("a string of other letters", fill("a = '", "漢", "'")),
        ("a string without an end", fill("a = '", "x", "")),
        ("quotes", fill("a = ", "'", "")),
        ("a name of quotes", fill("\"", "\"\"", "\" = 1")),
        ("a name without an end", fill("", "\"", "\"")),
        ("a long name", fill("", "a", " = 1")),
        ("a long path", fill("a", ".a", " = 1")),
        ("a path of quoted names", fill("\"a\"", ".\"b.c\"", " = 1")),
        ("points", fill("a", ".", "")),
        ("digits", fill("a = 1", "0", "")),
        ("digits behind a point", fill("a = 1.", "1", "")),
        ("an exponent", fill("a = 1e", "0", "1")),
        ("digits and names", fill("a = 1", "x", "")),
        ("signs", fill("a ", "<", " 1")),
        ("a misspelt operator", fill("a ", "LIKEE", " 'x'")),
        ("a misspelt connective", fill("a = 1 ", "AND", " b = 1")),
        ("names in a row", fill("a", " a", "")),
        ("blanks", fill("a", " ", "= 1")),
        ("other blanks", fill("a", "\u{2003}", "= 1")),
        ("a pattern of wildcards", fill("a LIKE '", "%", "'")),
        ("a pattern of letters", fill("a LIKE '", "%a_", "'")),
        ("a pattern of backslashes", fill("a LIKE '", "\\\\", "'")),
        ("parameters", fill("a = $p", " OR b = $p", "")),
        ("a parameter's name", fill("a = $", "p", "")),
        ("comparisons of many kinds", {
            let all = " OR a.b < 1 AND c CONTAINS 'x' AND d BETWEEN 1 AND 2 OR e IS NOT NULL \
                       OR NOT EXISTS f AND g STARTSWITH 'y' AND h NOT IN (1, null, true)";
            filled("a = 1", all, "", bytes)
        }),
        ("a long name before NOT EXISTS", fill("a", "a", " NOT EXISTS")),
        ("a value without quotes", fill("a = ", "a", "")),
        ("a parameter of the wrong kind", fill("a STARTSWITH $list OR ", "a", "= 1")),
        ("zeros", fill("", "\0", "")),
        ("commas", fill("a IN [", ",", "]")),
    ]
}

fn params() -> Params {
    Params::from([
        ("p".to_owned(), json!("x")),
        ("list".to_owned(), json!([1, "a", null])),
        ("unused".to_owned(), json!(1)),
    ])
}

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

/// The parameters that a text uses, so that it is not refused for one left over.
fn used(text: &str) -> Params {
    let mut params = params();
    params.retain(|name, _| text.contains(&format!("${name}")));
    params
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
        let short = fastest(short, &params).max(Duration::from_micros(2));
        let long = fastest(long, &params);
        assert!(
            long <= short * SLOWER_MAX,
            "{what}: {short:?}, and {long:?} for {TIMES} times as much"
        );
    }
}
