"""The unmodified qdrant-client against `vecstore serve` and against its own in-memory twin.

Generated points, filters and questions go to both, over REST and over gRPC, and the answers are
compared: the same points, the same scores, the same order (among points of different scores), the same
errors where something exists already or does not exist. Prints how much was compared.

    differential.py VECSTORE [ROUNDS] [SEED]
"""

import collections
import json
import math
import random
import sys
import tempfile
import uuid
import warnings
from importlib.metadata import version
from urllib.request import Request, urlopen

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from server import Server

warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")

COUNTS = collections.Counter()
DIM = 8
POINTS = 400
WORDS = ["red", "green", "blue", "dark red", "100%", "under_score", "it's", "", "straße"]
TIMES = [f"2024-0{month}-1{day}T10:00:00Z" for month in (1, 5, 9) for day in (0, 5, 9)]


def failure(act):
    """What went wrong, as the status of HTTP and in words."""
    codes = grpc.StatusCode
    statuses = {codes.INVALID_ARGUMENT: 400, codes.NOT_FOUND: 404, codes.ALREADY_EXISTS: 409, codes.UNIMPLEMENTED: 501}
    try:
        act()
    except UnexpectedResponse as error:
        return error.status_code, str(error)
    except grpc.RpcError as error:
        return statuses.get(error.code(), 500), error.details()
    return None, "nothing went wrong"


def point_id(rng, number):
    return number if rng.random() < 0.7 else str(uuid.UUID(int=rng.getrandbits(128)))


def payload(rng):
    """Values of every type, fields that are missing, arrays, objects, arrays of objects."""
    fields = {
        "word": lambda: rng.choice(WORDS),
        "n": lambda: rng.randint(-5, 5),
        "x": lambda: rng.choice([0.5, -1.25, 3.75, 2.5]),
        "mixed": lambda: rng.choice([1, "1", True, None, 0.25, [], [1, "a"], {"deep": 1}]),
        "flag": lambda: rng.random() < 0.5,
        "tags": lambda: rng.sample(WORDS, rng.randint(0, 3)),
        "numbers": lambda: [rng.randint(0, 9) for _ in range(rng.randint(0, 3))],
        "nothing": lambda: rng.choice([None, [None], 1]),
        "when": lambda: rng.choice(TIMES),
        "inner": lambda: {"n": rng.randint(0, 3), "word": rng.choice(WORDS), "more": {"n": rng.randint(0, 2)}},
        "items": lambda: [{"price": rng.randint(1, 5), "of": rng.choice(WORDS)} for _ in range(rng.randint(0, 3))],
        "a.b": lambda: rng.randint(0, 2),
    }
    return {name: make() for name, make in fields.items() if rng.random() < 0.75}


def leaf(rng):
    match = lambda key, **how: models.FieldCondition(key=key, match=how["match"])
    words, ints = lambda k: rng.sample(WORDS, k), lambda k: rng.sample(range(-5, 6), k)
    ends = {}
    for low in rng.sample(["gt", "gte"], rng.randint(0, 1)):
        ends[low] = rng.choice([-3, -1.25, 0, 1, 2.5])
    for high in rng.sample(["lt", "lte"], 1 if not ends else rng.randint(0, 1)):
        ends[high] = rng.choice([0, 0.5, 3, 3.75, 6])
    dates = {rng.choice(["gt", "gte", "lt", "lte"]): rng.choice(TIMES + ["2024-05-10T12:00:00+02:00"])}
    choices = [
        lambda: match(rng.choice(["word", "tags[]", "tags", "inner.word", "items[].of"]), match=models.MatchValue(value=rng.choice(WORDS))),
        lambda: match(rng.choice(["n", "inner.n", "inner.more.n", "items[].price", "numbers", "mixed", '"a.b"']), match=models.MatchValue(value=rng.randint(-1, 5))),
        lambda: match(rng.choice(["flag", "mixed"]), match=models.MatchValue(value=rng.random() < 0.5)),
        lambda: match(rng.choice(["word", "tags", "missing"]), match=models.MatchAny(any=words(rng.randint(1, 3)))),
        lambda: match(rng.choice(["n", "numbers"]), match=models.MatchAny(any=ints(rng.randint(1, 3)))),
        lambda: match(rng.choice(["word", "tags", "n"]), match=models.MatchPrefix(prefix=rng.choice(["", "re", "1", "it'"]))),
        lambda: match(rng.choice(["word", "tags"]), match=models.MatchSubstring(substring=rng.choice(["", "e", "%", "_", "'s", "ß"]))),
        lambda: models.FieldCondition(key=rng.choice(["n", "x", "numbers", "items[].price", "word", "flag", "mixed", "inner.n"]), range=models.Range(**ends)),
        lambda: models.FieldCondition(key="when", range=models.DatetimeRange(**dates)),
        lambda: models.IsNullCondition(is_null=models.PayloadField(key=rng.choice(["nothing", "mixed", "word", "missing"]))),
        lambda: models.FieldCondition(key=rng.choice(["nothing", "mixed"]), is_null=rng.random() < 0.5),
    ]
    return rng.choice(choices)()


