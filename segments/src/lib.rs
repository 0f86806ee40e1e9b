//! The immutable segment file: how it is written, checked and read.
//!
//! This is the only crate that touches the file system (through [`Vfs`]; fjall's own folder
//! aside). `FORMAT.md` beside this crate's sources describes every byte.

mod choice;
mod durable;
mod error;
mod format;
mod id;
mod lock;
mod machine;
mod merge;
mod metadata;
mod origin;
mod reader;
mod vfs;
mod writer;

pub use choice::{IndexChoice, IndexKind, IndexOption, MeasuredCosts, StepCosts};
pub use durable::{create_folder, write_file};
pub use error::SegmentError;
pub use id::{InvalidId, RecordId};
pub use lock::{FolderLock, LockError};
pub use machine::memory_bytes;
pub use merge::MergeSource;
pub use metadata::{FILTER_WORDS, FieldPath, Metadata, index_metadata, scalar, visit_scalars};
pub use origin::{GraphOrigin, RebuildCause};
pub use reader::{
    BlockRows, CoarseRows, CodeRows, IndexAbout, LinkRows, NamespaceRows, Pages, ScrubStep,
    Segment, SegmentClusters, SegmentGraph, SegmentSketches, SketchRows, VectorRows, VerifyReport,
};
pub use vfs::{MemVfs, OsVfs, Region, Vfs, VfsFile};
pub use writer::{
    LentChoice, LentGraph, Progress, RowSource, Stage, WriteOptions, Written, write_segment,
};
