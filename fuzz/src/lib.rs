//! What must hold for any input, as plain functions: libFuzzer calls them from `fuzz_targets`, and
//! the tests of this package call them on stable Rust. A function panics if its property fails.

mod http_bodies;

use serde_json::json;
use vecstore_query::{Filter, FilterError, FilterErrorKind, Params};

pub use http_bodies::{http_bodies, server};
pub use vecstore_server::probe::Probe;

/// The filter parser takes any text without a panic, and
/// - an error points into the text, at the start of a character;
/// - a filter can be printed and written as JSON, and read from both as the same filter.
///
/// Bytes that are not UTF-8 are skipped: the parser takes `&str`.
pub fn filter_parser(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for params in [Params::new(), params_named_in(text)] {
        match Filter::parse(text, &params) {
            Ok(filter) => survives(text, &filter),
            Err(error) => points_into(text, &error),
        }
    }
}

/// A value for each `$name` in the text: a list after `IN`, else a number or a string.
fn params_named_in(text: &str) -> Params {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = "";
    let mut params = Params::new();
    for part in text.split('$') {
        if !std::ptr::eq(part, text) && part.as_ptr() != text.as_ptr() {
            let name = part.split(|c| !is_name(c)).next().unwrap_or("");
            let value = if before.trim_end().to_ascii_uppercase().ends_with(" IN") {
                json!(["a", 1, 2.5, null])
            } else if name.len().is_multiple_of(2) {
                json!(5)
            } else {
                json!("a%")
            };
            params.insert(name.to_string(), value);
        }
        before = part;
    }
    params
}

fn points_into(text: &str, error: &FilterError) {
    assert!(text.is_char_boundary(error.position), "{error}\nin {text:?}");
    assert!(!error.problem.is_empty());
}

fn survives(text: &str, filter: &Filter) {
    let printed = filter.to_string();
    match Filter::parse(&printed, &Params::new()) {
        Ok(again) => assert_eq!(&again, filter, "{text:?}\nprinted {printed:?}"),
        // Spaces and parameters can make what is printed longer than what was read.
        Err(error) if error.kind == FilterErrorKind::TooLong => {}
        Err(error) => panic!("{error}\n{text:?}\nprinted {printed:?}"),
    }
    let json = filter.to_json();
    assert_eq!(Filter::from_json(&json).as_ref(), Ok(filter), "{text:?}\nas JSON {json}");
}
