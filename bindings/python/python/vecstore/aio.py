"""`vecstore` for asyncio: the same names; each call runs in a thread of the loop's pool.

    async with await vecstore.aio.open("data/") as db:
        docs = await db.create_collection("docs", dim=3)
        hits = await docs.query([0.1, 0.9, 0.1], k=5)

A call that is cancelled goes on in its thread; its outcome is dropped. Written by
`stubs.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, Self, final, overload

from . import _native

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import SupportsFloat, SupportsIndex

    from ._native import (
        BatchHits,
        Comparison,
        Groups,
        Hits,
        Plan,
        Record,
        _Codes,
        _Filter,
        _Id,
        _Include,
        _Index,
        _Metric,
        _Params,
        _Precision,
        _Progress,
        _Table,
        _Value,
        _Vector,
        _Vectors,
    )

__all__ = ["Collection", "Database", "Scroll", "open", "repair"]


async def open(
    path: str | os.PathLike[str],
    *,
    durability: Literal['sync', 'none'] | float | None = None,
    threads: int | None = None,
    memtable_bytes: int | None = None,
    background_merge: bool | None = None,
    busy_timeout: float | None = None,
    disk_reserve_bytes: int | None = None,
    scrub_bytes_per_s: int | None = None,
    memory_limit: int | None = None,
    create: bool = True,
) -> Database:
    return Database(await asyncio.to_thread(_native.open, path, durability=durability, threads=threads, memtable_bytes=memtable_bytes, background_merge=background_merge, busy_timeout=busy_timeout, disk_reserve_bytes=disk_reserve_bytes, scrub_bytes_per_s=scrub_bytes_per_s, memory_limit=memory_limit, create=create))


async def repair(path: str | os.PathLike[str]) -> dict[str, Any]:
    return await asyncio.to_thread(_native.repair, path)


@final
class Database:
    """`vecstore.Database`, whose methods are awaited."""

    def __init__(self, blocking: _native.Database) -> None:
        """Wraps one that was opened with `vecstore`; `blocking` gives it back."""
        self.blocking = blocking

    async def create_collection(
        self,
        name: str,
        dim: int,
        metric: _Metric | str = 'cosine',
        if_not_exists: bool = False,
        m: int = 16,
        ef_construction: int = 128,
        *,
        index: _Index | str = 'auto',
        unindexed: Iterable[str] | None = None,
        dates: Iterable[str] | None = None,
        fields_max: int | None = None,
        strings_max: int | None = None,
        string_bytes_max: int | None = None,
        precision: _Precision | str = 'f32',
        codes: _Codes | str = 'int8',
    ) -> Collection:
        return Collection(await asyncio.to_thread(self.blocking.create_collection, name, dim=dim, metric=metric, if_not_exists=if_not_exists, m=m, ef_construction=ef_construction, index=index, unindexed=unindexed, dates=dates, fields_max=fields_max, strings_max=strings_max, string_bytes_max=string_bytes_max, precision=precision, codes=codes))

    async def collection(self, name: str) -> Collection:
        return Collection(await asyncio.to_thread(self.blocking.collection, name))

    async def collections(self) -> list[str]:
        return await asyncio.to_thread(self.blocking.collections)

    async def drop_collection(self, name: str) -> None:
        return await asyncio.to_thread(self.blocking.drop_collection, name)

    async def create_snapshot(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.create_snapshot, name)

    async def list_snapshots(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.blocking.list_snapshots)

    async def restore_snapshot(self, name: str) -> None:
        return await asyncio.to_thread(self.blocking.restore_snapshot, name)

    async def remove_snapshot(self, name: str) -> None:
        return await asyncio.to_thread(self.blocking.remove_snapshot, name)

    async def optimize(
        self,
        progress: _Progress | None = None,
    ) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.optimize, progress)

    async def flush(self, progress: _Progress | None = None) -> None:
        return await asyncio.to_thread(self.blocking.flush, progress)

    async def stats(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.stats)

    async def sync(self) -> None:
        return await asyncio.to_thread(self.blocking.sync)

    async def verify(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.verify)

    async def close(self) -> None:
        return await asyncio.to_thread(self.blocking.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"aio.{self.blocking!r}"


@final
class Collection:
    """`vecstore.Collection`, whose methods are awaited."""

    def __init__(self, blocking: _native.Collection) -> None:
        """Wraps one that was opened with `vecstore`; `blocking` gives it back."""
        self.blocking = blocking

    @property
    def name(self) -> str:
        return self.blocking.name

    @property
    def dim(self) -> int:
        return self.blocking.dim

    @property
    def metric(self) -> _Metric:
        return self.blocking.metric

    @property
    def settings(self) -> dict[str, Any]:
        return self.blocking.settings

    @property
    def namespace_name(self) -> str:
        return self.blocking.namespace_name

    async def namespace(self, name: str) -> Collection:
        return Collection(await asyncio.to_thread(self.blocking.namespace, name))

    async def namespaces(self) -> dict[str, int]:
        return await asyncio.to_thread(self.blocking.namespaces)

    async def list_namespaces(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.blocking.list_namespaces)

    async def remove_namespace(self, name: str) -> int:
        return await asyncio.to_thread(self.blocking.remove_namespace, name)

    async def quota(self) -> dict[str, int | None]:
        return await asyncio.to_thread(self.blocking.quota)

    async def set_quota(
        self,
        *,
        records: int | None = None,
        bytes: int | None = None,
        batch_records: int | None = None,
        results: int | None = None,
    ) -> None:
        return await asyncio.to_thread(self.blocking.set_quota, records=records, bytes=bytes, batch_records=batch_records, results=results)

    async def namespace_quota(self) -> dict[str, int | None]:
        return await asyncio.to_thread(self.blocking.namespace_quota)

    async def set_namespace_quota(
        self,
        *,
        records: int | None = None,
        bytes: int | None = None,
        batch_records: int | None = None,
        results: int | None = None,
    ) -> None:
        return await asyncio.to_thread(self.blocking.set_namespace_quota, records=records, bytes=bytes, batch_records=batch_records, results=results)

    async def upsert(
        self,
        id: _Id,
        vector: _Vector,
        metadata: Mapping[str, _Value] | None = None,
    ) -> int:
        return await asyncio.to_thread(self.blocking.upsert, id, vector=vector, metadata=metadata)

    async def batch_upsert(
        self,
        ids: Iterable[_Id],
        vectors: _Vectors,
        metadata: _Table | None = None,
        progress: _Progress | None = None,
    ) -> int:
        return await asyncio.to_thread(self.blocking.batch_upsert, ids, vectors=vectors, metadata=metadata, progress=progress)

    @overload
    async def get(  # type: ignore[overload-overlap]
        self,
        id: _Id,
        include: _Include | None = None,
    ) -> Record | None: ...

    @overload
    async def get(
        self,
        id: Iterable[_Id],
        include: _Include | None = None,
    ) -> list[Record | None]: ...

    async def get(
        self,
        id: Any,
        include: Any = None,
    ) -> Any:
        call: Any = self.blocking.get
        return await asyncio.to_thread(call, id, include=include)

    @overload
    async def remove(self, id: _Id) -> bool: ...

    @overload
    async def remove(self, id: Iterable[_Id]) -> int: ...

    async def remove(
        self,
        id: Any,
    ) -> Any:
        call: Any = self.blocking.remove
        return await asyncio.to_thread(call, id)

    async def remove_where(
        self,
        filter: _Filter,
        params: _Params | None = None,
    ) -> int:
        return await asyncio.to_thread(self.blocking.remove_where, filter, params=params)

    @overload
    async def update(self, id: _Id, patch: Mapping[str, _Value]) -> bool: ...

    @overload
    async def update(
        self,
        id: Iterable[_Id],
        patch: Mapping[str, _Value],
    ) -> int: ...

    async def update(
        self,
        id: Any,
        patch: Any,
    ) -> Any:
        call: Any = self.blocking.update
        return await asyncio.to_thread(call, id, patch=patch)

    async def update_where(
        self,
        filter: _Filter,
        patch: Mapping[str, _Value],
        params: _Params | None = None,
    ) -> int:
        return await asyncio.to_thread(self.blocking.update_where, filter, patch=patch, params=params)

    async def count(
        self,
        filter: _Filter | None = None,
        params: _Params | None = None,
    ) -> int:
        return await asyncio.to_thread(self.blocking.count, filter, params=params)

    @overload
    async def query(
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
    ) -> Hits: ...

    @overload
    async def query(
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
    ) -> BatchHits: ...

    @overload
    async def query(
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
    ) -> Any: ...

    async def query(
        self,
        vector: Any,
        k: Any = 10,
        filter: Any = None,
        params: Any = None,
        ef: Any = None,
        recall: Any = None,
        exact: Any = False,
        score_threshold: Any = None,
        include: Any = None,
    ) -> Any:
        call: Any = self.blocking.query
        return await asyncio.to_thread(call, vector, k=k, filter=filter, params=params, ef=ef, recall=recall, exact=exact, score_threshold=score_threshold, include=include)

    async def query_batch(
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
        return await asyncio.to_thread(self.blocking.query_batch, vectors, k=k, filter=filter, params=params, ef=ef, recall=recall, exact=exact, score_threshold=score_threshold, include=include)

    async def query_groups(
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
        return await asyncio.to_thread(self.blocking.query_groups, vector, group_by=group_by, k=k, group_size=group_size, filter=filter, params=params, ef=ef, recall=recall, exact=exact, score_threshold=score_threshold, include=include)

    async def explain(
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
        return await asyncio.to_thread(self.blocking.explain, vector, k=k, filter=filter, params=params, ef=ef, recall=recall, exact=exact, score_threshold=score_threshold, include=include)

    async def explain_alternatives(
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
        return await asyncio.to_thread(self.blocking.explain_alternatives, vector, k=k, filter=filter, params=params, ef=ef, recall=recall, exact=exact, score_threshold=score_threshold)

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
        return Scroll(self.blocking.scroll(filter=filter, limit=limit, after=after, params=params, include=include, order_by=order_by, descending=descending, resume=resume))

    async def facet(
        self,
        field: str,
        limit: int = 10,
        filter: _Filter | None = None,
        params: _Params | None = None,
    ) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.facet, field, limit=limit, filter=filter, params=params)

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: bool = True,
        filter: _Filter | None = None,
        params: _Params | None = None,
        overwrite: bool = False,
        progress: _Progress | None = None,
    ) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.export, path, vectors=vectors, filter=filter, params=params, overwrite=overwrite, progress=progress)

    async def optimize(
        self,
        progress: _Progress | None = None,
    ) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.optimize, progress)

    async def flush(self, progress: _Progress | None = None) -> None:
        return await asyncio.to_thread(self.blocking.flush, progress)

    async def stats(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.blocking.stats)

    def __repr__(self) -> str:
        return f"aio.{self.blocking!r}"


@final
class Scroll:
    """`vecstore.Scroll`, whose methods are awaited."""

    def __init__(self, blocking: _native.Scroll) -> None:
        """Wraps one that was opened with `vecstore`; `blocking` gives it back."""
        self.blocking = blocking

    @property
    def after(self) -> _Id | None:
        return self.blocking.after

    @property
    def cursor(self) -> str | None:
        return self.blocking.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Record]:
        page = await asyncio.to_thread(next, self.blocking, None)
        if page is None:
            raise StopAsyncIteration
        return page
