"""`langchain_core.vectorstores.VectorStore` over a collection of VecStore."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import vecstore
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

REMOVED_AT_ONCE = 10_000


class VecStore(VectorStore):
    """A vector store over a `vecstore.Collection`, whose database the caller opens and closes.

    Search methods take the options of `vecstore.Collection.query`: filter, params, ef, recall,
    exact, score_threshold. The async methods of the base class run these in threads, which
    work at the same time: VecStore lets go of the interpreter lock.
    """

    def __init__(self, embedding: Embeddings, collection: vecstore.Collection) -> None:
        self._embedding = embedding
        self.collection = collection

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds texts and inserts them, or replaces those with the same id; returns the ids.

        A text without an id gets a random UUID.
        """
        _refuse(kwargs)
        texts = list(texts)
        given = list(ids) if ids is not None else [None] * len(texts)
        metadata = metadatas if metadatas is not None else [{}] * len(texts)
        if len(given) != len(texts) or len(metadata) != len(texts):
            raise ValueError(
                f"there are {len(texts)} texts, {len(metadata)} metadatas and {len(given)} ids"
            )
        if not texts:
            return []
        stored = [str(uuid.uuid4()) if id is None else id for id in given]
        self.collection.batch_upsert(
            stored,
            self._embedding.embed_documents(texts),
            [{"text": t, "metadata": m or {}} for t, m in zip(texts, metadata, strict=True)],
        )
        return stored

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Removes documents; those that are not there are passed over. Without ids, removes all."""
        _refuse(kwargs)
        if ids is not None:
            for at in range(0, len(ids), REMOVED_AT_ONCE):
                self.collection.remove(ids[at : at + REMOVED_AT_ONCE])
            return True
        for page in self.collection.scroll(limit=REMOVED_AT_ONCE, include=[]):
            self.collection.remove([record.id for record in page])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in their order, without those that are not there."""
        found = self.collection.get(list(ids))
        return [_document(record) for record in found if record is not None]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The k documents nearest to a text."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The k documents nearest to a text, with scores: higher is better."""
        hits = self.collection.query(self._embedding.embed_query(query), k, **kwargs)
        return [(_document(hit), hit.score) for hit in hits]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to a vector."""
        return [_document(hit) for hit in self.collection.query(embedding, k, **kwargs)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """k of the fetch_k documents nearest to a text, chosen to be near it and unlike each
        other (Carbonell & Goldstein 1998)."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Like `max_marginal_relevance_search`, for a vector."""
        hits = self.collection.query(
            embedding, fetch_k, include=["metadata", "vector"], **kwargs
        )
        vectors = [np.asarray(hit.vector) for hit in hits]
        if not vectors:
            return []
        asked = np.asarray(embedding, dtype=np.float32)
        chosen = maximal_marginal_relevance(asked, vectors, lambda_mult, k)
        return [_document(hits[at]) for at in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """From a score to 0 (unlike) … 1 (the same)."""
        match self.collection.metric:
            case "cosine":
                return lambda score: (score + 1) / 2
            case "euclidean":
                return lambda score: 1 / (1 - score)
            case _:
                # From any inner product; the logistic function, which cannot overflow so.
                return lambda score: (1 + math.tanh(score / 2)) / 2

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] = ":memory:",
        collection_name: str = "langchain",
        metric: str = "cosine",
        **kwargs: Any,
    ) -> VecStore:
        """A store with these texts, in a collection that is created if it is not there. The
        database closes when nothing refers to the store."""
        _refuse(kwargs)
        dim = len(embedding.embed_query("dimension"))
        db = vecstore.open(path)
        store = cls(embedding, db.create_collection(collection_name, dim, metric, True))
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _document(record: vecstore.Hit | vecstore.Record) -> Document:
    stored = record.metadata or {}
    return Document(
        id=str(record.id),
        page_content=stored.get("text", ""),
        metadata=stored.get("metadata", {}),
    )


def _refuse(options: dict[str, Any]) -> None:
    if options:
        raise TypeError(f"unknown options: {', '.join(sorted(options))}")
