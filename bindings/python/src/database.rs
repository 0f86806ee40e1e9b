//! `vecstore.open` and `vecstore.Database`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use serde_json::Value;
use vecstore::{
    Codes, CollectionOptions, Durability, ErrorKind, IndexOption, Metric, Options, Precision,
};

use crate::collection::Collection;
use crate::failure::{Failure, Result};
use crate::search::number;
use crate::session::Session;
use crate::value;
use crate::watch::{Apart, Watch};

/// Opens the database in the folder `path`, or creates one there; ":memory:" is one in memory.
///
/// durability: when a write returns: "sync" (default) when it is on disk; a number of seconds when
/// the operating system has it, which is synced at that interval; "none" without that. threads:
/// how many build segments and answer batches of queries, default all cores. memtable_bytes: bytes
/// of records in memory at which a segment is made of them. background_merge: whether segments are
/// merged in the background. busy_timeout: seconds a write waits for segments to be built before
/// it raises BusyError. disk_reserve_bytes: bytes of the volume that records leave free.
/// scrub_bytes_per_s: bytes a second at which segments are read again in the background and compared
/// with their checksums (`stats` tells what was found), 0 never. memory_limit: bytes of memory that
/// may be held for records that are in no segment yet (64 MiB or more): near it writes are slowed
/// down, at it they wait and raise BusyError. None is
/// the engine's default. create: whether a missing database is created or NotFoundError raised.
///
/// Use it as a context manager, or call `close()`. Raises BusyError if it is open already, here
/// or in another process, ConflictError if the folder holds something else.
#[pyfunction]
#[pyo3(signature = (
    path, *, durability = None, threads = None, memtable_bytes = None, background_merge = None,
    busy_timeout = None, disk_reserve_bytes = None, scrub_bytes_per_s = None, memory_limit = None,
    create = true
))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn open(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    durability: Option<&Bound<'_, PyAny>>,
    threads: Option<i64>,
    memtable_bytes: Option<i64>,
    background_merge: Option<bool>,
    busy_timeout: Option<f64>,
    disk_reserve_bytes: Option<u64>,
    scrub_bytes_per_s: Option<u64>,
    memory_limit: Option<u64>,
    create: bool,
) -> Result<Database> {
    let mut options = Options::default();
    if let Some(durability) = durability {
        options.durability = self::durability(durability)?;
    }
    if let Some(threads) = threads {
        options.threads = number("threads", threads)?;
    }
    if let Some(bytes) = memtable_bytes {
        options.memtable_bytes_max = number("memtable_bytes", bytes)?;
    }
    if let Some(merge) = background_merge {
        options.background_merge = merge;
    }
    if let Some(timeout) = busy_timeout {
        options.busy_timeout = seconds("busy_timeout", timeout)?;
    }
    if let Some(bytes) = disk_reserve_bytes {
        options.disk_reserve_bytes = bytes;
    }
    if let Some(bytes) = scrub_bytes_per_s {
        options.scrub_bytes_per_s = bytes;
    }
    options.memory_limit = memory_limit;
    let in_memory = match path.cast::<PyString>() {
        Ok(path) => path.to_str().is_ok_and(|path| path == ":memory:"),
        Err(_) => false,
    };
    if in_memory {
        let database = py.detach(|| vecstore::Database::in_memory_with(options))?;
        return Ok(Database { session: Session::new(database), path: None });
    }
    let path: PathBuf = path.extract()?;
    let database = py.detach(|| match create {
        true => vecstore::Database::open_with(&path, options),
        false => vecstore::Database::open_existing(&path, options),
    })?;
    Ok(Database { session: Session::new(database), path: Some(path) })
}

