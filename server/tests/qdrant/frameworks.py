"""LangChain and LlamaIndex, unmodified, against `vecstore serve`.

    frameworks.py VECSTORE
"""

import sys
import tempfile
from importlib.metadata import version

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaStore
from qdrant_client import QdrantClient, models

from server import Server

TEXTS = [f"text {number}" for number in range(60)]


def langchain(client, how):
    embedding = DeterministicFakeEmbedding(size=16)
    client.create_collection("lc", vectors_config=models.VectorParams(size=16, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client=client, collection_name="lc", embedding=embedding)
    documents = [Document(page_content=text, metadata={"n": n, "even": n % 2 == 0}) for n, text in enumerate(TEXTS)]
    ids = store.add_documents(documents)
    found = store.similarity_search_with_score("text 7", k=3)
    assert found[0][0].page_content == "text 7" and found[0][1] > 0.999, found
    even = models.Filter(must=[models.FieldCondition(key="metadata.even", match=models.MatchValue(value=True))])
    found = store.similarity_search("text 7", k=60, filter=even)
    assert len(found) == 30 and all(document.metadata["even"] for document in found)
    assert [d.page_content for d in store.get_by_ids(ids[:2])] == TEXTS[:2]
    diverse = store.max_marginal_relevance_search("text 7", k=4, fetch_k=20)
    assert diverse[0].page_content == "text 7" and len({d.page_content for d in diverse}) == 4
    assert store.as_retriever(search_kwargs={"k": 2}).invoke("text 9")[0].page_content == "text 9"
    assert store.delete(ids[:10]) and client.count("lc").count == 50
    made = QdrantVectorStore.from_texts(["a", "b"], embedding, collection_name="made", **how)
    assert made.similarity_search("b", k=1)[0].page_content == "b"
    again = QdrantVectorStore.from_existing_collection("made", embedding, **how)
    assert len(again.similarity_search("a", k=5)) == 2


def llama_index(client):
    embedding = DeterministicFakeEmbedding(size=16)
    store = LlamaStore("li", client=client)
    nodes = []
    for number, text in enumerate(TEXTS):
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc-{number % 6}")}
        nodes.append(TextNode(text=text, embedding=embedding.embed_query(text), metadata={"n": number, "kind": "even" if number % 2 == 0 else "odd"}, relationships=source))
    ids = store.add(nodes)
    ask = lambda text, **how: store.query(VectorStoreQuery(query_embedding=embedding.embed_query(text), **how))
    found = ask("text 7", similarity_top_k=3)
    assert found.nodes[0].text == "text 7" and found.similarities[0] > 0.999
    where = lambda *filters: MetadataFilters(filters=[MetadataFilter(key=k, operator=o, value=v) for k, o, v in filters])
    found = ask("text 7", similarity_top_k=60, filters=where(("kind", FilterOperator.EQ, "odd"), ("n", FilterOperator.LT, 20)))
    assert sorted(node.metadata["n"] for node in found.nodes) == list(range(1, 20, 2))
    found = ask("text 7", similarity_top_k=60, filters=where(("kind", FilterOperator.IN, ["even"])))
    assert len(found.nodes) == 30
    assert {node.text for node in store.get_nodes(node_ids=None, filters=where(("n", FilterOperator.GTE, 58)))} == {"text 58", "text 59"}
    store.delete("doc-3")
    assert client.count("li").count == 50
    store.delete_nodes(filters=where(("kind", FilterOperator.EQ, "odd")))
    assert client.count("li").count == 30
    store.clear()
    assert not client.collection_exists("li") or client.count("li").count == 0
    assert len(ids) == len(TEXTS)


def main():
    for transport in ["REST", "gRPC"]:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(sys.argv[1], folder)
            try:
                how = server.how(transport)
                client = QdrantClient(**how)
                langchain(client, how)
                llama_index(client)
            finally:
                server.process.terminate()
            assert server.process.wait(60) == 0
    names = ["langchain-qdrant", "llama-index-vector-stores-qdrant"]
    print("unmodified, over REST and gRPC: " + ", ".join(f"{name} {version(name)}" for name in names))


main()
