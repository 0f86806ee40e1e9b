//! VecStore: an embedded vector database.
//!
//! A database is one folder. It holds collections of records (id, vector, metadata), finds the
//! records nearest to a vector, also under a filter, and keeps what it has acknowledged.
//!
//! ```
//! use serde_json::json;
//! use vecstore::{Collection, Database, Metric, Record};
//!
//! # fn main() -> vecstore::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let db = Database::open(dir.path())?;
//! let docs = db.create_collection("docs", Collection::options(3, Metric::Cosine))?;
//! docs.upsert(Record::new("a1", [0.1, 0.9, 0.2]).metadata(json!({"pos": "n", "year": 2021})))?;
//! docs.upsert(Record::new("a2", [0.2, 0.8, 0.1]).metadata(json!({"pos": "v", "year": 2024})))?;
//!
//! for hit in docs.query(&[0.1, 0.9, 0.1]).k(5).filter("pos = 'n' AND year < 2023").run()? {
//!     println!("{} {:.3} {:?}", hit.id, hit.score, hit.metadata);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Start with [`Database`], [`Collection`] and [`Query`]. The filter language is described at
//! [`Collection::query`]'s [`filter`](Query::filter).

mod background;
mod catalogue;
mod collection;
mod commit;
mod costs;
mod database;
mod error;
mod facet;
mod flush;
mod group;
mod install;
mod kv;
mod log;
mod memory;
mod memtable;
mod optimize;
mod options;
mod probe;
mod query;
mod query_batch;
mod quota;
mod record;
mod recovery;
mod repair;
mod schema;
mod scroll;
mod scrub;
mod selection;
mod settle;
#[doc(hidden)]
pub mod simulation;
mod snapshot;
mod state;
mod stats;
mod store;
mod update;
mod version;
mod views;
mod workers;

pub use collection::Collection;
pub use commit::CommitTimes;
pub use database::Database;
pub use error::{Error, ErrorKind, Result};
pub use facet::{Facet, FacetCount, FacetCounts};
pub use group::{Group, GroupedQuery, GroupedResult};
pub use memory::Memory;
pub use optimize::OptimizeReport;
pub use options::{CollectionOptions, Durability, IndexOption, Options, limits};
pub use query::{Query, QueryResult};
pub use quota::Quota;
pub use record::{Hit, Include, Record, StoredRecord};
pub use repair::RepairReport;
pub use scroll::{Cursor, Page, Scroll};
pub use scrub::ScrubStats;
pub use selection::Selection;
pub use snapshot::{ArchiveInfo, SnapshotInfo};
pub use stats::{CollectionStats, FieldStats, NamespaceInfo, SegmentStats, Stats, VerifyReport};
pub use vecstore_index::{Codes, Metric, Precision, UnknownCodes, UnknownMetric, UnknownPrecision};
pub use vecstore_query::{AlternativeRun, ComparedSegment, ExecutedPlan, Filter, Params};
pub use vecstore_segments::{InvalidId, Metadata, Progress, RecordId, Stage};