/// Makes the database in the folder `path`, which does not open because its log is damaged, open
/// again with what lies before the damage. What lies behind it is lost; copy the folder first. A
/// database that is not damaged stays as it is.
///
/// Returns a dict: batches_kept, batches_dropped, bytes_dropped, place (of the damage, None if
/// there was none), seq (of the last commit that is kept). Raises NotFoundError if there is no
/// database, BusyError if it is open, CorruptError if what is left is no database.
#[pyfunction]
pub(crate) fn repair(py: Python<'_>, path: PathBuf) -> Result<Bound<'_, PyAny>> {
    let report = py.detach(|| vecstore::Database::repair(path))?;
    value::report(py, &report)
}

/// Names of fields, from anything but a `str` that can be iterated.
fn field_names(argument: &str, names: Option<&Bound<'_, PyAny>>) -> Result<Vec<String>> {
    let Some(names) = names else { return Ok(Vec::new()) };
    let wrong = |found: &Bound<'_, PyAny>| -> Result<Failure> {
        let found = found.repr()?;
        Ok(Failure::wrong_type(format!("{argument}: {found} is not a list of names of fields")))
    };
    if names.is_instance_of::<PyString>() || !names.hasattr("__iter__")? {
        return Err(wrong(names)?);
    }
    let mut read = Vec::new();
    for name in names.try_iter()? {
        match name?.cast::<PyString>() {
            Ok(name) => read.push(name.to_str()?.to_owned()),
            Err(_) => return Err(wrong(names)?),
        }
    }
    Ok(read)
}

fn durability(durability: &Bound<'_, PyAny>) -> Result<Durability> {
    if let Ok(name) = durability.cast::<PyString>() {
        return match name.to_str()? {
            "sync" => Ok(Durability::Sync),
            "none" => Ok(Durability::None),
            other => Err(Failure::invalid(format!(
                "durability is \"{other}\", expected \"sync\", \"none\" or a number of seconds"
            ))
            .about("durability")),
        };
    }
    // A bool is a number to Python; here it would be a second.
    let interval = match durability.extract::<f64>() {
        Ok(interval) if !durability.is_instance_of::<PyBool>() => interval,
        _ => {
            return Err(Failure::wrong_type(format!(
                "durability is {}, expected \"sync\", \"none\" or a number of seconds",
                durability.get_type().qualname()?
            )));
        }
    };
    let interval = seconds("durability", interval)?;
    if interval.is_zero() {
        let none = "durability is 0 seconds, use \"sync\" or more than 0";
        return Err(Failure::invalid(none).about("durability"));
    }
    Ok(Durability::Periodic(interval))
}

fn seconds(name: &'static str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|e| Failure::invalid(format!("{name} is {seconds} seconds: {e}")).about(name))
}

/// An open database; see `vecstore.open`.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Database {
    session: Arc<Session>,
    path: Option<PathBuf>,
}

impl Database {
    /// Calls the engine without the interpreter lock.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&vecstore::Database) -> vecstore::Result<T> + Send,
    ) -> Result<T> {
        py.detach(|| Ok(work(&self.session.database()?)?))
    }

    fn keep(&self, collection: vecstore::Collection) -> Result<Collection> {
        Ok(Collection::new(self.session.keep(collection)?))
    }
}

