//! Settings of a database and of a collection, with their defaults and limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vecstore_index::{Codes, FieldIndexBuilder, GraphOptions, Metric, Precision};
use vecstore_query::{Costs, Filter};
use vecstore_segments::{IndexKind, IndexOption as Segments, StepCosts, WriteOptions};

use crate::schema::Schema;
use crate::{Error, Result};

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on disk: survives a power cut. Concurrent writers share one sync.
    #[default]
    Sync,
    /// When the operating system has it: survives the end of the process. A background thread
    /// syncs at this interval, so a power cut loses at most that much.
    Periodic(Duration),
    /// When the operating system has it; synced when a segment is sealed and at close.
    None,
}

/// Settings of an open database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// When a write counts as done. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// Threads that build segments. Default: all cores.
    pub threads: usize,
    /// Bytes of records in memory at which a collection's memtable is sealed into a segment.
    /// Default 32 MiB.
    pub memtable_bytes_max: usize,
    /// Whether segments are merged in the background when there is something to gain. Default: true.
    /// Writes that add records are then slowed down while the database takes more of the disk than some
    /// 1.9 times what its live records need (1.5 times and 192 MiB if that is more), until merges have
    /// given space back: the more, the longer; removals are not.
    pub background_merge: bool,
    /// How long a write waits when more records are in memory than segments can be built for,
    /// before it fails with [`Busy`](crate::ErrorKind::Busy). Default 60 s.
    pub busy_timeout: Duration,
    /// Bytes of the volume that records leave free: below this a write that adds some fails with
    /// [`DiskFull`](crate::ErrorKind::DiskFull). They are for the log, and for segments of what
    /// was accepted; removals, flush and `optimize` go on, so that space can be made, but a merge
    /// leaves half of them free. Default 256 MiB. Not heeded in memory, nor where the system does not
    /// tell what is free.
    pub disk_reserve_bytes: u64,
    /// Bytes a second at which segments are read again in the background and compared with their
    /// checksums, once a day at most; 0: never. Default 4 MiB: a hundredth to a tenth of what disks
    /// read, and 100 GB are through in seven hours. They are read past the system's cache where the
    /// volume can, so that nothing is pushed out of it. Not heeded in memory.
    pub scrub_bytes_per_s: u64,
    /// Bytes of memory that may be held for records that are in no segment yet: their memtables, the log's
    /// buffers, and what it takes to make segments of them. At half of it the largest memtable becomes a
    /// segment early; from three quarters on writes that add records are slowed down, at last to half the
    /// speed at which segments are built; at the limit they wait for room, and fail with
    /// [`Busy`](crate::ErrorKind::Busy) after `busy_timeout`. A batch that would take more than a quarter is
    /// refused. Reading, removing, flush and `optimize` go on. Default `None`: no limit; allowed
    /// 64 MiB or more. What merging segments takes is not in it, nor what is read of them.
    pub memory_limit: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memtable_bytes_max: 32 << 20,
            background_merge: true,
            busy_timeout: Duration::from_secs(60),
            disk_reserve_bytes: 256 << 20,
            scrub_bytes_per_s: 4 << 20,
            memory_limit: None,
        }
    }
}

/// The log alone can take half of it.
const MEMORY_LIMIT_MIN: u64 = 64 << 20;

impl Options {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.threads == 0 {
            return Err(Error::invalid("threads: 0 is not allowed, use 1 or more").about("threads"));
        }
        if self.durability == Durability::Periodic(Duration::ZERO) {
            let message = "durability: an interval of 0 is not allowed, use Sync";
            return Err(Error::invalid(message).about("durability"));
        }
        if self.memtable_bytes_max < 1 << 16 {
            return Err(Error::invalid(format!(
                "memtable_bytes_max: {} is too small, use 65536 (64 KiB) or more",
                self.memtable_bytes_max
            ))
            .about("memtable_bytes_max"));
        }
        if let Some(bytes) = self.memory_limit.filter(|bytes| *bytes < MEMORY_LIMIT_MIN) {
            return Err(Error::invalid(format!(
                "memory_limit: {bytes} is too small, use {MEMORY_LIMIT_MIN} (64 MiB) or more"
            ))
            .about("memory_limit"));
        }
        Ok(())
    }
}

