//! Field indices: which rows have which metadata value, as roaring bitmaps.
//!
//! One block of bytes describes all fields of a segment: a sorted directory of paths and, for each
//! path, the rows where it is present, null, true and false and where it ends at an array, a sorted
//! string dictionary with a posting for each string, and two ordered number indices of buckets, one
//! for numbers and one for the strings that are dates. `layout` has the bytes.
//!
//! [`FieldIndexBuilder`] writes it, [`FieldIndex`] reads it in place. The bytes come from disk: a
//! read that meets nonsense is a [`FormatError`](crate::FormatError), never a panic.

mod builder;
mod layout;
mod number;
mod numbers;
mod reader;
mod scalar;
mod serialized;
mod strings;
mod timestamp;
mod union;

pub use builder::{FieldIndexBuilder, FieldLimits};
pub use reader::{AnyOf, Elements, FieldIndex, FieldSummary, Posting};
pub use scalar::Scalar;
pub(crate) use serialized::visit_containers;
pub use timestamp::Timestamp;
pub use union::Union;
pub(crate) use union::{BLOCK_WORDS, add_container};
