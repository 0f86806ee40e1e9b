//! What is asked and answered, as JSON has it; the other protocols translate from and to these.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use vecstore::RecordId;

use crate::ids::{self, JsonId};
use crate::records::ShownRecord;

/// An id: a JSON integer, or a string; one in the form of a UUID is a UUID.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Id(pub(crate) RecordId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonId(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an id: an integer from 0, or a string of 1 to 512 bytes")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id(RecordId::U64(number)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                let id = ids::from_json_string(text);
                id.validate().map_err(E::custom)?;
                Ok(Id(id))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An integer, a UUID or another string.",
            "oneOf": [
                {"type": "integer", "minimum": 0, "maximum": u64::MAX},
                {"type": "string", "minLength": 1, "maxLength": RecordId::STR_BYTES_MAX}
            ]
        })
    }
}

/// Values for the `$name`s of a filter.
pub(crate) type Params = Map<String, Value>;

/// A collection to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCollection {
    /// Components of a vector.
    #[serde(alias = "dimension", alias = "size")]
    pub(crate) dim: usize,
    /// `cosine`, `dot` or `euclidean`.
    #[serde(default = "cosine", alias = "distance")]
    pub(crate) metric: String,
    /// Graph links a record; more make a better and larger graph.
    pub(crate) m: Option<usize>,
    /// Candidates kept while a record is linked.
    pub(crate) ef_construction: Option<usize>,
    /// What finds the nearest records: `auto`, `graph` or `clusters`.
    pub(crate) index: Option<String>,
    /// What vectors are stored in: `f32`, or `f16` for half the space.
    pub(crate) precision: Option<String>,
    /// Which codes segments keep, for searches to read in the place of vectors: `int8` (by default), or `none`
    /// for less space and slower queries.
    pub(crate) codes: Option<String>,
    /// Metadata fields that are not indexed, with all beneath them.
    #[serde(default)]
    pub(crate) unindexed: Vec<String>,
    /// Metadata fields whose strings are dates.
    #[serde(default)]
    pub(crate) dates: Vec<String>,
    /// Fields that a segment indexes.
    pub(crate) fields_max: Option<usize>,
    /// Distinct strings of a field that a segment indexes.
    pub(crate) strings_max: Option<usize>,
    /// Bytes of the longest string that is indexed.
    pub(crate) string_bytes_max: Option<usize>,
    /// No error if there is one with the same settings.
    #[serde(default)]
    pub(crate) if_not_exists: bool,
}

pub(crate) fn cosine() -> String {
    "cosine".to_owned()
}

/// A collection.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CollectionInfo {
    pub(crate) name: String,
    /// Components of a vector.
    pub(crate) dim: usize,
    pub(crate) metric: String,
    pub(crate) m: usize,
    pub(crate) ef_construction: usize,
    /// What finds the nearest records: `auto`, `graph` or `clusters`.
    pub(crate) index: String,
    /// What vectors are stored in: `f32` or `f16`.
    pub(crate) precision: String,
    /// Which codes segments keep: `int8` or `none`.
    pub(crate) codes: String,
    /// Metadata fields that are not indexed, with all beneath them.
    pub(crate) unindexed: Vec<String>,
    /// Metadata fields whose strings are dates.
    pub(crate) dates: Vec<String>,
    /// Records in all namespaces.
    pub(crate) records: u64,
}

/// The answer to a creation.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CreatedCollection {
    /// False if it was there already.
    pub(crate) created: bool,
    pub(crate) collection: CollectionInfo,
}

/// All collections, ascending by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Collections {
    pub(crate) collections: Vec<CollectionInfo>,
}

/// A namespace that has records.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NamespaceInfo {
    pub(crate) name: String,
    pub(crate) records: u64,
    /// Its share of segment files and memory.
    pub(crate) bytes: u64,
}

/// What a collection or a namespace may hold and ask for; what is absent or null is not bounded.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quota {
    /// Records.
    pub(crate) records: Option<u64>,
    /// Bytes of segment files and of records in memory.
    pub(crate) bytes: Option<u64>,
    /// Records of one upsert.
    pub(crate) batch_records: Option<usize>,
    /// Records that one query returns.
    pub(crate) results: Option<usize>,
}

/// A quota to be set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetQuota {
    /// The namespace that it binds; without it, all of them together.
    pub(crate) namespace: Option<String>,
    /// Takes the place of the one there is.
    pub(crate) quota: Quota,
}