#[pymethods]
impl Database {
    /// Creates a collection of vectors with `dim` components.
    ///
    /// metric: "cosine", "dot" or "euclidean". m (4 to 128) and ef_construction (16 to 2048)
    /// shape the graph: more is more accurate, larger and slower to build. index: what finds the
    /// nearest records: "graph", "clusters", or "auto" for the one that is measured to cost less.
    ///
    /// Of the metadata every field is indexed, except the fields that unindexed names ("text", or
    /// "page.text" for one inside an object), with all beneath them: a filter on those reads the
    /// metadata. dates: fields whose strings are dates of RFC 3339; a filter compares them with
    /// strings that are dates too, without the word DATE. Up to fields_max fields, strings_max different
    /// strings a field and string_bytes_max bytes a string are indexed; None is the engine's default.
    ///
    /// precision: what vectors are stored in: "f32", or "f16" for half the space: components are then
    /// rounded to 11 significant bits, and one beyond 65504 is refused.
    ///
    /// codes: which codes segments keep, for searches to read in the place of vectors: "int8", or "none" for
    /// less space and slower queries.
    ///
    /// Raises AlreadyExistsError if there is one of that name. With if_not_exists that one is
    /// returned, or ConflictError raised if its settings are not these.
    #[pyo3(signature = (
        name, dim, metric = "cosine", if_not_exists = false, m = 16, ef_construction = 128, *,
        index = "auto", unindexed = None, dates = None, fields_max = None, strings_max = None,
        string_bytes_max = None, precision = "f32", codes = "int8"
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn create_collection(
        &self,
        py: Python<'_>,
        name: &str,
        dim: i64,
        metric: &str,
        if_not_exists: bool,
        m: i64,
        ef_construction: i64,
        index: &str,
        unindexed: Option<&Bound<'_, PyAny>>,
        dates: Option<&Bound<'_, PyAny>>,
        fields_max: Option<i64>,
        strings_max: Option<i64>,
        string_bytes_max: Option<i64>,
        precision: &str,
        codes: &str,
    ) -> Result<Collection> {
        let metric: Metric = metric.parse().map_err(|e: vecstore::UnknownMetric| {
            Failure::invalid(format!("collection `{name}`: {e}")).about("metric")
        })?;
        let index: IndexOption = index.parse().map_err(|e: vecstore::Error| {
            Failure::invalid(format!("collection `{name}`: {e}")).about("index")
        })?;
        let precision: Precision = precision.parse().map_err(|e: vecstore::UnknownPrecision| {
            Failure::invalid(format!("collection `{name}`: {e}")).about("precision")
        })?;
        let codes: Codes = codes.parse().map_err(|e: vecstore::UnknownCodes| {
            Failure::invalid(format!("collection `{name}`: {e}")).about("codes")
        })?;
        let mut options = vecstore::Collection::options(number("dim", dim)?, metric)
            .m(number("m", m)?)
            .ef_construction(number("ef_construction", ef_construction)?)
            .index(index)
            .precision(precision)
            .codes(codes);
        for field in field_names("unindexed", unindexed)? {
            options = options.unindexed(field);
        }
        for field in field_names("dates", dates)? {
            options = options.date(field);
        }
        if let Some(most) = fields_max {
            options = options.fields_max(number("fields_max", most)?);
        }
        if let Some(most) = strings_max {
            options = options.strings_max(number("strings_max", most)?);
        }
        if let Some(most) = string_bytes_max {
            options = options.string_bytes_max(number("string_bytes_max", most)?);
        }
        let created = self.call(py, |db| match db.create_collection(name, options.clone()) {
            Err(e) if if_not_exists && e.kind() == ErrorKind::AlreadyExists => db.collection(name),
            created => created,
        })?;
        check_same(name, created.settings(), &options)?;
        self.keep(created)
    }

    /// The collection of that name; NotFoundError if there is none.
    fn collection(&self, py: Python<'_>, name: &str) -> Result<Collection> {
        self.keep(self.call(py, |db| db.collection(name))?)
    }

    /// Names of all collections, ascending.
    fn collections(&self, py: Python<'_>) -> Result<Vec<String>> {
        self.call(py, vecstore::Database::collections)
    }

    /// Removes a collection with all its records; NotFoundError if there is none of that name.
    fn drop_collection(&self, py: Python<'_>, name: &str) -> Result<()> {
        self.call(py, |db| db.drop_collection(name))
    }