/// What finds the nearest records of a segment without looking at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexOption {
    /// The one of both that costs less for a segment's records: a segment that is written has both
    /// built and measured, and keeps one; a merge keeps the kind that its inputs were measured to
    /// need. `stats` says which and why.
    #[default]
    Auto,
    /// The HNSW graph: best where neighbours lie close together.
    Graph,
    /// Leaves of 4-bit codes: built in a fraction of the time, and best where neighbours are spread
    /// thin and a graph needs many candidates.
    Clusters,
}

impl IndexOption {
    /// Every option, in the order in which they are documented.
    pub const ALL: [IndexOption; 3] =
        [IndexOption::Auto, IndexOption::Graph, IndexOption::Clusters];

    /// The name used in every face and in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IndexOption::Auto => "auto",
            IndexOption::Graph => "graph",
            IndexOption::Clusters => "clusters",
        }
    }
}

impl std::fmt::Display for IndexOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for IndexOption {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|option| option.name() == name);
        let unknown = || {
            Error::invalid(format!("index: `{name}` is unknown, use auto, graph or clusters"))
                .about("index")
        };
        named.ok_or_else(unknown)
    }
}

/// Settings of a collection, fixed when it is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionOptions {
    dim: usize,
    metric: String,
    m: usize,
    ef_construction: usize,
    #[serde(default)]
    schema: Schema,
    #[serde(default)]
    index: IndexOption,
    #[serde(default, with = "name")]
    precision: Precision,
    #[serde(default, with = "name")]
    codes: Codes,
}

/// What the catalogue has the name of.
mod name {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        of: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(of)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl CollectionOptions {
    /// Most components a vector can have.
    pub const DIM_MAX: usize = 16_384;

    /// A collection of vectors with `dim` components, compared by `metric`.
    #[must_use]
    pub fn new(dim: usize, metric: Metric) -> Self {
        let graph = GraphOptions::default();
        CollectionOptions {
            dim,
            metric: metric.name().to_owned(),
            m: graph.m,
            ef_construction: graph.ef_construction,
            schema: Schema::default(),
            index: IndexOption::default(),
            precision: Precision::default(),
            codes: Codes::default(),
        }
    }

    /// Graph links a row: `2 m` on the base layer. Default 16, allowed 4 to 128.
    #[must_use]
    pub fn m(mut self, m: usize) -> Self {
        self.m = m;
        self
    }

    /// Candidates kept while a row is linked into the graph. Default 128, allowed 16 to 2,048.
    #[must_use]
    pub fn ef_construction(mut self, ef_construction: usize) -> Self {
        self.ef_construction = ef_construction;
        self
    }

    /// Leaves a metadata field (names joined by dots) and all beneath it out of the field indices: for
    /// what is large and seldom asked for. A filter on it reads the metadata of the records that have
    /// the field.
    #[must_use]
    pub fn unindexed(mut self, field: impl Into<String>) -> Self {
        self.schema.unindexed.insert(field.into());
        self
    }

    /// Says that a metadata field (names joined by dots) holds dates of RFC 3339, as text: a filter
    /// needs no `DATE` before the strings it compares the field with, and each has to be a date. Of a
    /// record it is not demanded; what is no date is not found by such a comparison.
    #[must_use]
    pub fn date(mut self, field: impl Into<String>) -> Self {
        self.schema.dates.insert(field.into());
        self
    }

    /// Fields that each segment indexes; a filter on any later one reads the records that have one of
    /// those. Default 1,000, allowed 1 to 65,536.
    #[must_use]
    pub fn fields_max(mut self, fields: usize) -> Self {
        self.schema.fields_max = fields;
        self
    }