/// Namespaces that have records, ascending by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Namespaces {
    pub(crate) namespaces: Vec<NamespaceInfo>,
}

/// A record to be stored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) id: Id,
    /// As many components as the collection's dimension.
    pub(crate) vector: Vec<f32>,
    /// A JSON object; integers are exact within 64 bits.
    #[serde(default, alias = "payload")]
    pub(crate) metadata: Map<String, Value>,
}

/// Records to be stored, all or none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upsert {
    pub(crate) records: Vec<Record>,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// Stored, and on disk.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Upserted {
    /// The number of the newest commit.
    pub(crate) seq: u64,
    /// Records stored.
    pub(crate) records: u64,
}

/// Records wanted by id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Get {
    pub(crate) ids: Vec<Id>,
    #[serde(default)]
    pub(crate) namespace: String,
    /// `metadata`, `metadata.FIELD`, `vector`; without it, metadata.
    pub(crate) include: Option<Vec<String>>,
}

/// The records in the order of their ids; null where there is none.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Got {
    pub(crate) records: Vec<Option<ShownRecord>>,
}

/// Records to be removed: either by id or by filter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remove {
    pub(crate) ids: Option<Vec<Id>>,
    #[serde(alias = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) params: Params,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// How many there were.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Removed {
    pub(crate) removed: u64,
}

/// Metadata to be changed: of records by id, or by filter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    /// A JSON merge patch (RFC 7396): null removes a field, an object is merged into the object
    /// that is there, anything else replaces what is there.
    pub(crate) patch: Map<String, Value>,
    pub(crate) ids: Option<Vec<Id>>,
    #[serde(alias = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) params: Params,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// How many there were.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Updated {
    pub(crate) updated: u64,
}

/// A page of records: ascending by id (integers, then UUIDs, then strings), or ordered by a field.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scroll {
    #[serde(alias = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) params: Params,
    /// Records a page; default 100.
    pub(crate) limit: Option<usize>,
    /// Order by this metadata field, equal values by id; records without it come last.
    pub(crate) order_by: Option<String>,
    /// Largest value first; needs `order_by`.
    #[serde(default)]
    pub(crate) descending: bool,
    /// Only records after this one, in the order of ids.
    pub(crate) after: Option<Id>,
    /// Go on where a page ended: its `cursor`, with the same order.
    pub(crate) resume: Option<String>,
    /// `metadata`, `metadata.FIELD`, `vector`; without it, metadata.
    pub(crate) include: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// A page.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page {
    pub(crate) records: Vec<ShownRecord>,
    /// The last id; hand it to `after`, in the order of ids. Null on the last page.
    pub(crate) next: Option<Id>,
    /// Hand it to `resume`, in any order; null on the last page.
    pub(crate) cursor: Option<String>,
}

/// Records to be counted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    #[serde(alias = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) params: Params,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// How many there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Counted {
    pub(crate) count: u64,
}

/// Values of a field to be counted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facet {
    /// `pos`, or `items.price` for one inside objects.
    pub(crate) field: String,
    #[serde(alias = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) params: Params,
    /// Values shown; default 10.
    pub(crate) limit: Option<usize>,
    #[serde(default)]
    pub(crate) namespace: String,
}

/// Values, most frequent first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FacetCounts {
    pub(crate) values: Vec<FacetCount>,
    /// Different values, also of those that are not shown.
    pub(crate) distinct: u64,
}

/// A value and how many records have it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FacetCount {
    pub(crate) value: Value,
    pub(crate) count: u64,
}

/// Everything about a search but its vector.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchOptions {
    pub(crate) k: Option<usize>,
    pub(crate) filter: Option<String>,
    pub(crate) params: Params,
    pub(crate) ef: Option<usize>,
    pub(crate) recall: Option<f32>,
    pub(crate) exact: Option<bool>,
    pub(crate) score_threshold: Option<f32>,
    pub(crate) include: Option<Vec<String>>,
    pub(crate) namespace: String,
}

