//! The filter language: one grammar, one AST, readings that must agree.
//!
//! A [`Filter`] comes from text ([`Filter::parse`]), from JSON ([`Filter::from_json`]) or from
//! [`field`]. It is read in two ways: [`Filter::matches`] looks at one record, plainly ([`Matcher`] at
//! many), and [`compile`] asks a segment's field index for rows. Property tests hold them together.
//!
//! ```text
//! filter     = conjunct { OR conjunct }
//! conjunct   = factor { AND factor }
//! factor     = NOT factor | "(" filter ")" | EXISTS path | path test
//! test       = ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
//!            | IS [ NOT ] NULL
//!            | [ NOT ] ( IN list | BETWEEN value AND value | CONTAINS value
//!                      | STARTSWITH value | LIKE value )
//!            | EXISTS
//! path       = name { "." name }            name = identifier | '"' ... '"' ('""' is a quote)
//! list       = "[" [ value { "," value } ] "]" | "(" ... ")" | parameter
//! value      = "'" ... "'" ("''" is a quote) | integer | float | true | false | null | parameter
//!            | DATE "'" ... "'" | DATE parameter      (RFC 3339: '2024-05-01', '2024-05-01T10:00:00Z')
//! parameter  = "$" name
//! ```
//! Words are read in any letter case.
//!
//! A date is never guessed from the metadata alone: `created >= '2024-05-01'` compares strings,
//! `created >= DATE '2024-05-01'` compares points in time, and holds only for strings that are
//! dates themselves. Where a collection says that `created` is a date, [`Filter::with_dates`] makes the
//! first the second.

mod ast;
mod build;
mod compile;
mod dates;
mod error;
mod json;
mod like;
mod matcher;
mod matches;
mod parse;
mod print;
mod rules;
mod suggest;
mod tokens;

pub use ast::{Comparison, Filter, Value};
pub use build::{Field, Orderable, field};
pub(crate) use compile::compile_beyond;
pub use compile::{Compiled, compile};
pub use error::{FilterError, FilterErrorKind, FilterFieldError, FilterJsonError};
pub use matcher::Matcher;
pub use parse::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, Params};
