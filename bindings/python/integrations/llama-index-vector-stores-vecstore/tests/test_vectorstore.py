"""The store against LlamaIndex's own reading of its filters, and as an index uses it."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
import vecstore
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn, node_to_metadata_dict
from llama_index.vector_stores.vecstore import VecStoreVectorStore

ROWS = [
    {"n": 1, "s": "ab", "tags": ["x", "y"], "nums": [1, 2]},
    {"n": 2, "s": "AB", "tags": ["y"], "nums": [3]},
    {"n": 2.5, "s": "", "tags": [], "a.b": "it's"},
    {"n": None, "s": "b\"'%_", "tags": ["x", "z"]},
    {},
]


def nodes() -> list[TextNode]:
    made = []
    for at, row in enumerate(ROWS):
        node = TextNode(
            id_=f"node{at}", text=f"text {at}", metadata=row, embedding=[1.0, at / 10, 0.0]
        )
        source = RelatedNodeInfo(node_id=f"doc{at % 2}")
        node.relationships[NodeRelationship.SOURCE] = source
        made.append(node)
    return made


@pytest.fixture()
def store() -> Iterator[VecStoreVectorStore]:
    with vecstore.open(":memory:") as db:
        store = VecStoreVectorStore(db.create_collection("docs", 3))
        assert store.add(nodes()) == [f"node{at}" for at in range(len(ROWS))]
        yield store


def filters(*parts, condition=FilterCondition.AND) -> MetadataFilters:
    made = [
        part if isinstance(part, MetadataFilters)
        else MetadataFilter(key=part[0], operator=part[1], value=part[2])
        for part in parts
    ]
    return MetadataFilters(filters=made, condition=condition)


def ids(store: VecStoreVectorStore, selected: MetadataFilters | None) -> list[str]:
    return [node.node_id for node in store.get_nodes(filters=selected)]


def theirs(selected: MetadataFilters) -> list[str]:
    """What LlamaIndex itself makes of the filters."""
    metadata = {node.node_id: node_to_metadata_dict(node) for node in nodes()}
    matches = build_metadata_filter_fn(metadata.__getitem__, selected)
    return [id for id in metadata if matches(id)]


CONDITIONS = [
    ("n", "==", 2), ("n", "==", 2.0), ("s", "==", "ab"), ("a.b", "==", "it's"),
    ("n", "!=", 2), ("s", "!=", ""), ("none", "!=", 1),
    ("n", ">", 1), ("n", ">=", 2), ("n", "<", 2.5), ("n", "<=", 2), ("s", ">", "AB"),
    ("n", "in", [1, 7]), ("s", "in", ["ab", "AB"]), ("n", "in", [2.5]), ("s", "in", []),
    ("n", "nin", [1, 2]), ("s", "nin", ["ab", "x"]), ("none", "nin", ["a"]), ("s", "nin", []),
    ("tags", "contains", "x"), ("nums", "contains", 2), ("s", "contains", "b"),
    ("s", "text_match", "b"), ("s", "text_match", "%_"), ("s", "text_match", "\"'"),
    ("tags", "any", ["x", "z"]), ("tags", "any", ["q"]), ("tags", "any", []), ("s", "any", ["A"]),
    ("tags", "all", ["x", "y"]), ("tags", "all", ["y"]), ("s", "all", []), ("none", "all", []),
    ("s", "is_empty", None), ("tags", "is_empty", None), ("n", "is_empty", None),
    ("none", "is_empty", None), ("ref_doc_id", "==", "doc1"), ("doc_id", "in", ["doc0"]),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_a_filter_selects_what_llama_index_selects(store, condition) -> None:
    key, operator, value = condition
    selected = filters((key, FilterOperator(operator), value))
    assert ids(store, selected) == theirs(selected)
    found = store.query(
        VectorStoreQuery(query_embedding=[1, 0, 0], similarity_top_k=10, filters=selected)
    )
    assert sorted(found.ids) == theirs(selected)


@pytest.mark.parametrize("condition", list(FilterCondition))
def test_conditions_join_filters_as_llama_index_does(store, condition) -> None:
    for some in itertools.combinations(CONDITIONS[::5], 2):
        parts = [(key, FilterOperator(operator), value) for key, operator, value in some]
        selected = filters(*parts, condition=condition)
        assert ids(store, selected) == theirs(selected), some
    assert ids(store, MetadataFilters(filters=[], condition=condition)) == ids(store, None)


def test_filters_nest(store) -> None:
    low = filters(("n", FilterOperator.LT, 2))
    empty = filters(("s", FilterOperator.EQ, ""))
    either = filters(low, empty, condition=FilterCondition.OR)
    assert ids(store, either) == ["node0", "node2"]
    assert ids(store, filters(either, ("n", FilterOperator.GT, 1))) == ["node2"]
    neither = filters(low, empty, condition=FilterCondition.NOT)
    assert ids(store, neither) == ["node1", "node3", "node4"]
    assert ids(store, filters(low, MetadataFilters(filters=[]))) == ["node0"]


def test_every_operator_is_taken_or_refused_by_name(store) -> None:
    taken = {operator for _, operator, _ in CONDITIONS}
    for operator in FilterOperator:
        if operator.value not in taken:
            with pytest.raises(ValueError, match=operator.name):
                ids(store, filters(("s", operator, "a")))
    assert taken == {o.value for o in FilterOperator} - {"text_match_insensitive"}
    for operator, value in [
        ("==", ["a"]), ("contains", ["a"]), ("in", "a"), ("nin", 1), ("any", "a"), ("all", 1)
    ]:
        with pytest.raises(ValueError, match="takes"):
            ids(store, filters(("s", FilterOperator(operator), value)))


def test_class() -> None:
    names = [base.__name__ for base in VecStoreVectorStore.__mro__]
    assert BasePydanticVectorStore.__name__ in names
    store = VecStoreVectorStore.from_path(":memory:", dim=3)
    assert (store.class_name(), store.stores_text, store.is_embedding_query) == (
        "VecStoreVectorStore", True, True
    )
    assert isinstance(store.client, vecstore.Collection)


def test_nodes_come_back_as_they_were() -> None:
    store = VecStoreVectorStore.from_path(":memory:", dim=3)
    given = [
        *nodes(),
        IndexNode(id_="index", text="i", index_id="other", embedding=[1, 2, 3]),
        ImageNode(id_="image", text="p", image_url="http://localhost/x.png", embedding=[1, 2, 3]),
    ]
    store.add(given)
    wanted = [node.node_id for node in given][::-1]
    found = store.get_nodes(wanted)
    for node, back in zip(given[::-1], found, strict=True):
        assert type(back) is type(node)
        back.embedding = node.embedding
        assert back == node


def test_query(store) -> None:
    found = store.query(VectorStoreQuery(query_embedding=[1, 0, 0], similarity_top_k=2))
    assert found.ids == ["node0", "node1"]
    assert [node.get_content() for node in found.nodes] == ["text 0", "text 1"]
    assert found.similarities[0] == pytest.approx(1.0)
    assert found.similarities[0] > found.similarities[1]
    some = VectorStoreQuery(query_embedding=[1, 0, 0], similarity_top_k=9, doc_ids=["doc1"])
    assert store.query(some).ids == ["node1", "node3"]
    some.node_ids = ["node3", "node4"]
    assert store.query(some, exact=True).ids == ["node3"]
    some.node_ids, some.doc_ids = [], []
    assert len(store.query(some).ids) == len(ROWS)


def test_mmr(store) -> None:
    twin = TextNode(id_="twin", text="twin", embedding=[1.0, 0.001, 0.0])
    far = TextNode(id_="far", text="far", embedding=[0.5, 0.0, 0.9])
    store.add([twin, far])
    query = VectorStoreQuery(
        query_embedding=[1, 0, 0], similarity_top_k=2, mode=VectorStoreQueryMode.MMR,
    )
    query.mmr_threshold = 1.0
    assert store.query(query).ids == ["node0", "twin"]
    query.mmr_threshold = 0.1
    assert store.query(query, mmr_prefetch_k=7).ids == ["node0", "far"]
    assert store.query(query, mmr_threshold=1.0, mmr_prefetch_k=7).ids == ["node0", "twin"]


def test_what_is_refused(store) -> None:
    with pytest.raises(ValueError, match="embedding"):
        store.query(VectorStoreQuery())
    for mode in VectorStoreQueryMode:
        if mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            with pytest.raises(ValueError, match=mode.value):
                store.query(VectorStoreQuery(query_embedding=[1, 0, 0], mode=mode))
    for call in [
        lambda: store.add([], nonsense=1), lambda: store.delete("a", nonsense=1),
        lambda: store.delete_nodes([], nonsense=1),
        lambda: store.query(VectorStoreQuery(query_embedding=[1, 0, 0]), nonsense=1),
    ]:
        with pytest.raises(TypeError, match="nonsense"):
            call()


def test_delete(store) -> None:
    store.delete("doc0")
    assert ids(store, None) == ["node1", "node3"]
    store.delete_nodes(["node1", "node9"], filters(("n", FilterOperator.EQ, 7)))
    assert ids(store, None) == ["node1", "node3"]
    store.delete_nodes(["node1", "node9"])
    assert ids(store, None) == ["node3"]
    store.delete_nodes([])
    store.add(nodes())
    store.delete_nodes(filters=filters(("n", FilterOperator.GTE, 2)))
    assert ids(store, None) == ["node0", "node3", "node4"]
    both = store.get_nodes(["node4", "node0", "node1"], filters(("n", FilterOperator.NE, 7)))
    assert [node.node_id for node in both] == ["node4", "node0"]
    store.clear()
    assert store.get_nodes() == []


async def test_async() -> None:
    store = VecStoreVectorStore.from_path(":memory:", dim=3)
    await asyncio.gather(*(store.async_add([node]) for node in nodes()))
    found = await store.aquery(VectorStoreQuery(query_embedding=[1, 0, 0], similarity_top_k=1))
    assert found.ids == ["node0"]
    assert len(await store.aget_nodes(filters=filters(("n", FilterOperator.LT, 2)))) == 1
    await store.adelete("doc1")
    assert len(await store.aget_nodes()) == 3
    await store.adelete_nodes(filters=filters(("n", FilterOperator.LT, 2)))
    assert [node.node_id for node in await store.aget_nodes()] == ["node2", "node4"]
    await store.aclear()
    assert await store.aget_nodes() == []


def test_an_index_over_it(tmp_path) -> None:
    embedding = MockEmbedding(embed_dim=8)
    with vecstore.open(tmp_path / "data") as db:
        store = VecStoreVectorStore(db.create_collection("docs", 8))
        index = VectorStoreIndex.from_documents(
            [Document(text="a fruit", id_="a", metadata={"year": 2020}),
             Document(text="a tree", id_="b", metadata={"year": 2021})],
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=embedding,
        )
        index.delete_ref_doc("a")
    with vecstore.open(tmp_path / "data") as db:
        store = VecStoreVectorStore(db.collection("docs"))
        index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
        index.insert(Document(text="a root", id_="c", metadata={"year": 2022}))
        for selected, expected in [
            (None, {"a tree", "a root"}), (filters(("year", FilterOperator.GT, 2021)), {"a root"})
        ]:
            retriever = index.as_retriever(similarity_top_k=5, filters=selected)
            assert {hit.node.get_content() for hit in retriever.retrieve("fruit")} == expected
