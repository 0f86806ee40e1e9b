//! Reading a sealed segment: open maps the file and checks its head; the rest is checked block by
//! block on first touch.

mod checks;
mod derived;
mod heap;
mod ids;
mod metadata;
mod open;
mod positioned;
mod rows;
mod scrub;
mod segment;
mod verify;

pub use derived::IndexAbout;
pub use open::Pages;
pub(crate) use positioned::{BlockReader, SectionReader};
pub use rows::{BlockRows, CoarseRows, CodeRows, LinkRows, SketchRows, VectorRows};
pub use scrub::ScrubStep;
pub use segment::{NamespaceRows, Segment, SegmentClusters, SegmentGraph, SegmentSketches};
pub use verify::VerifyReport;
pub(crate) use verify::verify_file;
