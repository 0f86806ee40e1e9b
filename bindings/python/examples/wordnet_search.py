"""Ten thousand definitions of WordNet: put in, searched, filtered, counted.

    pip install numpy             # and vecstore
    python wordnet_search.py      # in this folder of a checkout, which has the data

A definition that is not in the database is asked for; its vector stands beside the data, so that no
model is needed.
"""

import gzip
import json
import pathlib
import sys
import tempfile

import numpy
import vecstore
from vecstore import F

DATA = pathlib.Path(__file__).resolve().parents[3] / "server" / "data" / "wordnet-10k"


def main(data: pathlib.Path, folder: pathlib.Path) -> None:
    vectors = numpy.load(data / "base.f16.npy")  # float16, (10000, 384)
    with gzip.open(data / "records.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    queries = numpy.load(data / "queries.f16.npy")
    lines = (data / "queries.jsonl").read_text("utf-8").splitlines()
    asked = [json.loads(line) for line in lines]

    with vecstore.open(folder / "wordnet") as db:
        words = db.create_collection("words", dim=vectors.shape[1], metric="cosine")
        words.batch_upsert([record["synset"] for record in records], vectors, records)
        print(words, words.count(), "records")

        print("\nWhat is like:", asked[0]["lemmas"], "-", asked[0]["gloss"])
        for hit in words.query(queries[0], k=3):
            print(f"  {hit.score:.3f}  {', '.join(hit.metadata['lemmas'])}: {hit.metadata['gloss']}")

        food = (F("domain") == "noun.food") & (F("gloss_len") < 60)
        print("\nAnd of short definitions of food:")
        for hit in words.query(queries[0], k=3, filter=food, include=["metadata.gloss"]):
            print(f"  {hit.score:.3f}  {hit.metadata['gloss']}")
        # The same as text, with a value that is bound.
        same = words.query(
            queries[0], k=3, filter="domain = $domain AND gloss_len < 60",
            params={"domain": "noun.food"},
        )
        assert same.ids == words.query(queries[0], k=3, filter=food).ids

        print("\nHow it was found:")
        print(words.explain(queries[0], k=3, filter=food))

        print("Parts of speech:", words.facet("pos")["values"])

        # All queries at once, as arrays.
        batch = words.query(queries, k=5)
        print("\nids", batch.ids.shape, "scores", batch.scores.shape, batch.scores.dtype)
        print("mean similarity of the nearest:", round(float(batch.scores[:, 0].mean()), 3))

    # What was acknowledged is on disk.
    with vecstore.open(folder / "wordnet") as db:
        nearest = db.collection("words").query(queries[0], k=1)
        print("\nAfter opening it again:", nearest.ids)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else DATA, pathlib.Path(folder))
