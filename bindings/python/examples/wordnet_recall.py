"""How much effort for how much recall: the same queries with several efforts, against the exact
answer.

    pip install numpy             # and vecstore
    python wordnet_recall.py      # in this folder of a checkout, which has the data
"""

import gzip
import json
import pathlib
import sys
import time

import numpy
import vecstore

DATA = pathlib.Path(__file__).resolve().parents[3] / "server" / "data" / "wordnet-10k"
K = 10


def main(data: pathlib.Path) -> None:
    vectors = numpy.load(data / "base.f16.npy")
    queries = numpy.load(data / "queries.f16.npy").astype("float32")
    with gzip.open(data / "records.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]

    with vecstore.open(":memory:") as db:
        words = db.create_collection("words", dim=vectors.shape[1])
        words.batch_upsert(range(len(vectors)), vectors, records)
        report = words.optimize()  # Into one segment with a graph.
        print(f"{words.count()} records, optimized in {report['seconds']:.1f} s")

        for filter in [None, "pos = 'v'", "domain = 'noun.food'"]:
            truth = words.query(queries, k=K, filter=filter, exact=True, include=[])
            print(f"\nfilter {filter}: {words.count(filter)} records")
            for effort in [{}, {"recall": 0.9}, {"recall": 0.99}, {"ef": 16}, {"ef": 128}]:
                took = []
                for _ in range(5):
                    started = time.perf_counter()
                    found = words.query(queries, k=K, filter=filter, include=[], **effort)
                    took.append(time.perf_counter() - started)
                # A record as near as the last one of the truth is as good as that.
                near = found.distances <= truth.distances[:, -1:] + 1e-6
                name = ", ".join(f"{key}={value}" for key, value in effort.items()) or "default"
                print(f"  {name:<12} recall@{K} {near.mean():.3f}   {len(queries) / min(took):7.0f}"
                      " queries a second")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else DATA)