def filter_of(rng, depth=0):
    def condition():
        return filter_of(rng, depth + 1) if depth < 2 and rng.random() < 0.2 else leaf(rng)

    clauses = {}
    for name, chance in (("must", 0.7), ("should", 0.4), ("must_not", 0.3)):
        if rng.random() < chance:
            clauses[name] = [condition() for _ in range(rng.randint(1, 2))]
    return models.Filter(**(clauses or {"must": [condition()]}))


def same_numbers(ours, theirs, what):
    assert len(ours) == len(theirs), what
    for a, b in zip(ours, theirs):
        assert math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5), (what, a, b)


def same_hits(ours, theirs, all_scores, what):
    """The same scores; the same points wherever scores do not tie with what was left out."""
    same_numbers([p.score for p in ours], [p.score for p in theirs], what)
    if not theirs:
        return
    last = theirs[-1].score
    sure = lambda points: {str(p.id) for p in points if not math.isclose(p.score, last, rel_tol=1e-4, abs_tol=1e-5)}
    assert sure(ours) == sure(theirs), what
    shown = {str(p.id): p for p in theirs}
    for point in ours:
        if twin := shown.get(str(point.id)):
            assert (point.payload or None) == (twin.payload or None), (what, point.payload, twin.payload)
            if twin.vector is not None:
                same_numbers(point.vector, twin.vector, what)


