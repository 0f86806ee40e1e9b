"""Ctrl-C stops long calls within a second, and the database goes on; threads work side by side."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import numpy
import vecstore

#: Runs one call that takes long, says when it begins, and tells after Ctrl-C how the database is.
CHILD = """
import pathlib, sys, time
import numpy, vecstore

folder, call = pathlib.Path(sys.argv[1]), sys.argv[2]
rng = numpy.random.default_rng(1)

def vectors(n):
    return rng.random((n, 256), dtype="float32")

with vecstore.open(folder / "data", threads=1, background_merge=False, durability="none") as db:
    docs = db.create_collection("docs", 256, metric="euclidean")
    if call != "batch_upsert":
        for part in range(4):
            docs.batch_upsert(range(part * 10_000, (part + 1) * 10_000), vectors(10_000))
            if not call.startswith("flush"):
                docs.flush()
    many = vectors(300_000 if call == "batch_upsert" else 50_000)
    work = {
        "optimize": lambda: docs.optimize(),
        "optimize of the database": lambda: db.optimize(),
        "flush": lambda: docs.flush(),
        "flush of the database": lambda: db.flush(),
        "batch_upsert": lambda: docs.batch_upsert(
            range(len(many)), many, [{"n": i, "text": "x" * 100} for i in range(len(many))]),
        "query_batch": lambda: docs.query_batch(many, exact=True),
        "export": lambda: docs.export(folder / "out.jsonl.gz"),
        "verify": lambda: [db.verify() for _ in range(10_000)],
    }[call]
    before = docs.count()
    print("begins", flush=True)
    try:
        work()
        print("ended by itself")
    except KeyboardInterrupt as error:
        print("interrupted", time.monotonic(), flush=True)
        if call == "batch_upsert":
            # The part that was being written may come after.
            # Without `committed` it was the first one.
            committed = getattr(error, "committed", 0)
            assert committed <= docs.count() <= committed + 2 * 16_384, committed
        else:
            assert docs.count() == before
        assert not any(file.name.startswith(("out", ".vecstore-export")) for file in folder.iterdir())
        # A vector that no other record has.
        [new] = vectors(1)
        docs.upsert("after", new)
        assert docs.query(new, k=1)[0].id == "after"
        assert db.verify()["problems"] == []
with vecstore.open(folder / "data") as db:
    assert db.collection("docs").get("after") is not None
print("fine", flush=True)
"""


def seconds(name):
    """How long is waited before Ctrl-C, so that the call is in the midst of it."""
    return 0.15 if name == "export" else 0.4


@unittest.skipUnless(hasattr(os, "fork"), "needs signals as POSIX has them")
class TestInterrupt(unittest.TestCase):
    def check(self, call):
        with tempfile.TemporaryDirectory() as folder:
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, folder, call], stdout=subprocess.PIPE, text=True
            )
            self.addCleanup(child.stdout.close)
            try:
                self.assertEqual(child.stdout.readline(), "begins\n")
                time.sleep(seconds(call))
                sent = time.monotonic()
                child.send_signal(signal.SIGINT)
                answer = child.stdout.readline().split()
                self.assertEqual(answer[:1], ["interrupted"], answer)
                # One clock for all processes.
                self.assertLess(float(answer[1]) - sent, 1.0)
                self.assertEqual(child.stdout.readline(), "fine\n")
                self.assertEqual(child.wait(30), 0)
            finally:
                child.kill()
                child.wait()

    def test_optimize(self):
        self.check("optimize")

    def test_optimize_of_the_database(self):
        self.check("optimize of the database")

    def test_flush(self):
        self.check("flush")

    def test_flush_of_the_database(self):
        self.check("flush of the database")

    def test_batch_upsert(self):
        self.check("batch_upsert")

    def test_query_batch(self):
        self.check("query_batch")

    def test_export(self):
        self.check("export")

    def test_verify(self):
        self.check("verify")


class TestOverlap(unittest.TestCase):
    """Two calls are under way at once: each begins before the other one ends, though no thread
    gives the interpreter lock away unless a call does."""

    def setUp(self):
        self.db = vecstore.open(":memory:", threads=1)
        self.addCleanup(self.db.close)
        self.docs = self.db.create_collection("docs", 128, metric="dot")
        rng = numpy.random.default_rng(2)
        self.docs.batch_upsert(range(8_000), rng.random((8_000, 128), dtype="float32"))
        self.queries = rng.random((200, 128), dtype="float32")
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        self.addCleanup(sys.setswitchinterval, switch)

    def overlaps(self, call):
        spans = []
        start = threading.Barrier(2)

        def work():
            start.wait()
            began = time.monotonic()
            call()
            spans.append((began, time.monotonic()))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (began, ended), (other_began, other_ended) = spans
        return began < other_ended and other_began < ended

    def check(self, call):
        # A call can be over before the other thread wakes up.
        self.assertTrue(any(self.overlaps(call) for _ in range(200)))

    def test_query_batch(self):
        self.check(lambda: self.docs.query_batch(self.queries, exact=True))

    def test_query(self):
        self.check(lambda: self.docs.query(self.queries[0], k=1000, exact=True))

    def test_explain(self):
        self.check(lambda: self.docs.explain(self.queries[0], k=1000, exact=True))


if __name__ == "__main__":
    unittest.main()
