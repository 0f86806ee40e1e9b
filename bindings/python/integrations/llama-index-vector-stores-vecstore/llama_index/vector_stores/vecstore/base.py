"""`llama_index.core.vector_stores.types.BasePydanticVectorStore` over a collection of VecStore."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import vecstore
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from vecstore import F

from .filters import NOTHING, all_of, convert

#: Candidates of MMR for each node that is wanted.
MMR_PREFETCH_FACTOR = 4


class VecStoreVectorStore(BasePydanticVectorStore):
    """A vector store over a `vecstore.Collection`, whose database the caller opens and closes.

    The async methods run the others in threads, which work at the same time: VecStore lets go
    of the interpreter lock.
    """

    stores_text: bool = True

    _collection: vecstore.Collection = PrivateAttr()

    def __init__(self, collection: vecstore.Collection) -> None:
        super().__init__(stores_text=True)
        self._collection = collection

    @classmethod
    def from_path(
        cls,
        path: str | os.PathLike[str],
        dim: int,
        collection_name: str = "llama_index",
        metric: str = "cosine",
    ) -> VecStoreVectorStore:
        """A store in a collection that is created if it is not there. The database closes when
        nothing refers to the store."""
        return cls(vecstore.open(path).create_collection(collection_name, dim, metric, True))

    @classmethod
    def class_name(cls) -> str:
        return "VecStoreVectorStore"

    @property
    def client(self) -> vecstore.Collection:
        """The collection."""
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Inserts nodes with their embeddings, or replaces those with the same id."""
        _refuse(kwargs)
        ids = [node.node_id for node in nodes]
        vectors = [node.get_embedding() for node in nodes]
        self._collection.batch_upsert(ids, vectors, [_metadata(node) for node in nodes])
        return ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Removes the nodes of a document."""
        _refuse(delete_kwargs)
        self._collection.remove_where(F("ref_doc_id") == ref_doc_id)

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Removes the nodes that are among the ids and satisfy the filters, as far as given."""
        _refuse(delete_kwargs)
        self._collection.remove_where(_selected(node_ids, None, filters))

    def clear(self) -> None:
        """Removes all nodes."""
        self._collection.remove_where(~NOTHING)

    def get_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
    ) -> list[BaseNode]:
        """The nodes that are among the ids and satisfy the filters, as far as given, without
        embeddings: in the order of the ids, or of the nodes' ids if none are given."""
        if node_ids is not None and filters is None:
            found = self._collection.get(node_ids, include=["metadata"])
            return [_node(record) for record in found if record is not None]
        nodes = [
            _node(record)
            for page in self._collection.scroll(_selected(node_ids, None, filters), limit=1000)
            for record in page
        ]
        if node_ids is not None:
            place = {id: at for at, id in enumerate(node_ids)}
            nodes.sort(key=lambda node: place[node.node_id])
        return nodes

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes nearest to the query's embedding.

        Takes ef, recall and exact of `vecstore.Collection.query`. With mode `mmr` the query's
        mmr_threshold (or that option) is the weight of nearness, default 0.5, among
        mmr_prefetch_k candidates, default four for each node that is wanted.
        """
        vector, k = query.query_embedding, query.similarity_top_k
        if vector is None:
            raise ValueError("the query has no embedding, which VecStore searches by")
        # An index that restricts nothing asks with an empty list.
        selected = _selected(query.node_ids or None, query.doc_ids or None, query.filters)
        effort = {name: kwargs.pop(name) for name in ("ef", "recall", "exact") if name in kwargs}
        if query.mode == VectorStoreQueryMode.DEFAULT:
            _refuse(kwargs)
            hits = self._collection.query(vector, k, selected, **effort)
            return _result([(hit, hit.score) for hit in hits])
        if query.mode == VectorStoreQueryMode.MMR:
            threshold = kwargs.pop("mmr_threshold", query.mmr_threshold)
            candidates = kwargs.pop("mmr_prefetch_k", k * MMR_PREFETCH_FACTOR)
            _refuse(kwargs)
            hits = self._collection.query(
                vector, candidates, selected, include=["metadata", "vector"], **effort
            )
            scores, chosen = get_top_k_mmr_embeddings(
                vector,
                [list(hit.vector or ()) for hit in hits],
                similarity_top_k=k,
                embedding_ids=list(range(len(hits))),
                mmr_threshold=threshold,
            )
            return _result([(hits[at], score) for at, score in zip(chosen, scores, strict=True)])
        raise ValueError(f"the query mode {query.mode.value!r} is not supported by VecStore")

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
    ) -> list[BaseNode]:
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await asyncio.to_thread(self.query, query, **kwargs)


def _metadata(node: BaseNode) -> dict[str, Any]:
    """What is stored of a node besides its id and embedding."""
    metadata = node_to_metadata_dict(node)
    return {
        "node": metadata.pop("_node_content"),
        "node_type": metadata.pop("_node_type"),
        "node_id": node.node_id,
        "ref_doc_id": node.ref_doc_id,
        # Filters know no empty list; one that is empty is as good as none.
        "metadata": {key: None if value == [] else value for key, value in metadata.items()},
    }


def _node(record: vecstore.Hit | vecstore.Record) -> BaseNode:
    stored = record.metadata or {}
    return metadata_dict_to_node(
        {"_node_content": stored.get("node"), "_node_type": stored.get("node_type")}
    )


def _selected(
    node_ids: list[str] | None, doc_ids: list[str] | None, filters: MetadataFilters | None
) -> vecstore.Filter:
    """The condition on what is stored; an empty list of ids selects nothing, None all."""
    parts = []
    if node_ids is not None:
        parts.append(F("node_id").in_(node_ids))
    if doc_ids is not None:
        parts.append(F("ref_doc_id").in_(doc_ids))
    converted = convert(filters)
    if converted is not None:
        parts.append(converted)
    return all_of(parts)


def _result(found: list[tuple[vecstore.Hit, float]]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[_node(hit) for hit, _ in found],
        similarities=[score for _, score in found],
        ids=[str(hit.id) for hit, _ in found],
    )


def _refuse(options: dict[str, Any]) -> None:
    if options:
        raise TypeError(f"unknown options: {', '.join(sorted(options))}")
