"""An embedded vector database: records (id, vector, metadata) in a folder, and a search for the
nearest ones, also under a filter.

    >>> import vecstore
    >>> with vecstore.open(":memory:") as db:
    ...     docs = db.create_collection("docs", dim=3)
    ...     seq = docs.upsert("a1", [0.1, 0.9, 0.2], {"pos": "n", "year": 2021})
    ...     for hit in docs.query([0.1, 0.9, 0.2], k=5, filter=vecstore.F("year") < 2023):
    ...         print(hit.id, round(hit.score, 3), hit.metadata)
    a1 1.0 {'pos': 'n', 'year': 2021}

Every call may be made from any thread, and lets other threads run while it works. A database
that was opened before a fork cannot be used in the child. `vecstore.aio` has the same for asyncio.

Ids are `int` (0 to 2**64 - 1), `str` (1 to 512 bytes of UTF-8) or `uuid.UUID`, and come back
with the type they went in with. So do metadata values: `bool`, `int` (64 bits, signed),
`float` (finite), `str`, `None`, `list` and nested `dict`; a tuple comes back as a list.

Failures are `vecstore.Error` with one subclass for each kind. An argument of a wrong Python
type is a `TypeError`.
"""

from collections.abc import Sequence

from ._filter import F, Filter
from ._native import (
    AlreadyExistsError,
    BatchHits,
    BusyError,
    CancelledError,
    ClosedError,
    Collection,
    Comparison,
    ConflictError,
    CorruptError,
    Database,
    DiskFullError,
    Error,
    Group,
    Groups,
    Hit,
    Hits,
    IncompleteWarning,
    InvalidArgumentError,
    IoError,
    NotFoundError,
    Plan,
    QuotaExceededError,
    Record,
    Scroll,
    UnsupportedError,
    __version__,
    limits,
    open,
    repair,
)

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
    "F",
    "Filter",
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

Sequence.register(Hits)
Sequence.register(BatchHits)
Sequence.register(Groups)