def round_of(rng, clients, name, distance):
    ours, theirs = clients
    for client in clients:
        client.create_collection(name, vectors_config=models.VectorParams(size=DIM, distance=distance))
    ids = [point_id(rng, number) for number in range(POINTS)]
    vector = lambda: [rng.uniform(-1, 1) for _ in range(DIM)]
    points = [models.PointStruct(id=i, vector=vector(), payload=payload(rng)) for i in ids]
    changed = [models.PointStruct(id=i, vector=vector(), payload=payload(rng)) for i in rng.sample(ids, 50)]
    for client in clients:
        for start in range(0, POINTS, 100):
            client.upsert(name, points[start : start + 100])
        client.upsert(name, changed)
        client.upload_collection(name, vectors=[[0.5] * DIM] * 3, payload=[{"n": 1}] * 3, ids=[9001, 9002, 9003])
        client.delete(name, points_selector=models.PointIdsList(points=ids[:10] + [77777]))

    doomed = models.Filter(must=[models.FieldCondition(key="word", match=models.MatchValue(value="dark red"))])
    for client in clients:
        client.delete(name, points_selector=models.FilterSelector(filter=doomed))
    left = [client.count(name).count for client in clients]
    assert left[0] == left[1] < POINTS, left
    COUNTS["deletions by filter"] += 1

    for _ in range(150):
        chosen = filter_of(rng)
        what = chosen.model_dump_json(exclude_unset=True)
        counted = [client.count(name, count_filter=chosen).count for client in clients]
        assert counted[0] == counted[1], (what, counted)
        COUNTS["filters counted"] += 1
        COUNTS["points counted"] += counted[0]

        limit, offset = rng.choice([1, 5, 20]), rng.choice([None, None, 3])
        # Effort: an exact search here and there, so that what is compared is the meaning.
        how = dict(limit=limit, offset=offset, query_filter=chosen if rng.random() < 0.8 else None,
                   search_params=models.SearchParams(exact=True),
                   with_payload=rng.choice([True, False, ["word", "inner.n"], models.PayloadSelectorExclude(exclude=["tags", "inner.word"])]),
                   with_vectors=rng.random() < 0.3)
        if rng.random() < 0.2:
            how["score_threshold"] = rng.choice([0.2, 1.0])
        query = rng.choice(ids[10:]) if rng.random() < 0.2 else vector()
        if not isinstance(query, list) and not theirs.retrieve(name, [query]):
            query = vector()
        answers = [client.query_points(name, query=query, **how).points for client in clients]
        same_hits(*answers, None, (what, str(how), query))
        COUNTS["queries"] += 1
        COUNTS["hits"] += len(answers[0])

    of_all = lambda: rng.choice([None, filter_of(rng)])
    for _ in range(20):
        how = dict(query=vector(), query_filter=of_all(), limit=rng.choice([1, 3, 30]), group_size=rng.choice([1, 4]),
                   search_params=models.SearchParams(exact=True), with_payload=True)
        # Fields that are strings or integers throughout: points with anything else in an array differ.
        key = rng.choice(["word", "n", "tags", "tags[]", "inner.word", "items[].price", "flag", "missing"])
        answers = [client.query_points_groups(name, group_by=key, **how).groups for client in clients]
        what = (key, str(how))
        same_numbers([g.hits[0].score for g in answers[0]], [g.hits[0].score for g in answers[1]], what)
        last = answers[1][-1].hits[0].score if answers[1] else 0
        by_value = [{(type(g.id), g.id): g.hits for g in groups} for groups in answers]
        for value, hits in by_value[1].items():
            if value in by_value[0] or not math.isclose(hits[0].score, last, rel_tol=1e-4, abs_tol=1e-5):
                same_hits(by_value[0][value], hits, None, what)
        COUNTS["grouped queries"] += 1
        COUNTS["groups"] += len(answers[0])

        mmr = models.NearestQuery(nearest=vector(), mmr=models.Mmr(diversity=rng.choice([None, 0.0, 0.3, 1.0]), candidates_limit=rng.choice([None, 40])))
        how = dict(query=mmr, query_filter=of_all(), limit=rng.choice([1, 7]), offset=rng.choice([None, 2]), with_payload=False, with_vectors=True)
        diverse = [client.query_points(name, search_params=models.SearchParams(exact=True), **how).points for client in clients]
        same_numbers([p.score for p in diverse[0]], [p.score for p in diverse[1]], str(how))
        # The same vectors in the same order; points with one and the same vector stand for each other.
        for mine, twin in zip(*diverse):
            same_numbers(mine.vector, twin.vector, str(how))
        COUNTS["queries for diverse points"] += 1

        key, chosen, limit = rng.choice(["word", "n", "mixed", "tags", "inner.more.n", "items[].of", "missing"]), of_all(), rng.choice([1, 3, 50])
        facets = [client.facet(name, key, facet_filter=chosen, limit=limit).hits for client in clients]
        assert [(h.value, h.count) for h in facets[0]] == [(h.value, h.count) for h in facets[1]], (key, chosen, facets)
        COUNTS["facets"] += 1

        key, chosen, limit = rng.choice(["n", "x", "inner.n", "when", "missing"]), of_all(), rng.choice([1, 7, 500])
        start = rng.choice(TIMES) if key == "when" else rng.choice([-2, 0, 0.5, 3])
        order = models.OrderBy(key=key, direction=rng.choice(list(models.Direction)), start_from=rng.choice([None, start]))
        ordered = [client.scroll(name, chosen, limit=limit, order_by=order)[0] for client in clients]
        values = [[(p.payload if "." not in key else p.payload["inner"])[key.split(".")[-1]] for p in points] for points in ordered]
        assert values[0] == values[1], (order, chosen, values)
        COUNTS["pages in order"] += 1

    for _ in range(10):
        there = [p.id for p in theirs.scroll(name, limit=1000)[0]]
        points, keys = rng.sample(there, 20), rng.sample(["word", "n", "tags", "inner.word", "missing"], 2)
        given = payload(rng) if rng.random() < 0.8 else {"n": None, "new": [1]}
        selector = points if rng.random() < 0.5 else filter_of(rng)
        act = rng.choice(["set_payload", "overwrite_payload", "delete_payload", "clear_payload"])
        arguments = dict(delete_payload={"keys": keys}, clear_payload={}).get(act, {"payload": given})
        where = {"points_selector" if act == "clear_payload" else "points": selector}
        for client in clients:
            getattr(client, act)(name, **arguments, **where)
        after = [{str(p.id): p.payload or {} for p in client.scroll(name, limit=1000)[0]} for client in clients]
        assert after[0] == after[1], (act, arguments, selector)
        COUNTS["changes of payload"] += 1
    status, words = failure(lambda: ours.set_payload(name, {"missing": None}, points=[there[0], 123456789]))
    assert status == 404 and "123456789" in words, (status, words)

    near = [vector() for _ in range(5)]
    requests = [models.QueryRequest(query=v, limit=3, params=models.SearchParams(exact=True)) for v in near]
    batches = [client.query_batch_points(name, requests) for client in clients]
    for one, two in zip(*batches):
        same_hits(one.points, two.points, None, "batch")
        COUNTS["queries in batches"] += 1

    some = rng.sample(ids, 30) + [88888]
    found = [client.retrieve(name, some, with_vectors=True) for client in clients]
    by_id = [{str(p.id): p for p in points} for points in found]
    assert by_id[0].keys() == by_id[1].keys()
    for key, point in by_id[0].items():
        assert (point.payload or {}) == (by_id[1][key].payload or {}), key
        same_numbers(point.vector, by_id[1][key].vector, key)
        COUNTS["points retrieved"] += 1

    for chosen in [None, filter_of(rng), filter_of(rng)]:
        pages = []
        for client in clients:
            seen, offset = [], None
            while True:
                page, offset = client.scroll(name, scroll_filter=chosen, limit=37, offset=offset)
                seen.append([(str(p.id), json.dumps(p.payload or {}, sort_keys=True)) for p in page])
                if offset is None:
                    break
            pages.append(seen)
        # The same pages: integers ascending, then UUIDs.
        assert pages[0] == pages[1], chosen
        COUNTS["pages scrolled"] += len(pages[0])

    info = ours.get_collection(name)
    assert info.status == models.CollectionStatus.GREEN
    assert info.points_count == theirs.get_collection(name).points_count
    assert info.config.params.vectors == theirs.get_collection(name).config.params.vectors
    ours.create_payload_index(name, "word", models.PayloadSchemaType.KEYWORD)
    ours.update_collection(name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0))


