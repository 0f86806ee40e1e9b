"""An embedded vector database."""

import os
import uuid
from array import array
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import (
    Any,
    Literal,
    Protocol,
    Self,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    final,
    overload,
)

__all__ = [
    "AlreadyExistsError",
    "BusyError",
    "ClosedError",
    "Collection",
    "ConflictError",
    "CorruptError",
    "Database",
    "DiskFullError",
    "Error",
    "Hit",
    "IncompleteWarning",
    "InvalidArgumentError",
    "IoError",
    "NotFoundError",
    "Record",
    "UnsupportedError",
    "__version__",
    "open",
]

__version__: str

_Id: TypeAlias = int | str | uuid.UUID
"""0 to 2**64 - 1, 1 to 512 bytes of UTF-8, or a UUID."""

class _Numbers(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> Any: ...

_Vector: TypeAlias = Sequence[SupportsFloat | SupportsIndex] | _Numbers
"""dim numbers: a sequence, or an array of float32 or float64 with shape (dim,)."""

_Vectors: TypeAlias = Sequence[_Vector] | _Numbers
"""An array of float32 or float64 with shape (n, dim), or a sequence of n vectors."""

_Scalar: TypeAlias = bool | int | float | str | None
_Value: TypeAlias = _Scalar | Sequence["_Value"] | Mapping[str, "_Value"]
_Metadata: TypeAlias = dict[str, Any]
_Metric: TypeAlias = Literal["cosine", "dot", "euclidean"]
_Include: TypeAlias = Iterable[Literal["metadata", "vector"]]

def open(path: str | os.PathLike[str]) -> Database:
    """Opens the database in the folder `path`, or creates one there; ":memory:" is one in memory.

    Use it as a context manager, or call `close()`. Raises BusyError if it is open already, here
    or in another process, ConflictError if the folder holds something else.
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
    ) -> Collection:
        """Creates a collection of vectors with `dim` components.

        metric: "cosine", "dot" or "euclidean". m (4 to 128) and ef_construction (16 to 2048)
        shape the graph: more is more accurate, larger and slower to build.

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

    def optimize(self) -> dict[str, Any]:
        """Merges the segments of every collection into one each and returns disk space. Reads and
        writes go on meanwhile. Returns a dict: segments_before, segments_after, rows_dropped,
        bytes_before, bytes_after, seconds.
        """

    def flush(self) -> None:
        """Turns everything that is in memory into segments. Never needed for durability."""

    def stats(self) -> dict[str, Any]:
        """Numbers about the database as a dict: path, seq, collections (a list with what
        `Collection.stats` returns), segment_bytes, log_bytes, log_recovery, snapshots,
        kernels.
        """

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
    def namespace_name(self) -> str:
        """The namespace this handle sees."""

    def namespace(self, name: str) -> Collection:
        """A handle on another namespace; it exists as soon as it has a record. Ids are unique within
        a namespace, and a query sees exactly one.
        """

    def namespaces(self) -> dict[str, int]:
        """The namespaces that have records, and how many each: a dict."""

    def upsert(self, id: _Id, vector: _Vector, metadata: Mapping[str, _Value] | None = None) -> int:
        """Inserts a record, or replaces the one with its id. Returns the number of the commit.

        vector: dim numbers: a sequence, or an array of float32 or float64. metadata: a dict.
        When this returns, the record is on disk, and queries that start afterwards see it.
        """

    def batch_upsert(
        self,
        ids: Iterable[_Id],
        vectors: _Vectors,
        metadata: Iterable[Mapping[str, _Value] | None] | None = None,
    ) -> int:
        """Inserts or replaces many records, all or none. Returns the number of the commit.

        ids: n ids. vectors: an array of float32 or float64 with shape (n, dim), or a sequence of n
        vectors. metadata: a list of n dicts (or None). At most 16,384 records and 64 MiB at once.
        """

    @overload  # A `str` is iterable too; it is one id.
    def get(self, id: _Id) -> Record | None:  # type: ignore[overload-overlap]
        """The record with an id, with metadata and vector; None if there is none. For a list of ids,
        a list of those, as of one moment.
        """

    @overload
    def get(self, id: Iterable[_Id]) -> list[Record | None]:
        """The record with an id, with metadata and vector; None if there is none. For a list of ids,
        a list of those, as of one moment.
        """

    @overload  # A `str` is iterable too; it is one id.
    def remove(self, id: _Id) -> bool:  # type: ignore[overload-overlap]
        """Removes a record: True if it was there, False if not. For a list of ids, removes all of
        them in one commit and returns how many were there.
        """

    @overload
    def remove(self, id: Iterable[_Id]) -> int:
        """Removes a record: True if it was there, False if not. For a list of ids, removes all of
        them in one commit and returns how many were there.
        """

    def remove_where(self, filter: str) -> int:
        """Removes every record that satisfies a filter, as of the moment of the call; returns how
        many.
        """

    def count(self, filter: str | None = None) -> int:
        """Number of records, or of those that satisfy a filter."""

    def query(
        self,
        vector: _Vector,
        k: int = 10,
        filter: str | None = None,
        params: Mapping[str, _Value] | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        include: _Include | None = None,
    ) -> list[Hit]:
        """The k records nearest to a vector, best first: a list of Hit.

        vector: dim numbers: a sequence, or an array of float32 or float64. filter: only records
        whose metadata satisfies it, for example "pos = 'n' AND year < $year"; params: the values
        of $names, a dict. At most one of ef (candidates kept while searching a graph), recall
        (the least effort that reaches it, above 0 and at most 1) and exact (compare every record);
        without one the effort is chosen. score_threshold: only hits with at least this score.
        include: a list of "metadata" and "vector", default ["metadata"].

        Warns with IncompleteWarning if records may be missing because their bytes are damaged.
        """

    def explain(
        self,
        vector: _Vector,
        k: int = 10,
        filter: str | None = None,
        params: Mapping[str, _Value] | None = None,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
    ) -> str:
        """Runs a query, with the arguments of `query`, and returns the plan that ran, with estimates
        and measurements, as text to read.
        """

    def scroll(
        self,
        filter: str | None = None,
        limit: int = 100,
        after: _Id | None = None,
        params: Mapping[str, _Value] | None = None,
        include: _Include | None = None,
    ) -> tuple[list[Record], _Id | None]:
        """One page of records, ascending by id (integers, then UUIDs, then strings), and where the
        next one begins: (list of Record, next). Hand `next` to `after`; it is None on the last
        page.

            records, after = docs.scroll()
            while after is not None:
                page, after = docs.scroll(after=after)
                records += page
        """

    def optimize(self) -> dict[str, Any]:
        """Merges all segments into one without dead rows and returns disk space. Reads and writes go
        on meanwhile; Ctrl-C stops it and leaves everything as it was. Returns what
        `Database.optimize` does.
        """

    def flush(self) -> None:
        """Turns everything that is in memory into segments. Never needed for durability."""

    def stats(self) -> dict[str, Any]:
        """Numbers about the collection, all namespaces together, as a dict: name, dim, metric,
        records, namespaces, memtable_records, memtable_bytes, segments (a list of dicts: id, rows,
        deleted, bytes, sections, degraded), trouble.
        """

@final
class Record:
    """A record that was read: `id`, `metadata` and `vector`."""

    @property
    def id(self) -> _Id:
        """As it was given: int, str or uuid.UUID."""

    @property
    def metadata(self) -> _Metadata | None:
        """A dict; None if it was not included."""

    @property
    def vector(self) -> array[float] | None:
        """array.array("f") of dim components, as they were given; None if it was not included."""

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

class Error(Exception):
    """Base class of all failures."""

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

class DiskFullError(Error, OSError):
    """The volume is full."""

class CorruptError(Error):
    """Stored bytes are damaged."""

class IoError(Error, OSError):
    """The operating system refused; `errno` is its number."""

class ClosedError(Error):
    """The database was closed, was opened before a fork, or gave up after a failed write."""

class UnsupportedError(Error):
    """The database was written by a newer version."""

class IncompleteWarning(RuntimeWarning):
    """Records may be missing from an answer because their bytes are damaged."""