/// A request with the fields of [`SearchOptions`] among its own: `flatten` would not refuse
/// unknown fields.
macro_rules! search_request {
    (
        $(#[doc = $doc:literal])*
        struct $name:ident { $( $(#[$meta:meta])* $field:ident: $type:ty, )* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[$meta])* pub(crate) $field: $type, )*
            /// Records wanted; default 10.
            #[serde(alias = "limit", alias = "top_k", alias = "n_results")]
            pub(crate) k: Option<usize>,
            /// Only records whose metadata satisfies this: `pos = 'n' AND gloss_len < $max`.
            #[serde(alias = "where")]
            pub(crate) filter: Option<String>,
            /// Values of the `$name`s of the filter.
            #[serde(default)]
            pub(crate) params: Params,
            /// Candidates kept while searching a graph; at most one of `ef`, `recall`, `exact`.
            #[serde(alias = "ef_search", alias = "hnsw_ef")]
            pub(crate) ef: Option<usize>,
            /// The recall wanted, above 0 and at most 1.
            pub(crate) recall: Option<f32>,
            /// Compare every record.
            pub(crate) exact: Option<bool>,
            /// Only records with at least this score.
            pub(crate) score_threshold: Option<f32>,
            /// `metadata`, `metadata.FIELD`, `vector`; without it, metadata.
            pub(crate) include: Option<Vec<String>>,
            #[serde(default)]
            pub(crate) namespace: String,
        }

        impl $name {
            /// Takes the options out.
            pub(crate) fn options(&mut self) -> SearchOptions {
                SearchOptions {
                    k: self.k,
                    filter: self.filter.take(),
                    params: std::mem::take(&mut self.params),
                    ef: self.ef,
                    recall: self.recall,
                    exact: self.exact,
                    score_threshold: self.score_threshold,
                    include: self.include.take(),
                    namespace: std::mem::take(&mut self.namespace),
                }
            }
        }
    };
}

search_request! {
    /// The records nearest to a vector; give `vector` or `like`.
    struct Query {
        vector: Option<Vec<f32>>,
        /// The vector of this record, which is itself left out of the hits.
        like: Option<Id>,
        /// Whether the answer has the plan that ran.
        #[serde(default)]
        explain: bool,
    }
}

search_request! {
    /// The same question for many vectors, as of one moment, on all cores.
    struct QueryBatch {
        vectors: Vec<Vec<f32>>,
    }
}

search_request! {
    /// The records nearest to a vector, by the values of a field; give `vector` or `like`. `k` is
    /// the number of groups.
    struct QueryGroups {
        vector: Option<Vec<f32>>,
        /// The vector of this record, which is itself left out of the hits.
        like: Option<Id>,
        /// The metadata field whose values make the groups.
        group_by: String,
        /// Records of each group; default 1.
        group_size: Option<usize>,
    }
}

/// The nearest records, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryAnswer {
    pub(crate) hits: Vec<ShownRecord>,
    /// False if records may be missing because their bytes are damaged.
    pub(crate) complete: bool,
    /// The plan that ran, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Value>,
    /// The plan for people.
    #[serde(skip)]
    pub(crate) plan_text: Option<String>,
}

/// One answer for each vector.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryAnswers {
    pub(crate) results: Vec<QueryAnswer>,
}

/// Long work.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TaskInfo {
    pub(crate) id: u64,
    /// `optimize` or `verify`.
    pub(crate) kind: &'static str,
    /// The collection it is about; null for all.
    pub(crate) collection: Option<String>,
    pub(crate) state: TaskState,
    /// What it is doing.
    pub(crate) stage: Option<&'static str>,
    /// How far that is.
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) started_unix_ms: u64,
    /// How long it has been running, or ran.
    pub(crate) seconds: f64,
    /// What it did.
    pub(crate) report: Option<Value>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskState {
    Running,
    Done,
    Failed,
    Cancelled,
}

impl TaskState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            TaskState::Running => "running",
            TaskState::Done => "done",
            TaskState::Failed => "failed",
            TaskState::Cancelled => "cancelled",
        }
    }
}

/// Running and recent tasks, ascending by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Tasks {
    pub(crate) tasks: Vec<TaskInfo>,
}

/// A snapshot.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) created_unix_ms: u64,
    /// The newest commit in it.
    pub(crate) seq: u64,
    pub(crate) collections: usize,
    pub(crate) records: u64,
    pub(crate) segments: usize,
    /// Bytes of its segments; shared with the database as long as that has them too.
    pub(crate) bytes: u64,
}

/// All snapshots, ascending by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Snapshots {
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Nothing more to say.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Nothing {}
