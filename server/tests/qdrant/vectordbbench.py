"""VectorDBBench's two Qdrant clients, unmodified, against `vecstore serve`.

    vectordbbench.py VECSTORE
"""

import random
import sys
import tempfile
from importlib.metadata import version

from vectordb_bench.backend.clients.api import MetricType
from vectordb_bench.backend.clients.qdrant_cloud.config import QdrantIndexConfig
from vectordb_bench.backend.clients.qdrant_cloud.qdrant_cloud import QdrantCloud
from vectordb_bench.backend.clients.qdrant_local.config import QdrantLocalIndexConfig
from vectordb_bench.backend.clients.qdrant_local.qdrant_local import QdrantLocal
from vectordb_bench.backend.filter import LabelFilter, NewIntFilter, non_filter

from server import Server

DIM, ROWS, K = 16, 3000, 100
LABELS = ["label_10p", "label_50p"]


def nearest(vectors, query, metric, among):
    """The ids of the K nearest, compared one by one."""
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    near = {
        MetricType.L2: lambda v: -sum((x - y) ** 2 for x, y in zip(v, query)),
        MetricType.IP: lambda v: dot(v, query),
        MetricType.COSINE: lambda v: dot(v, query) / dot(v, v) ** 0.5,
    }[metric]
    return set(sorted(among, key=lambda at: near(vectors[at]), reverse=True)[:K])


def recall(found, wanted):
    assert len(found) == len(set(found)) == len(wanted), (len(found), len(wanted))
    return len(wanted.intersection(found)) / len(wanted)


def measured(client, vectors, metric, asks):
    """Inserts, waits as a benchmark does, and asks; the mean recall of each kind of question."""
    rng = random.Random(11)
    labels = [LABELS[at % 10 != 0] for at in range(ROWS)]
    with client.init():
        for start in range(0, ROWS, 1000):
            some = range(start, min(start + 1000, ROWS))
            count, error = client.insert_embeddings(vectors[start : start + 1000], list(some), labels_data=[labels[at] for at in some])
            assert error is None and count == len(some), (count, error)
        client.optimize()
        recalls = []
        for ask, holds in asks:
            among = [at for at in range(ROWS) if holds(at)]
            queries = [[rng.gauss(0, 1) for _ in range(DIM)] for _ in range(10)]
            each = [recall(ask(client, query), nearest(vectors, query, metric, among)) for query in queries]
            recalls.append(sum(each) / len(each))
    return recalls


def prepared(filters):
    def ask(client, query):
        client.prepare_filter(filters)
        return client.search_embedding(query, K)

    return ask


def main():
    rng = random.Random(7)
    vectors = [[rng.gauss(0, 1) for _ in range(DIM)] for _ in range(ROWS)]
    worst, questions = 1.0, 0
    for transport in ["REST", "gRPC"]:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(sys.argv[1], folder)
            try:
                for metric in [MetricType.COSINE, MetricType.L2, MetricType.IP]:
                    how = server.how(transport)
                    case = QdrantIndexConfig(metric_type=metric, create_payload_int_index=True, create_payload_keyword_index=True, is_tenant=True)
                    cloud = QdrantCloud(DIM, how, case, drop_old=True, with_scalar_labels=True)
                    assert not cloud.need_normalize_cosine()
                    asks = [
                        (prepared(non_filter), lambda at: True),
                        (prepared(NewIntFilter(int_value=ROWS // 2)), lambda at: at >= ROWS // 2),
                        (prepared(LabelFilter(label_percentage=0.1)), lambda at: at % 10 == 0),
                    ]
                    recalls = measured(cloud, vectors, metric, asks)
                    case = QdrantLocalIndexConfig(metric_type=metric, m=16, ef_construct=128, hnsw_ef=128, on_disk=True)
                    local = QdrantLocal(DIM, how, case, drop_old=True)
                    asks = [
                        (lambda client, query: client.search_embedding(query, K), lambda at: True),
                        (lambda client, query: client.search_embedding(query, K, {"id": 1000}), lambda at: at > 1000),
                    ]
                    recalls += measured(local, vectors, metric, asks)
                    worst, questions = min(worst, *recalls), questions + 10 * len(recalls)
                    # What they were told to have, they have.
                    assert worst >= 0.95, (transport, metric, recalls)
            finally:
                server.process.terminate()
            assert server.process.wait(60) == 0
    print(f"unmodified, over REST and gRPC: vectordb-bench {version('vectordb-bench')}, {questions} questions, lowest mean recall {worst:.3f}")


main()