    /// Distinct strings of a field that each segment indexes; with more of them a filter on the
    /// field's strings reads the records that have one. Default 65,536, allowed 0 to 1,048,576.
    #[must_use]
    pub fn strings_max(mut self, strings: usize) -> Self {
        self.schema.strings_max = strings;
        self
    }

    /// Bytes of the longest string that is indexed; a filter that could be satisfied by a longer one
    /// reads the records that have one. Default 128, allowed 1 to 4,000.
    #[must_use]
    pub fn string_bytes_max(mut self, bytes: usize) -> Self {
        self.schema.string_bytes_max = bytes;
        self
    }

    /// Fields that are not indexed, ascending.
    pub fn unindexed_fields(&self) -> impl Iterator<Item = &str> {
        self.schema.unindexed.iter().map(String::as_str)
    }

    /// Fields that hold dates, ascending.
    pub fn date_fields(&self) -> impl Iterator<Item = &str> {
        self.schema.dates.iter().map(String::as_str)
    }

    /// What finds the nearest records of a segment. Default: [`IndexOption::Auto`].
    #[must_use]
    pub fn index(mut self, index: IndexOption) -> Self {
        self.index = index;
        self
    }

    /// The precision that vectors are stored in. Default: [`Precision::F32`]. With [`Precision::F16`] they
    /// take half the space, on disk and where distances are compared on them; records are rounded as they
    /// are written, and one with a component beyond ±65,504 is refused. Queries are not rounded.
    ///
    /// ```
    /// use vecstore::{Collection, Database, Metric, Precision, Record};
    ///
    /// # fn main() -> vecstore::Result<()> {
    /// let db = Database::in_memory()?;
    /// let options = Collection::options(2, Metric::Dot).precision(Precision::F16);
    /// let docs = db.create_collection("docs", options)?;
    /// docs.upsert(Record::new(1, [0.1, 2.0]))?;
    /// let stored = docs.get(1)?.expect("it was written");
    /// assert_eq!(stored.vector, [0.099975586, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Which codes segments keep beside full vectors. Default: [`Codes::Int8`], by which queries are several
    /// times as fast; answers are compared again on full vectors. With [`Codes::None`] a segment takes less
    /// space, graphs are walked on full vectors and scans read all of those; there are no
    /// [clusters](IndexOption::Clusters), which consist of codes, so `auto` is a graph. Rows in memory and
    /// graphs in the making have codes all the same.
    ///
    /// ```
    /// use vecstore::{Codes, Collection, Database, Metric, Record};
    ///
    /// # fn main() -> vecstore::Result<()> {
    /// let db = Database::in_memory()?;
    /// let options = Collection::options(2, Metric::Dot).codes(Codes::None);
    /// let docs = db.create_collection("docs", options)?;
    /// docs.upsert(Record::new(1, [0.1, 2.0]))?;
    /// assert_eq!(docs.query(&[1.0, 0.0]).run()?.hits.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    /// Components of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric.parse().unwrap_or(Metric::Cosine)
    }

    /// What finds the nearest records of a segment.
    #[must_use]
    pub fn index_option(&self) -> IndexOption {
        self.index
    }

    /// The precision that vectors are stored in; see [`precision`](Self::precision).
    #[must_use]
    pub fn vector_precision(&self) -> Precision {
        self.precision
    }

    /// Which codes segments keep; see [`codes`](Self::codes).
    #[must_use]
    pub fn kept_codes(&self) -> Codes {
        self.codes
    }

    /// Graph links a row; see [`m`](Self::m).
    #[must_use]
    pub fn graph_m(&self) -> usize {
        self.m
    }

