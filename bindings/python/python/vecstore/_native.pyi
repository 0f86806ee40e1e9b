"""What `vecstore` is made of."""

import os
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import (
    Any,
    ClassVar,
    Final,
    Literal,
    Protocol,
    Self,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    final,
    overload,
)

from ._filter import Filter

__all__ = [
    "AlreadyExistsError",
    "BatchHits",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "Collection",
    "Comparison",
    "ConflictError",
    "CorruptError",
    "Database",
    "DiskFullError",
    "Error",
    "Group",
    "Groups",
    "Hit",
    "Hits",
    "IncompleteWarning",
    "InvalidArgumentError",
    "IoError",
    "NotFoundError",
    "Plan",
    "QuotaExceededError",
    "Record",
    "Scroll",
    "UnsupportedError",
    "__version__",
    "limits",
    "open",
    "repair",
]

__version__: str

_Id: TypeAlias = int | str | uuid.UUID
"""0 to 2**64 - 1, 1 to 512 bytes of UTF-8, or a UUID."""

class _Numbers(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> Any: ...

_Vector: TypeAlias = Sequence[SupportsFloat | SupportsIndex] | _Numbers
"""dim numbers: a sequence, or an array of float16, float32 or float64 with shape (dim,)."""

_Vectors: TypeAlias = Sequence[_Vector] | _Numbers
"""An array of float16, float32 or float64 with shape (n, dim), or a sequence of n vectors."""

_Scalar: TypeAlias = bool | int | float | str | None
_Value: TypeAlias = _Scalar | Sequence["_Value"] | Mapping[str, "_Value"]
_Metadata: TypeAlias = dict[str, Any]
_Metric: TypeAlias = Literal["cosine", "dot", "euclidean"]
_Index: TypeAlias = Literal["auto", "graph", "clusters"]
_Precision: TypeAlias = Literal["f32", "f16"]
_Codes: TypeAlias = Literal["int8", "none"]
_Include: TypeAlias = Iterable[str]
_Filter: TypeAlias = str | Filter
_Params: TypeAlias = Mapping[str, _Value]
_Progress: TypeAlias = bool | Callable[[str, int, int], object]

class _ArrowTable(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object: ...

class _Frame(Protocol):
    columns: Any
    def to_dict(self, orient: Literal["records"]) -> list[Any]: ...

_Table: TypeAlias = (
    Iterable[Mapping[str, _Value] | None] | Mapping[str, Iterable[Any]] | _ArrowTable | _Frame
)

def open(
    path: str | os.PathLike[str],
    *,
    durability: Literal["sync", "none"] | float | None = None,
    threads: int | None = None,
    memtable_bytes: int | None = None,
    background_merge: bool | None = None,
    busy_timeout: float | None = None,
    disk_reserve_bytes: int | None = None,
    scrub_bytes_per_s: int | None = None,
    memory_limit: int | None = None,
    create: bool = True,
) -> Database:
    """Opens the database in the folder `path`, or creates one there; ":memory:" is one in memory.

    durability: when a write returns: "sync" (default) when it is on disk; a number of seconds when
    the operating system has it, which is synced at that interval; "none" without that. threads:
    how many build segments and answer batches of queries, default all cores. memtable_bytes: bytes
    of records in memory at which a segment is made of them. background_merge: whether segments are
    merged in the background. busy_timeout: seconds a write waits for segments to be built before
    it raises BusyError. disk_reserve_bytes: bytes of the volume that records leave free.
    scrub_bytes_per_s: bytes a second at which segments are read again in the background and compared
    with their checksums (`stats` tells what was found), 0 never. memory_limit: bytes of memory that
    may be held for records that are in no segment yet (64 MiB or more): near it writes are slowed
    down, at it they wait and raise BusyError. None is
    the engine's default. create: whether a missing database is created or NotFoundError raised.

    Use it as a context manager, or call `close()`. Raises BusyError if it is open already, here
    or in another process, ConflictError if the folder holds something else.
    """

def repair(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Makes the database in the folder `path`, which does not open because its log is damaged, open
    again with what lies before the damage. What lies behind it is lost; copy the folder first. A
    database that is not damaged stays as it is.

    Returns a dict: batches_kept, batches_dropped, bytes_dropped, place (of the damage, None if
    there was none), seq (of the last commit that is kept). Raises NotFoundError if there is no
    database, BusyError if it is open, CorruptError if what is left is no database.
    """

@final
class Database:
    """An open database; see `vecstore.open`."""

    def create_collection(
        self,
        name: str,
        dim: int,
        metric: _Metric | str = "cosine",
        if_not_exists: bool = False,
        m: int = 16,
        ef_construction: int = 128,
        *,
        index: _Index | str = "auto",
        unindexed: Iterable[str] | None = None,
        dates: Iterable[str] | None = None,
        fields_max: int | None = None,
        strings_max: int | None = None,
        string_bytes_max: int | None = None,
        precision: _Precision | str = "f32",
        codes: _Codes | str = "int8",
    ) -> Collection:
        """Creates a collection of vectors with `dim` components.

        metric: "cosine", "dot" or "euclidean". m (4 to 128) and ef_construction (16 to 2048)
        shape the graph: more is more accurate, larger and slower to build. index: what finds the
        nearest records: "graph", "clusters", or "auto" for the one that is measured to cost less.

        Of the metadata every field is indexed, except the fields that unindexed names ("text", or
        "page.text" for one inside an object), with all beneath them: a filter on those reads the
        metadata. dates: fields whose strings are dates of RFC 3339; a filter compares them with
        strings that are dates too, without the word DATE. Up to fields_max fields, strings_max different
        strings a field and string_bytes_max bytes a string are indexed; None is the engine's default.

        precision: what vectors are stored in: "f32", or "f16" for half the space: components are then
        rounded to 11 significant bits, and one beyond 65504 is refused.

        codes: which codes segments keep, for searches to read in the place of vectors: "int8", or "none" for
        less space and slower queries.

        Raises AlreadyExistsError if there is one of that name. With if_not_exists that one is
        returned, or ConflictError raised if its settings are not these.
        """

    def collection(self, name: str) -> Collection:
        """The collection of that name; NotFoundError if there is none."""

    def collections(self) -> list[str]:
        """Names of all collections, ascending."""

    def drop_collection(self, name: str) -> None:
        """Removes a collection with all its records; NotFoundError if there is none of that name."""

    def create_snapshot(self, name: str) -> dict[str, Any]:
        """Keeps the database as it is now under a name, without a copy of the vectors. Returns what
        `list_snapshots` says about it; AlreadyExistsError if there is one of that name.
        """

    def list_snapshots(self) -> list[dict[str, Any]]:
        """All snapshots, ascending by name, a dict each: name, created_unix_ms, seq, collections,
        records, segments, bytes.
        """

    def restore_snapshot(self, name: str) -> None:
        """Brings every collection back to what it was when the snapshot was made; what was written
        since is gone. The snapshot stays.
        """

    def remove_snapshot(self, name: str) -> None:
        """Removes a snapshot."""

    def optimize(self, progress: _Progress | None = None) -> dict[str, Any]:
        """Merges the segments of every collection into one each and returns disk space. Reads and
        writes go on meanwhile; Ctrl-C stops it. progress: True for a bar of tqdm, or a function
        (stage, done, total). Returns a dict: segments_before, segments_after, rows_dropped,
        bytes_before, bytes_after, seconds.
        """

    def flush(self, progress: _Progress | None = None) -> None:
        """Turns everything that is in memory into segments. Never needed for durability. Ctrl-C stops
        it; what is in no segment then stays in memory. progress is that of `optimize`.
        """

    def stats(self) -> dict[str, Any]:
        """Numbers about the database as a dict: path, seq, collections (a list with what
        `Collection.stats` returns), segment_bytes, log_bytes, log_recovery, snapshots, memory (a
        dict with the bytes held in memory by what they are for: memtable_rows, memtable_graphs,
        memtable_fields, log, segment_heads, segment_orders, deletions, segment_files, total; and beside
        it mapped: segment files, of which the system keeps what is used), scrub (a dict
        with what the check in the background has done: bytes_per_s, bytes, cached_bytes, damaged,
        passes, last_pass_unix_ms, last_pass_seconds), kernels.
        """

    def sync(self) -> None:
        """Makes every write so far survive a power cut; with durability="sync" it already does."""

    def verify(self) -> dict[str, Any]:
        """Reads every byte of every segment and checks it. Returns a dict: segments, bytes, problems
        (a list with one str for each damaged place, empty if all is well).
        """

    def close(self) -> None:
        """Closes the database; its collections raise ClosedError from then on. The folder can be
        opened again as soon as calls that run in other threads are over. Closing twice is fine.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class Collection:
    """Records of one dimension and metric; a handle on one namespace of them.

    It comes from `Database.create_collection` or `Database.collection` and sees the default
    namespace ""; `namespace` gives a handle on another.
    """

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dim(self) -> int:
        """Components of a vector."""

    @property
    def metric(self) -> _Metric:
        """The metric: "cosine", "dot" or "euclidean"."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings it was created with, a dict: dim, metric, m, ef_construction, index, precision, codes, schema."""

    @property
    def namespace_name(self) -> str:
        """The namespace this handle sees."""

    def namespace(self, name: str) -> Collection:
        """A handle on another namespace; it exists as soon as it has a record. Ids are unique within
        a namespace, and a query sees exactly one.
        """

    def namespaces(self) -> dict[str, int]:
        """The namespaces that have records, and how many each: a dict."""

    def list_namespaces(self) -> list[dict[str, Any]]:
        """The namespaces that have records, ascending by name, a dict each: name, records, bytes."""

    def remove_namespace(self, name: str) -> int:
        """Removes a namespace with all its records; returns how many there were."""

    def quota(self) -> dict[str, int | None]:
        """The quota of the collection, all namespaces together: a dict with records, bytes,
        batch_records and results; None is no bound.
        """

    def set_quota(
        self,
        *,
        records: int | None = None,
        bytes: int | None = None,
        batch_records: int | None = None,
        results: int | None = None,
    ) -> None:
        """Sets the quota of the collection, all namespaces together, in place of the one there is. It
        is durable when this returns; what is there already stays.

        records: how many it may hold. bytes: of segment files and of records in memory.
        batch_records: records of one batch_upsert. results: records that one query returns. None is
        no bound. A call that exceeds one raises QuotaExceededError and changes nothing.
        """

    def namespace_quota(self) -> dict[str, int | None]:
        """The quota of this handle's namespace, a dict like that of `quota`; the quota of the
        collection binds it too.
        """

    def set_namespace_quota(
        self,
        *,
        records: int | None = None,
        bytes: int | None = None,
        batch_records: int | None = None,
        results: int | None = None,
    ) -> None:
        """Sets the quota of this handle's namespace, with the arguments of `set_quota`. It stays when
        the namespace is removed.
        """

    def upsert(self, id: _Id, vector: _Vector, metadata: Mapping[str, _Value] | None = None) -> int:
        """Inserts a record, or replaces the one with its id. Returns the number of the commit.

        vector: dim numbers: a sequence, or an array of float16, float32 or
        float64; stored as float32. metadata: a dict.
        When this returns, the record is on disk, and queries that start afterwards see it.
        """

    def batch_upsert(
        self,
        ids: Iterable[_Id],
        vectors: _Vectors,
        metadata: _Table | None = None,
        progress: _Progress | None = None,
    ) -> int:
        """Inserts or replaces many records. Returns the number of the last commit.

        ids: n ids. vectors: an array of float16, float32 or float64 with shape (n, dim), or a
        sequence of n vectors. metadata: n dicts (or None), or a dict of columns with n values each,
        or a table with n rows: a DataFrame, or anything with `__arrow_c_stream__`; a missing cell
        is None.

        Up to 16,384 records of together 32 MiB are written all or none. More go in parts of that
        size, in order, each all or none: if one fails or Ctrl-C stops it, the parts before it stay,
        and the exception has their number of records as `committed`. The part that is being written
        when Ctrl-C comes is still written, or not. progress: True for a bar of
        tqdm, or a function (stage, done, total) that is called after each part.
        """

    @overload  # A `str` is iterable too; it is one id.
    def get(  # type: ignore[overload-overlap]
        self, id: _Id, include: _Include | None = None
    ) -> Record | None:
        """The record with an id; None if there is none. For a list of ids, a list of those, as of one
        moment. include is that of `query`, except that without it all is included.
        """

    @overload
    def get(
        self, id: Iterable[_Id], include: _Include | None = None
    ) -> list[Record | None]:
        """The record with an id; None if there is none. For a list of ids, a list of those, as of one
        moment. include is that of `query`, except that without it all is included.
        """

    @overload  # A `str` is iterable too; it is one id.
    def remove(self, id: _Id) -> bool:
        """Removes a record: True if it was there, False if not. For a list of ids, removes all of
        them in one commit and returns how many were there.
        """

    @overload
    def remove(self, id: Iterable[_Id]) -> int:
        """Removes a record: True if it was there, False if not. For a list of ids, removes all of
        them in one commit and returns how many were there.
        """

    def remove_where(self, filter: _Filter, params: _Params | None = None) -> int:
        """Removes every record that satisfies a filter, as of the moment of the call; returns how
        many. params: the values of the filter's $names.
        """

    @overload  # A `str` is iterable too; it is one id.
    def update(self, id: _Id, patch: Mapping[str, _Value]) -> bool:
        """Changes a record's metadata: each field of the patch, a dict, is set; one that is None is taken
        away; a dict inside is a patch of the dict there. True if the record was there, False if
        not. For a list of ids, changes all of them and returns how many were there.
        """

    @overload
    def update(self, id: Iterable[_Id], patch: Mapping[str, _Value]) -> int:
        """Changes a record's metadata: each field of the patch, a dict, is set; one that is None is taken
        away; a dict inside is a patch of the dict there. True if the record was there, False if
        not. For a list of ids, changes all of them and returns how many were there.
        """

    def update_where(
        self, filter: _Filter, patch: Mapping[str, _Value], params: _Params | None = None
    ) -> int:
        """Changes the metadata of every record that satisfies a filter, as `update` does; returns how
        many. params: the values of the filter's $names.
        """

    def count(self, filter: _Filter | None = None, params: _Params | None = None) -> int:
        """Number of records, or of those that satisfy a filter. params: the values of its $names."""

    @overload
    def query(
        self,
        vector: Sequence[SupportsFloat | SupportsIndex],
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> Hits:
        """The k records nearest to a vector, best first: Hits, a sequence of Hit. For several
        vectors what `query_batch` gives.

        vector: dim numbers: a sequence, or an array of float16, float32 or float64. filter: only
        records whose metadata satisfies it, for example "pos = 'n' AND year < $year" or
        `vecstore.F("year") < 2021`; params: the values of $names, a dict. At most one of ef
        (candidates kept while searching a graph), recall (the least effort that reaches it, above 0
        and at most 1) and exact (compare every record); without one the effort is chosen.
        score_threshold: only hits with at least this score. include: a list of "metadata",
        "metadata.FIELD" (only that field, also "metadata.a.b") and "vector", default ["metadata"].

        Warns with IncompleteWarning if records may be missing because their bytes are damaged.
        """

    @overload
    def query(
        self,
        vector: Sequence[Sequence[SupportsFloat | SupportsIndex]],
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> BatchHits:
        """The k records nearest to a vector, best first: Hits, a sequence of Hit. For several
        vectors what `query_batch` gives.

        vector: dim numbers: a sequence, or an array of float16, float32 or float64. filter: only
        records whose metadata satisfies it, for example "pos = 'n' AND year < $year" or
        `vecstore.F("year") < 2021`; params: the values of $names, a dict. At most one of ef
        (candidates kept while searching a graph), recall (the least effort that reaches it, above 0
        and at most 1) and exact (compare every record); without one the effort is chosen.
        score_threshold: only hits with at least this score. include: a list of "metadata",
        "metadata.FIELD" (only that field, also "metadata.a.b") and "vector", default ["metadata"].

        Warns with IncompleteWarning if records may be missing because their bytes are damaged.
        """

    @overload  # Its shape decides, and an array's type does not tell it.
    def query(
        self,
        vector: _Vector | _Vectors,
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> Any:
        """The k records nearest to a vector, best first: Hits, a sequence of Hit. For several
        vectors what `query_batch` gives.

        vector: dim numbers: a sequence, or an array of float16, float32 or float64. filter: only
        records whose metadata satisfies it, for example "pos = 'n' AND year < $year" or
        `vecstore.F("year") < 2021`; params: the values of $names, a dict. At most one of ef
        (candidates kept while searching a graph), recall (the least effort that reaches it, above 0
        and at most 1) and exact (compare every record); without one the effort is chosen.
        score_threshold: only hits with at least this score. include: a list of "metadata",
        "metadata.FIELD" (only that field, also "metadata.a.b") and "vector", default ["metadata"].

        Warns with IncompleteWarning if records may be missing because their bytes are damaged.
        """

    def query_batch(
        self,
        vectors: _Vectors,
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> BatchHits:
        """The k records nearest to each of n vectors, as of one moment, on all cores: BatchHits, a
        sequence of n Hits.

        vectors: an array of float16, float32 or float64 with shape (n, dim), or a sequence of n
        vectors; it is copied once. The other arguments are those of `query`.
        """

    def query_groups(
        self,
        vector: _Vector,
        group_by: str,
        k: int = 10,
        group_size: int = 1,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> Groups:
        """The k groups with the records nearest to a vector, one group for each value of a metadata
        field: Groups, a sequence of Group (value, hits), the one with the best hit first.

        group_by: the field ("book", or "book.title" for one inside an object). A record whose field is a
        list is in the group of each member; one without the field is in none. group_size: hits of a
        group; times k at most 16,384. The other arguments are those of `query`.

            for group in docs.query_groups(vector, "book", k=3, group_size=2):
                print(group.value, group.hits.ids)
        """

    def explain(
        self,
        vector: _Vector,
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> Plan:
        """Runs a query, with the arguments of `query`, and tells how: the Plan that ran, with estimates
        and measurements. `print` it; `Plan.hits` is what it found.
        """

    def explain_alternatives(
        self,
        vector: _Vector,
        k: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
    ) -> list[Comparison]:
        """Runs a query, with the arguments of `query`, by every strategy that each segment had to
        choose from, and times them: a list of Comparison, one for each segment. Slow, for finding
        out why a query is.
        """

    def scroll(
        self,
        filter: _Filter | None = None,
        limit: int = 100,
        after: _Id | None = None,
        params: _Params | None = None,
        include: _Include | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        resume: str | None = None,
    ) -> Scroll:
        """All records, or those that satisfy a filter, page by page: an iterator of lists of at most
        `limit` records.

            for page in docs.scroll(limit=1000):
                print(len(page), page[0].id)

        They come ascending by id (integers, then UUIDs, then strings), or by a metadata field: with
        order_by="year" ("author.name" for one inside an object) by its value, equal ones by id: false,
        true, numbers, strings; with descending the largest first. Records without the field come
        last.

        after: only records with an id after this one; `Scroll.after` says where a scroll stands, or
        with order_by `Scroll.cursor`, to be handed to resume. params and include are those of
        `query`. A mistake in the filter is raised with the first page.
        """

    def facet(
        self,
        field: str,
        limit: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
    ) -> dict[str, Any]:
        """How many records have each value of a metadata field ("pos", or "items.price" for one inside
        objects), or those records that satisfy a filter: a dict with "values", a list of (value,
        count) with the most frequent `limit` values, most first, and "distinct", the number of
        different values in all. A list counts for each of its members once.
        """

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: bool = True,
        filter: _Filter | None = None,
        params: _Params | None = None,
        overwrite: bool = False,
        progress: _Progress | None = None,
    ) -> dict[str, Any]:
        """Writes all records, or those that satisfy a filter, to a file, as of one moment: a line of JSON
        each with id, vector and metadata, ascending by id, as `vecstore import` reads them.

        path: compressed if it ends in .gz. The file appears when it is complete; Ctrl-C leaves none.
        vectors: whether the vectors are written. overwrite: whether a file that is there is
        replaced, or AlreadyExistsError raised. params are those of `query`, progress that of
        `optimize`. Returns a dict: records, bytes (of the file).
        """

    def optimize(self, progress: _Progress | None = None) -> dict[str, Any]:
        """Merges all segments into one without dead rows and returns disk space. Reads and writes go
        on meanwhile; Ctrl-C stops it and leaves everything as it was. progress: True for a bar of
        tqdm, or a function (stage, done, total). Returns what `Database.optimize` does.
        """

    def flush(self, progress: _Progress | None = None) -> None:
        """Turns everything that is in memory into segments. Never needed for durability. Ctrl-C stops
        it; what is in no segment then stays in memory. progress is that of `optimize`.
        """

    def stats(self) -> dict[str, Any]:
        """Numbers about the collection, all namespaces together, as a dict: name, dim, metric,
        records, namespaces, memtable_records, memtable_bytes, segments (a list of dicts: id, rows,
        deleted, bytes, sections, indexes, fields, degraded, damage), trouble.
        """

@final
class Record:
    """A record that was read: `id`, `seq`, and `metadata` and `vector` as included."""

    @property
    def id(self) -> _Id:
        """As it was given: int, str or uuid.UUID."""

    @property
    def seq(self) -> int:
        """The number of the commit that wrote it."""

    @property
    def metadata(self) -> _Metadata | None:
        """A dict; None if it was not included."""

    @property
    def vector(self) -> array[float] | None:
        """array.array("f") of dim components, as they were given; None if it was not included."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Hit:
    """A record found by a query: `id`, `score`, `distance`, and `metadata` and `vector` as included."""

    @property
    def id(self) -> _Id:
        """As it was given: int, str or uuid.UUID."""

    @property
    def score(self) -> float:
        """Higher is better: cosine similarity, inner product, or minus the Euclidean distance."""

    @property
    def distance(self) -> float:
        """Smaller is nearer: 1 - cosine similarity, minus the inner product, or the Euclidean
        distance.
        """

    @property
    def metadata(self) -> _Metadata | None:
        """A dict; None if it was not included."""

    @property
    def vector(self) -> array[float] | None:
        """array.array("f") of dim components, as they were given; None if it was not included."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Hits(Sequence[Hit]):
    """The records nearest to one vector, best first: a sequence of Hit.

    Each Hit is made when it is first asked for; the conversions need none.
    """

    @property
    def complete(self) -> bool:
        """False if records may be missing because their bytes are damaged."""

    @property
    def ids(self) -> list[_Id]:
        """The ids, best first: a list."""

    @property
    def scores(self) -> Any:
        """The scores, float32 of shape (len,): an array of numpy, or a memoryview without numpy."""

    @property
    def distances(self) -> Any:
        """The distances, float32 of shape (len,): an array of numpy, or a memoryview without numpy."""

    def to_dict(self) -> dict[str, list[Any]]:
        """The hits as a dict of columns: id, score, distance, and metadata and vector as included."""

    def to_numpy(self) -> dict[str, Any]:
        """The hits as a dict of arrays of numpy: id (uint64 if all are integers, else object), score
        and distance (float32), and as included metadata (object) and vector (float32, (len, dim)).
        """

    def to_pandas(self) -> Any:
        """The hits as a pandas.DataFrame with the columns of `to_dict`."""

    def to_polars(self) -> Any:
        """The hits as a polars.DataFrame, through the Arrow interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """The Arrow PyCapsule interface: columns id (uint64, or utf8 if not all are integers), score
        and distance (float32), metadata (utf8, JSON) and vector (list of float32) as included.
        """

    def _repr_html_(self) -> str: ...
    @overload
    def __getitem__(self, at: SupportsIndex, /) -> Hit: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Hit]: ...
    def __iter__(self) -> Iterator[Hit]: ...
    def __len__(self) -> int: ...
    def index(self, value: Any) -> int:  # type: ignore[override]
        """The place of the first hit that equals a value; ValueError if there is none."""

    def count(self, value: Any) -> int:
        """How many hits equal a value."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class BatchHits(Sequence[Hits]):
    """What a batch of queries gives: a sequence of Hits, one for each vector."""

    @property
    def complete(self) -> bool:
        """False if records may be missing because their bytes are damaged."""

    @property
    def ids(self) -> Any:
        """The ids, shape (queries, k): an array of numpy, uint64 if all are integers and no row is
        short, else of objects, None where a query has fewer hits; without numpy a list of lists.
        """

    @property
    def scores(self) -> Any:
        """The scores, float32 of shape (queries, k): an array of numpy, or a memoryview without
        numpy. NaN where a query has fewer hits.
        """

    @property
    def distances(self) -> Any:
        """The distances, like `scores`."""

    def to_dict(self) -> dict[str, list[Any]]:
        """All hits as a dict of columns: query (the row of the vector), and those of `Hits.to_dict`."""

    def to_numpy(self) -> dict[str, Any]:
        """All hits as a dict of arrays of numpy: query, and those of `Hits.to_numpy`."""

    def to_pandas(self) -> Any:
        """All hits as a pandas.DataFrame with the columns of `to_dict`."""

    def to_polars(self) -> Any:
        """All hits as a polars.DataFrame, through the Arrow interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """The Arrow PyCapsule interface: query (uint64), and the columns of Hits."""

    def _repr_html_(self) -> str: ...
    @overload
    def __getitem__(self, at: SupportsIndex, /) -> Hits: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Hits]: ...
    def __iter__(self) -> Iterator[Hits]: ...
    def __len__(self) -> int: ...
    def index(self, value: Any) -> int:  # type: ignore[override]
        """The place of the first Hits that equals a value; ValueError if there is none."""

    def count(self, value: Any) -> int:
        """How many Hits equal a value."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Group:
    """The records of one value of a field, as far as they were asked for."""

    @property
    def value(self) -> _Scalar:
        """The value: a bool, int, float, str or None."""

    @property
    def hits(self) -> Hits:
        """Its nearest records, best first: Hits."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Groups(Sequence[Group]):
    """The groups with the nearest records, the one with the best hit first: a sequence of Group."""

    @property
    def complete(self) -> bool:
        """False if records may be missing because their bytes are damaged."""

    @property
    def steps(self) -> list[str]:
        """What was done to find them, in order: a list of str."""

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> Group: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Group]: ...
    def __iter__(self) -> Iterator[Group]: ...
    def __len__(self) -> int: ...
    def index(self, value: Any) -> int:  # type: ignore[override]
        """The place of the first Group that equals a value; ValueError if there is none."""

    def count(self, value: Any) -> int:
        """How many groups equal a value."""

    def __eq__(self, value: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Scroll:
    """Pages of records, in the order that was asked for: an iterator of lists of Record."""

    @property
    def after(self) -> _Id | None:
        """The id behind which the next page begins, in the order of ids: hand it to
        `scroll(after=...)` to go on later. None at the start, at the end, and with order_by.
        """

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, with order_by: a str to hand to `scroll(resume=...)`, with the
        same order_by and descending, to go on later, also in another process. None at the start, at
        the end, and in the order of ids.
        """

    def __iter__(self) -> Self: ...
    def __next__(self) -> list[Record]: ...

@final
class Plan:
    """The plan that ran, with estimates and measurements; `str` is text to read."""

    @property
    def hits(self) -> Hits:
        """What the query found."""

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict; times end in `_us`, for microseconds."""

@final
class Comparison:
    """What each strategy took on one segment; `str` is text to read."""

    @property
    def regret(self) -> float:
        """Time of the chosen strategy as a multiple of the fastest one's; 1 is the best choice."""

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict; times end in `_us`, for microseconds."""

@final
class limits:
    """Limits that hold for every record and request; exceeding one is an InvalidArgumentError."""

    DIM_MAX: Final[int]
    """Components of a vector."""
    METADATA_BYTES_MAX: Final[int]
    """Bytes of a record's metadata as JSON."""
    METADATA_DEPTH_MAX: Final[int]
    """Nested dicts and lists in metadata."""
    NAME_BYTES_MAX: Final[int]
    """Bytes of a collection, namespace or snapshot name."""
    BATCH_RECORDS_MAX: Final[int]
    """Records of a batch that is written all or none, and ids of one `remove`."""
    BATCH_BYTES_MAX: Final[int]
    """Bytes of the vectors and metadata of one commit; `batch_upsert` keeps to half of it."""
    K_MAX: Final[int]
    """Records returned by one query."""
    EF_MAX: Final[int]
    """Candidates kept while searching a graph."""
    PAGE_RECORDS_MAX: Final[int]
    """Records returned by one page of a scroll."""

class Error(Exception):
    """Base class of all failures; `field` names the argument that is wrong, if it is one alone."""

    field: str | None

class InvalidArgumentError(Error, ValueError):
    """The request is wrong; the same request will fail again. Nothing was changed."""

class NotFoundError(Error, KeyError):
    """The collection or snapshot does not exist."""

class AlreadyExistsError(Error):
    """The collection or snapshot exists already."""

class ConflictError(Error):
    """The request contradicts the state of the database."""

class BusyError(Error):
    """Too much work is pending, or the database is open elsewhere; try again later."""

class QuotaExceededError(Error):
    """A namespace or collection would hold more, or a call ask for more, than its quota allows."""

class DiskFullError(Error, OSError):
    """The volume is full."""

class CorruptError(Error):
    """Stored bytes are damaged."""

class IoError(Error, OSError):
    """The operating system refused; `errno` is its number."""

class ClosedError(Error):
    """The database was closed, was opened before a fork, or gave up after a failed write."""

class CancelledError(Error):
    """The call was told to stop."""

class UnsupportedError(Error):
    """The database was written by a newer version."""

class IncompleteWarning(RuntimeWarning):
    """Records may be missing from an answer because their bytes are damaged."""