def refusals(client):
    """What is not supported is refused by its name, and nothing is a server error."""
    client.create_collection("r", vectors_config={"": models.VectorParams(size=2, distance=models.Distance.DOT)})
    condition = lambda **how: models.Filter(must=[models.FieldCondition(key="a", **how)])
    cases = [
        ("has_id", lambda: client.count("r", models.Filter(must=[models.HasIdCondition(has_id=[1])]))),
        ("text", lambda: client.count("r", condition(match=models.MatchText(text="a")))),
        ("except", lambda: client.count("r", condition(match=models.MatchExcept(**{"except": ["a"]})))),
        ("values_count", lambda: client.count("r", condition(values_count=models.ValuesCount(gt=1)))),
        ("prefetch", lambda: client.query_points("r", [1, 2], prefetch=models.Prefetch(query=[1, 2]))),
        ("using", lambda: client.query_points("r", [1, 2], using="text")),
        ("query", lambda: client.query_points("r", models.RecommendQuery(recommend=models.RecommendInput(positive=[1])))),
        ("offset", lambda: client.scroll("r", order_by="a", offset=1)),
        ("group_by", lambda: client.query_points_groups("r", group_by='"a.b"', query=[1, 2])),
        ("diversity", lambda: client.query_points("r", models.NearestQuery(nearest=[1, 2], mmr=models.Mmr(diversity=1.5)))),
        ("mmr", lambda: client.query_points_groups("r", group_by="a", query=models.NearestQuery(nearest=[1, 2], mmr=models.Mmr()))),
        ("candidates are too many", lambda: client.query_points("r", models.NearestQuery(nearest=[1, 2], mmr=models.Mmr(candidates_limit=16000)), limit=16000)),
        ("with_lookup", lambda: client.query_points_groups("r", group_by="a", query=[1, 2], with_lookup="s")),
        ("key", lambda: client.set_payload("r", {"b": 1}, points=[1], key="a")),
        ("key", lambda: client.facet("r", '"a.b"')),
        ("sparse_vectors", lambda: client.create_collection("s", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT), sparse_vectors_config={"t": models.SparseVectorParams()})),
        ("vectors.image", lambda: client.create_collection("s", vectors_config={"image": models.VectorParams(size=2, distance=models.Distance.DOT)})),
        ("datatype", lambda: client.create_collection("s", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT, datatype=models.Datatype.UINT8))),
        ("Manhattan", lambda: client.create_collection("s", vectors_config=models.VectorParams(size=2, distance=models.Distance.MANHATTAN))),
        ("quantization_config", lambda: client.create_collection("s", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT), quantization_config=models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)))),
        ("components", lambda: client.upsert("r", [models.PointStruct(id=1, vector=[1.0])])),
        ("components", lambda: client.query_points("r", [1.0])),
        ("`none`", lambda: client.count("none")),
    ]
    for words, act in cases:
        status, told = failure(act)
        assert status in (400, 404) and words in told, (words, status, told)
        COUNTS["refusals"] += 1


