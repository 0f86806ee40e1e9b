"""The vector store suite of langchain-tests, as published, and what it does not ask."""

from collections.abc import Generator

import pytest
import vecstore
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from langchain_vecstore import VecStore

EMBEDDING = DeterministicFakeEmbedding(size=6)


class TestVecStore(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self) -> Generator[VectorStore, None, None]:
        embedding = self.get_embeddings()
        with vecstore.open(":memory:") as db:
            dim = len(embedding.embed_query("dimension"))
            yield VecStore(embedding, db.create_collection("docs", dim))


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_search(metric: str) -> None:
    texts = ["a", "b", "c"]
    metadata = [{"n": 1}, {"n": 2}, {"n": 3}]
    store = VecStore.from_texts(texts, EMBEDDING, metadata, ids=texts, metric=metric)
    found = store.similarity_search("a", k=3, filter=vecstore.F("metadata", "n") > 1)
    assert {document.id for document in found} == {"b", "c"}
    [(document, relevance), *_] = store.similarity_search_with_relevance_scores("a", k=3)
    assert 0 <= relevance <= 1.0001
    if metric != "dot":
        assert (document.page_content, document.metadata) == ("a", {"n": 1})
        assert relevance > 0.999
    assert len(store.max_marginal_relevance_search("a", k=2, fetch_k=3)) == 2
    assert store.max_marginal_relevance_search("a", filter="metadata.n = 9") == []
    assert store.delete() and store.similarity_search("a") == []


def test_what_is_refused() -> None:
    store = VecStore.from_texts([], EMBEDDING)
    assert store.add_texts([]) == []
    with pytest.raises(ValueError):
        store.add_texts(["a"], ids=["1", "2"])
    with pytest.raises(TypeError):
        store.add_texts(["a"], nonsense=1)
    with pytest.raises(TypeError):
        store.similarity_search("a", nonsense=1)