    /// Keeps the database as it is now under a name, without a copy of the vectors. Returns what
    /// `list_snapshots` says about it; AlreadyExistsError if there is one of that name.
    fn create_snapshot<'py>(&self, py: Python<'py>, name: &str) -> Result<Bound<'py, PyAny>> {
        value::report(py, &self.call(py, |db| db.create_snapshot(name))?)
    }

    /// All snapshots, ascending by name, a dict each: name, created_unix_ms, seq, collections,
    /// records, segments, bytes.
    fn list_snapshots<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value::report(py, &self.call(py, vecstore::Database::list_snapshots)?)
    }

    /// Brings every collection back to what it was when the snapshot was made; what was written
    /// since is gone. The snapshot stays.
    fn restore_snapshot(&self, py: Python<'_>, name: &str) -> Result<()> {
        self.call(py, |db| db.restore_snapshot(name))
    }

    /// Removes a snapshot.
    fn remove_snapshot(&self, py: Python<'_>, name: &str) -> Result<()> {
        self.call(py, |db| db.remove_snapshot(name))
    }

    /// Merges the segments of every collection into one each and returns disk space. Reads and
    /// writes go on meanwhile; Ctrl-C stops it. progress: True for a bar of tqdm, or a function
    /// (stage, done, total). Returns a dict: segments_before, segments_after, rows_dropped,
    /// bytes_before, bytes_after, seconds.
    #[pyo3(signature = (progress = None))]
    fn optimize<'py>(
        &self,
        py: Python<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let mut watch = Watch::new(py, progress)?;
        let done = self.call(py, |db| db.optimize_with(&mut |now| watch.engine(now)));
        value::report(py, &watch.finish(py, done)?)
    }

    /// Turns everything that is in memory into segments. Never needed for durability. Ctrl-C stops
    /// it; what is in no segment then stays in memory. progress is that of `optimize`.
    #[pyo3(signature = (progress = None))]
    fn flush(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let mut watch = Watch::new(py, progress)?;
        let done = self.call(py, |db| db.flush_with(&mut |now| watch.engine(now)));
        watch.finish(py, done)
    }

    /// Numbers about the database as a dict: path, seq, collections (a list with what
    /// `Collection.stats` returns), segment_bytes, log_bytes, log_recovery, snapshots, memory (a
    /// dict with the bytes held in memory by what they are for: memtable_rows, memtable_graphs,
    /// memtable_fields, log, segment_heads, segment_orders, deletions, segment_files, total; and beside
    /// it mapped: segment files, of which the system keeps what is used), scrub (a dict
    /// with what the check in the background has done: bytes_per_s, bytes, cached_bytes, damaged,
    /// passes, last_pass_unix_ms, last_pass_seconds), kernels.
    fn stats<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let mut stats = self.call(py, vecstore::Database::stats)?;
        // Not through JSON, which has no word for a path that is not UTF-8.
        let path = stats.path.take().map(PathBuf::into_os_string);
        let report = value::report(py, &stats)?;
        report.set_item("path", path)?;
        Ok(report)
    }

    /// Makes every write so far survive a power cut; with durability="sync" it already does.
    fn sync(&self, py: Python<'_>) -> Result<()> {
        self.call(py, vecstore::Database::sync)
    }

    /// Reads every byte of every segment and checks it. Returns a dict: segments, bytes, problems
    /// (a list with one str for each damaged place, empty if all is well).
    fn verify<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let database = self.session.database()?;
        value::report(py, &Apart::start(move || database.verify())?.wait(py)??)
    }

    /// Closes the database; its collections raise ClosedError from then on. The folder can be
    /// opened again as soon as calls that run in other threads are over. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> Result<()> {
        py.detach(|| self.session.close())
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> Result<()> {
        // An exception goes on: nothing here can make good for it.
        let _ = (exc_type, exc_value, traceback);
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = match &self.path {
            Some(path) => path.as_os_str().into_pyobject(py)?.repr()?,
            None => PyString::new(py, ":memory:").repr()?,
        };
        let closed = if self.session.is_open() { "" } else { ", closed" };
        Ok(format!("Database({path}{closed})"))
    }
}

/// Fails, naming the first difference, unless a collection has the settings that were asked for.
fn check_same(name: &str, found: &CollectionOptions, asked: &CollectionOptions) -> Result<()> {
    if found == asked {
        return Ok(());
    }
    let fields = |options| match serde_json::to_value(options) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (found, asked) = (fields(found), fields(asked));
    let differences: Vec<String> = found
        .iter()
        .filter_map(|(field, found)| {
            let asked = asked.get(field).filter(|asked| *asked != found)?;
            Some(format!("{field} {found}, not {asked}"))
        })
        .collect();
    Err(Failure::new(
        ErrorKind::Conflict,
        format!("collection `{name}` exists already, with {}", differences.join(", ")),
    ))
}