def odd_bodies(url):
    """Bodies that are no request are the client's fault."""
    for body in ["", "[]", "{", '{"limit": -1}', '{"filter": {"must": 7}}', '{"query": {"nearest": {}}}', '{"offset": "x"}', '{"ids": [1.5]}']:
        for path in ["points", "points/scroll", "points/query", "points/count", "points/delete", "points/search/batch"]:
            request = Request(f"{url}/collections/r/{path}", data=body.encode(), headers={"content-type": "application/json"})
            try:
                urlopen(request)
            except OSError as error:
                assert 400 <= error.code < 500, (path, body, error.code)
            COUNTS["odd bodies"] += 1


def odd_messages(rng, client, port):
    """Bytes that are no message, and methods that are not there, are the client's fault."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ["Upsert", "Get", "Delete", "SetPayload", "Scroll", "Count", "Query", "QueryBatch", "SearchGroups", "Facet"]:
            call = channel.unary_unary(f"/qdrant.Points/{method}")
            for length in range(40):
                # The name of a collection, and after it what may be anything.
                message = b"\x0a\x01r" + rng.randbytes(length)
                status, told = failure(lambda: call(message))
                assert status in (None, 400, 404), (method, message, status, told)
                COUNTS["odd messages"] += 1
    status, told = failure(lambda: client.update_vectors("r", [models.PointVectors(id=1, vector=[1, 2])]))
    assert status == 501 and "Points/UpdateVectors" in told, (status, told)


def compare(server, rng, rounds, transport):
    ours, theirs = QdrantClient(**server.how(transport)), QdrantClient(":memory:")
    for number in range(rounds):
        for distance in [models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID]:
            round_of(rng, (ours, theirs), f"c{number}-{distance.value}", distance)
    refusals(ours)
    if transport == "REST":
        odd_bodies(server.url)
    else:
        odd_messages(rng, ours, server.grpc_port)
    assert ours.collection_exists("c0-Dot") and not ours.collection_exists("none")
    assert not ours.delete_collection("none")
    again = models.VectorParams(size=2, distance=models.Distance.DOT)
    status, words = failure(lambda: ours.create_collection("c0-Dot", vectors_config=again))
    assert status == 409 and "already exists!" in words, (status, words)
    names = {c.name for c in ours.get_collections().collections}
    assert names == {c.name for c in theirs.get_collections().collections} | {"r"}
    for name in names:
        assert ours.delete_collection(name)


def main():
    binary, rounds, seed = sys.argv[1], int((sys.argv[2:] or ["2"])[0]), int((sys.argv[3:] or ["7"])[0])
    for transport in ["REST", "gRPC"]:
        COUNTS.clear()
        with tempfile.TemporaryDirectory() as folder:
            server = Server(binary, folder)
            try:
                compare(server, random.Random(seed), rounds, transport)
            finally:
                server.process.terminate()
            assert server.process.wait(60) == 0
        counts = ", ".join(f"{n} {what}" for what, n in COUNTS.items())
        print(f"qdrant-client {version('qdrant-client')} over {transport}, seed {seed}: {counts}", flush=True)


main()