    /// Candidates kept while a row is linked; see [`ef_construction`](Self::ef_construction).
    #[must_use]
    pub fn graph_ef_construction(&self) -> usize {
        self.ef_construction
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let range = |name: &'static str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid(format!("{name}: {value} is not within {low} to {high}"))
                    .about(name))
            }
        };
        range("dim", self.dim, 1, Self::DIM_MAX)?;
        range("m", self.m, 4, 128)?;
        range("ef_construction", self.ef_construction, 16, 2_048)?;
        if (self.codes, self.index) == (Codes::None, IndexOption::Clusters) {
            let problem =
                "codes: `none` leaves nothing to make clusters of, use index auto or graph";
            return Err(Error::invalid(problem).about("codes"));
        }
        self.schema.validate()?;
        self.metric
            .parse::<Metric>()
            .map(drop)
            .map_err(|e| Error::invalid(e.to_string()).about("metric"))
    }

    pub(crate) fn graph_options(&self) -> GraphOptions {
        GraphOptions { m: self.m, ef_construction: self.ef_construction, ..GraphOptions::default() }
    }

    /// `costs` are those of this machine.
    pub(crate) fn write_options(&self, costs: impl FnOnce() -> Costs) -> WriteOptions {
        WriteOptions {
            dim: self.dim,
            metric: self.metric(),
            precision: self.precision,
            codes: self.codes,
            graph: self.graph_options(),
            index: match self.index {
                IndexOption::Graph => Segments::Always(IndexKind::Graph),
                IndexOption::Clusters => Segments::Always(IndexKind::Clusters),
                IndexOption::Auto => Segments::Cheaper(step_costs(&costs().scaled(self.dim))),
            },
            index_rows_min: INDEX_ROWS_MIN,
            sketch_rows_min: if self.dim < SKETCH_DIM_MIN { u32::MAX } else { SKETCH_ROWS_MIN },
            fields: self.schema.limits(),
            unindexed: self.schema.unindexed_keys().collect(),
            keep_free: 0,
        }
    }

    /// What a segment in the making takes in memory, by row: codes, links of a graph that is made of one
    /// that is there, its coarse codes, and clusters beside it.
    pub(crate) fn flush_row_bytes(&self) -> usize {
        const PLACES: usize = 32;
        self.dim.next_multiple_of(64) + 16 * self.m + 2 * (self.dim / 2) + PLACES
    }

    /// An empty field index of such a collection's records.
    pub(crate) fn field_index(&self) -> FieldIndexBuilder {
        self.schema.field_index()
    }

    /// The filter as this collection means it.
    pub(crate) fn typed(&self, filter: Filter) -> Result<Filter> {
        self.schema.typed(filter)
    }
}

/// The steps that an index is chosen by.
fn step_costs(costs: &Costs) -> StepCosts {
    StepCosts {
        graph_step_ns: costs.sealed_graph_step_ns(),
        leaf_ns: costs.leaf_ns,
        cluster_row_ns: costs.cluster_row_ns,
        scan_row_ns: costs.code_in_order_ns,
        exact_ns: costs.exact_random_ns,
    }
}

/// Below this many rows a scan of the codes is as fast as an index.
const INDEX_ROWS_MIN: u32 = 2_000;

/// Below this many components a sketch saves too little of what a code takes.
const SKETCH_DIM_MIN: usize = 96;
/// Below this many rows a scan of the codes is as fast as one of sketches.
const SKETCH_ROWS_MIN: u32 = 1_000;

/// Limits that hold for every record and request; exceeding one is an
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
pub mod limits {
    /// Bytes of a record's metadata as JSON.
    pub const METADATA_BYTES_MAX: usize = 1 << 20;
    /// Nested objects and arrays in metadata.
    pub const METADATA_DEPTH_MAX: usize = 32;
    /// Bytes of a collection, namespace or snapshot name.
    pub const NAME_BYTES_MAX: usize = 128;
    /// Records of one `batch_upsert`, and ids of one `remove`.
    pub const BATCH_RECORDS_MAX: usize = 16_384;
    /// Bytes of the vectors and metadata of one `batch_upsert`.
    pub const BATCH_BYTES_MAX: usize = 64 << 20;
    /// Records returned by one query.
    pub const K_MAX: usize = 16_384;
    /// Candidates kept while searching a graph.
    pub const EF_MAX: usize = 65_536;
    /// Records returned by one page of a scroll.
    pub const PAGE_RECORDS_MAX: usize = 16_384;
}
