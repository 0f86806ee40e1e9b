"""The Python binding, through its public names only; needs nothing but the standard library."""

import array
import ast
import inspect
import math
import os
import pathlib
import pickle
import sys
import tempfile
import threading
import time
import unittest
import uuid
import warnings

import vecstore

try:
    import numpy
except ImportError:
    numpy = None

UUID = uuid.UUID("67e55044-10b1-426f-9247-bb680e5fe0c8")


class InMemory(unittest.TestCase):
    """A database in memory, with a collection of three components."""

    def setUp(self):
        self.db = vecstore.open(":memory:")
        self.addCleanup(self.db.close)
        self.docs = self.db.create_collection("docs", 3)

    def add_words(self):
        self.docs.batch_upsert(
            ["a", "b", "c"],
            [[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0]],
            [{"pos": "n", "year": 2021}, {"pos": "v", "year": 2022}, {"pos": "n", "year": 2023}],
        )


class TestRecords(InMemory):
    def test_ids_come_back_with_their_type(self):
        for id in [0, 2**63, 2**64 - 1, "a", "12", str(UUID), "ü" * 256, UUID]:
            self.docs.upsert(id, [1, 2, 3])
            record = self.docs.get(id)
            self.assertIs(type(record.id), type(id))
            self.assertEqual(record.id, id)
        self.assertEqual(self.docs.count(), 8)

    def test_ids_that_are_refused(self):
        for id in [-1, 2**64, "", "x" * 513, "\ud800"]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(id)):
                self.docs.upsert(id, [1, 2, 3])
        for id in [True, None, 1.0, b"a", ("a",), ["a"]]:
            with self.assertRaises(TypeError, msg=repr(id)):
                self.docs.upsert(id, [1, 2, 3])
        self.assertEqual(self.docs.count(), 0)

    def test_metadata_comes_back_exactly(self):
        metadata = {
            "true": True, "false": False, "one": 1, "zero": 0, "least": -(2**63),
            "most": 2**63 - 1, "beyond_a_double": 2**53 + 1, "whole": 1.0, "tenth": 0.1,
            "minus_zero": -0.0, "huge": 1.7976931348623157e308, "tiny": 5e-324, "large": 1e16,
            "text": "ünï\0\n\"", "empty": "", "none": None, "list": [1, 1.0, True, "1", None, []],
            "nested": {"a": {"b": [{"c": False}]}, "empty": {}}, "": 1, "a.b": 2,
        }

        def assert_same(a, b, at):
            self.assertIs(type(a), type(b), at)
            if isinstance(a, dict):
                self.assertEqual(a.keys(), b.keys(), at)
                for key in a:
                    assert_same(a[key], b[key], f"{at}.{key}")
            elif isinstance(a, list):
                self.assertEqual(len(a), len(b), at)
                for i, (x, y) in enumerate(zip(a, b)):
                    assert_same(x, y, f"{at}[{i}]")
            else:
                self.assertEqual(a, b, at)
                if isinstance(a, float):
                    self.assertEqual(math.copysign(1, a), math.copysign(1, b), at)

        self.docs.upsert("a", [1, 2, 3], metadata)
        assert_same(self.docs.get("a").metadata, metadata, "memtable")
        self.docs.flush()
        assert_same(self.docs.get("a").metadata, metadata, "segment")
        assert_same(self.docs.query([1, 2, 3])[0].metadata, metadata, "hit")
        assert_same(self.docs.scroll()[0][0].metadata, metadata, "scroll")
        self.docs.upsert("b", [1, 2, 3], {"tuple": (1, (2,))})
        self.assertEqual(self.docs.get("b").metadata, {"tuple": [1, [2]]})

    def test_metadata_that_is_refused(self):
        itself = []
        itself.append(itself)
        deep = 1
        for _ in range(100):
            deep = [deep]
        for value in [2**63, -(2**63) - 1, math.nan, math.inf, "\ud800", itself, deep]:
            with self.assertRaises(vecstore.InvalidArgumentError) as caught:
                self.docs.upsert("a", [1, 2, 3], {"x": [0, value]})
            self.assertIn("record `a`: metadata.x[1]", str(caught.exception))
        for metadata in [[], "{}", {1: 2}, {"x": b""}, {"x": {1, 2}}, {"x": 1j}, {"x": object()}]:
            with self.assertRaises(TypeError):
                self.docs.upsert("a", [1, 2, 3], metadata)
        self.assertEqual(self.docs.count(), 0)

    def test_vectors(self):
        exact = [0.5, -2.0, 3.25]
        for vector in [
            exact, tuple(exact), array.array("f", exact), array.array("d", exact),
            memoryview(array.array("f", exact)), memoryview(array.array("d", exact[::-1]))[::-1],
        ]:
            self.docs.upsert(1, vector)
            found = self.docs.get(1).vector
            self.assertIsInstance(found, array.array)
            self.assertEqual(found.typecode, "f")
            self.assertEqual(list(found), exact, vector)
        self.docs.upsert(2, found)
        self.assertEqual(self.docs.get(2).vector, found)

    def test_vectors_that_are_refused(self):
        flat = memoryview(array.array("f", range(12)))
        for vector in [
            [], [1, 2], [1, 2, 3, 4], [1, 2, math.nan], [1, 2, 1e300], [0, 0, 0],
            array.array("i", [1, 2, 3]), b"\1\2\3", bytearray(3), memoryview(b"\0" * 6).cast("H"),
            flat.cast("B").cast("f", (1, 3, 4)),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(vector)):
                self.docs.upsert("a", vector)
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(vector)):
                self.docs.query(vector)
        for vector in [None, 1, "abc", ["1", "2", "3"], {1, 2, 3}, {0: 1, 1: 2, 2: 3}, [[1], 2, 3],
                       iter([1, 2, 3])]:
            with self.assertRaises(TypeError, msg=repr(vector)):
                self.docs.upsert("a", vector)
        self.assertEqual(self.docs.count(), 0)

    def test_a_message_says_what_is_wrong_where(self):
        with self.assertRaisesRegex(ValueError, "vector has 2 components, expected 3"):
            self.docs.upsert("a", [1, 2])
        with self.assertRaisesRegex(TypeError, r"record `a`: vector: component 1: .*str"):
            self.docs.upsert("a", [1, "2", 3])
        with self.assertRaisesRegex(ValueError, r"batch position 1.*component 2.*finite"):
            self.docs.batch_upsert([1, 2], [[1, 2, 3], [1, 2, math.inf]])
        with self.assertRaisesRegex(TypeError, r"^vectors\[1\]: .*NoneType"):
            self.docs.batch_upsert([1, 2], [[1, 2, 3], None])
        with self.assertRaisesRegex(ValueError, "float32 or float64"):
            self.docs.upsert("a", memoryview(b"\0" * 6).cast("h"))

    def test_batch(self):
        numbers = array.array("f", range(1, 13))
        shaped = memoryview(numbers).cast("B").cast("f", (4, 3))
        rows = [list(numbers[i:i + 3]) for i in range(0, 12, 3)]
        for vectors in [rows, tuple(map(tuple, rows)), shaped, [array.array("d", r) for r in rows]]:
            ids = ["a", 1, UUID, "1"]
            self.docs.remove(ids)
            seq = self.docs.batch_upsert(ids, vectors, [{"i": 0}, None, {}, {"i": 3}])
            self.assertIsInstance(seq, int)
            found = self.docs.get(ids)
            self.assertEqual([list(r.vector) for r in found], rows)
            self.assertEqual([r.metadata for r in found], [{"i": 0}, {}, {}, {"i": 3}])
            self.assertEqual([r.id for r in found], ids)
        self.docs.batch_upsert(range(10, 12), rows[:2])
        self.docs.batch_upsert((i for i in (12, 13)), rows[:2], ({"n": i} for i in (1, 2)))
        self.docs.batch_upsert([], [])
        self.assertEqual(self.docs.count(), 8)

    def test_batches_that_are_refused_change_nothing(self):
        two = [[1, 2, 3], [4, 5, 6]]
        shaped = memoryview(array.array("f", range(1, 7))).cast("B").cast("f", (2, 3))
        for ids, vectors, metadata in [
            ([1], two, None), ([1, 2, 3], two, None), ([1, 2, 3], shaped, None),
            ([1, 2], array.array("f", range(6)), None), ([1, 2], two, [{}]),
            ([1, 2], two, [{}, {}, {}]), ([1, 2], [[1, 2, 3], [1, 2]], None), ([1, -2], two, None),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError):
                self.docs.batch_upsert(ids, vectors, metadata)
        for ids, vectors, metadata in [
            ("ab", two, None), (1, two, None), ([1, 2], two, {}), ([1, 2], two, [{}, 1]),
            ([1, 2], None, None), ([1, 2], "ab", None),
        ]:
            with self.assertRaises(TypeError):
                self.docs.batch_upsert(ids, vectors, metadata)
        self.assertEqual(self.docs.count(), 0)

    def test_get_and_remove(self):
        self.add_words()
        self.assertIsNone(self.docs.get("x"))
        self.assertEqual([r and r.id for r in self.docs.get(["c", "x", "a"])], ["c", None, "a"])
        self.assertEqual(self.docs.get([]), [])
        self.assertIs(self.docs.remove("x"), False)
        self.assertIs(self.docs.remove("a"), True)
        self.assertIs(self.docs.remove("a"), False)
        removed = self.docs.remove(["a", "b"])
        self.assertIs(type(removed), int)
        self.assertEqual(removed, 1)
        self.assertEqual(self.docs.remove_where("pos = 'v'"), 0)
        self.assertEqual(self.docs.remove_where("pos = 'n'"), 1)
        self.assertEqual(self.docs.count(), 0)

    def test_namespaces(self):
        other = self.docs.namespace("tenant")
        other.upsert("a", [1, 2, 3])
        self.assertIsNone(self.docs.get("a"))
        self.assertEqual(other.count(), 1)
        self.assertEqual(self.docs.namespaces(), {"tenant": 1})
        self.assertEqual((self.docs.namespace_name, other.namespace_name), ("", "tenant"))
        with self.assertRaises(vecstore.InvalidArgumentError):
            self.docs.namespace("\n")


class TestSearch(InMemory):
    def setUp(self):
        super().setUp()
        self.add_words()

    def ids(self, *args, **options):
        return [hit.id for hit in self.docs.query(*args, **options)]

    def test_hits(self):
        hits = self.docs.query([1, 0, 0], include=["metadata", "vector"])
        self.assertEqual([hit.id for hit in hits], ["a", "c", "b"])
        self.assertAlmostEqual(hits[0].score, 1.0, places=5)
        self.assertAlmostEqual(hits[0].distance, 0.0, places=5)
        self.assertEqual(hits[0].metadata, {"pos": "n", "year": 2021})
        self.assertEqual(list(hits[0].vector), [1, 0, 0])
        self.assertRegex(repr(hits[0]), r"^Hit\(id='a', score=\d\.\d+, distance=\d")
        self.assertIn("metadata={'pos': 'n', 'year': 2021}, vector=<3 floats>)", repr(hits[0]))
        with self.assertRaises(AttributeError):
            hits[0].score = 1

    def test_include(self):
        for include, metadata, vector in [
            (None, True, False), (["metadata"], True, False), (["vector"], False, True),
            ((), False, False), (("metadata", "vector"), True, True),
        ]:
            for found in [self.docs.query([1, 0, 0], include=include)[0],
                          self.docs.scroll(include=include)[0][0]]:
                self.assertEqual(found.metadata is not None, metadata, include)
                self.assertEqual(found.vector is not None, vector, include)
        for include in ["metadata", ["vectors"], [1], ["metadata", "x"]]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(include)):
                self.docs.query([1, 0, 0], include=include)

    def test_filters(self):
        for options, expected in [
            ({"k": 1}, ["a"]),
            ({"filter": "pos = 'n' AND year < 2023"}, ["a"]),
            ({"filter": "year IN ($a, $b)", "params": {"a": 2022, "b": 2023}}, ["c", "b"]),
            ({"filter": "pos = $p", "params": {"p": "v"}, "k": 5}, ["b"]),
            ({"score_threshold": 0.9}, ["a", "c"]),
            ({"ef": 64}, ["a", "c", "b"]),
            ({"recall": 0.99}, ["a", "c", "b"]),
            ({"exact": True}, ["a", "c", "b"]),
        ]:
            self.assertEqual(self.ids([1, 0, 0], **options), expected, options)
            self.assertIsInstance(self.docs.explain([1, 0, 0], **options), str)
        self.assertEqual(self.docs.count("pos = 'n'"), 2)
        self.assertEqual(self.docs.count(filter="pos = 'x'"), 0)

    def test_requests_that_are_refused(self):
        for options in [
            {"k": 0}, {"k": -1}, {"k": 10**6}, {"ef": 0}, {"ef": -1}, {"recall": 0.0},
            {"recall": 1.1}, {"recall": math.nan}, {"ef": 10, "exact": True},
            {"ef": 10, "recall": 0.9}, {"filter": "pos ="}, {"filter": "pos = $p"},
            {"params": {"p": 1}}, {"filter": "pos = $p", "params": {"p": 2**63}},
            {"score_threshold": math.nan},
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(options)):
                self.docs.query([1, 0, 0], **options)
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(options)):
                self.docs.explain([1, 0, 0], **options)
        for options in [{"limit": 3}, {"k": "3"}, {"filter": 1}, {"params": []}, {"exact": 1}]:
            with self.assertRaises(TypeError, msg=repr(options)):
                self.docs.query([1, 0, 0], **options)
        with self.assertRaises(vecstore.InvalidArgumentError):
            self.docs.remove_where("pos ==== 1")
        with self.assertRaises(vecstore.InvalidArgumentError):
            self.docs.scroll(limit=0)

    def test_explain_shows_the_filter(self):
        self.assertIn("pos", self.docs.explain([1, 0, 0], filter="pos = 'n'"))

    def test_metrics(self):
        for metric, scores in [("dot", [2.0, 0.0]), ("euclidean", [-1.0, -math.sqrt(5)])]:
            points = self.db.create_collection(metric, dim=2, metric=metric.upper())
            self.assertEqual(points.metric, metric)
            points.batch_upsert([1, 2], [[1, 0], [0, 1]])
            hits = points.query([2, 0])
            self.assertEqual([hit.id for hit in hits], [1, 2])
            for hit, score in zip(hits, scores):
                self.assertAlmostEqual(hit.score, score, places=5)

    def test_scroll(self):
        self.docs.upsert(UUID, [1, 2, 3])
        self.docs.batch_upsert([5, 3], [[1, 2, 3]] * 2)
        seen, after = self.docs.scroll(limit=2)
        for _ in range(2):
            self.assertIsNotNone(after)
            page, after = self.docs.scroll(limit=2, after=after)
            seen += page
        self.assertIsNone(after)
        self.assertEqual([record.id for record in seen], [3, 5, UUID, "a", "b", "c"])
        self.assertIn("Record(id=3, metadata={})", repr(seen[0]))
        page, after = self.docs.scroll("pos = $p", params={"p": "n"})
        self.assertEqual(([record.id for record in page], after), (["a", "c"], None))


class TestDatabase(InMemory):
    def test_collections(self):
        self.db.create_collection("a", dim=2, metric="dot", m=8, ef_construction=64)
        self.assertEqual(self.db.collections(), ["a", "docs"])
        again = self.db.create_collection("docs", 3, if_not_exists=True)
        self.assertEqual((again.name, again.dim, again.metric), ("docs", 3, "cosine"))
        self.assertEqual(
            repr(again), "Collection('docs', namespace='', dim=3, metric='cosine')"
        )
        with self.assertRaises(vecstore.AlreadyExistsError):
            self.db.create_collection("docs", 3)
        for options, difference in [
            ({"dim": 4}, "dim 3, not 4"), ({"dim": 3, "metric": "dot"}, 'metric "cosine", not "dot"'),
            ({"dim": 3, "m": 8}, "m 16, not 8"),
        ]:
            with self.assertRaisesRegex(vecstore.ConflictError, difference):
                self.db.create_collection("docs", if_not_exists=True, **options)
        self.db.drop_collection("docs")
        with self.assertRaises(vecstore.NotFoundError):
            self.docs.count()
        for call in [self.db.collection, self.db.drop_collection]:
            with self.assertRaises(vecstore.NotFoundError):
                call("docs")

    def test_settings_that_are_refused(self):
        for name, options in [
            ("x", {"dim": 0}), ("x", {"dim": -1}), ("x", {"dim": 10**6}), ("", {"dim": 2}),
            ("a/b", {"dim": 2}), ("x", {"dim": 2, "metric": "hamming"}), ("x", {"dim": 2, "m": 1}),
            ("x", {"dim": 2, "ef_construction": 10**9}),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr((name, options))):
                self.db.create_collection(name, **options)

    def test_snapshots(self):
        self.add_words()
        made = self.db.create_snapshot("before")
        self.assertEqual((made["name"], made["records"]), ("before", 3))
        self.assertEqual(self.db.list_snapshots(), [made])
        with self.assertRaises(vecstore.AlreadyExistsError):
            self.db.create_snapshot("before")
        self.docs.remove("a")
        self.db.restore_snapshot("before")
        self.assertEqual(self.db.collection("docs").count(), 3)
        self.db.remove_snapshot("before")
        self.assertEqual(self.db.list_snapshots(), [])
        for call in [self.db.restore_snapshot, self.db.remove_snapshot]:
            with self.assertRaises(vecstore.NotFoundError):
                call("before")

    def test_maintenance(self):
        self.add_words()
        self.docs.flush()
        self.docs.remove("a")
        self.docs.upsert("d", [1, 2, 3])
        self.db.flush()
        self.assertEqual(self.docs.optimize()["segments_after"], 1)
        self.assertEqual(self.db.optimize()["segments_after"], 1)
        stats = self.docs.stats()
        self.assertEqual((stats["name"], stats["dim"], stats["records"]), ("docs", 3, 3))
        self.assertEqual([(s["rows"], s["deleted"]) for s in stats["segments"]], [(3, 0)])
        whole = self.db.stats()
        self.assertIsNone(whole["path"])
        self.assertEqual(whole["collections"], [stats])
        verified = self.db.verify()
        self.assertEqual((verified["segments"], verified["problems"]), (1, []))

    def test_closed(self):
        with self.db as db:
            self.assertIs(db, self.db)
        self.assertEqual(repr(self.db), "Database(':memory:', closed)")
        self.assertEqual(repr(self.docs), "Collection(closed)")
        self.db.close()
        for call in [self.db.collections, self.db.stats, self.docs.count, lambda: self.docs.name,
                     lambda: self.docs.upsert(1, [1, 2, 3]), lambda: self.docs.namespace("x")]:
            with self.assertRaises(vecstore.ClosedError):
                call()


class TestFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "data"

    def test_a_closed_database_can_be_opened_again_at_once(self):
        with vecstore.open(self.path) as db:
            docs = db.create_collection("docs", 2)
            tenant = docs.namespace("tenant")
            docs.upsert("a", [1, 2], {"x": 1})
            self.assertEqual(db.stats()["path"], str(self.path))
            with self.assertRaises(vecstore.BusyError):
                vecstore.open(str(self.path))
        # `docs` and `tenant` are still there.
        with vecstore.open(str(self.path)) as db:
            self.assertEqual(db.collection("docs").get("a").metadata, {"x": 1})
            with self.assertRaises(vecstore.ClosedError):
                tenant.count()

    def test_a_database_closes_when_nothing_holds_it(self):
        docs = vecstore.open(self.path).create_collection("docs", 2)
        docs.upsert("a", [1, 2])
        del docs
        with vecstore.open(self.path) as db:
            self.assertEqual(db.collection("docs").count(), 1)

    def test_exceptions_pass_through_the_context_manager(self):
        with self.assertRaises(ZeroDivisionError):
            with vecstore.open(self.path):
                1 / 0
        vecstore.open(self.path).close()

    def test_folders_that_are_refused(self):
        self.path.mkdir()
        file = self.path / "file"
        file.write_text("x")
        with self.assertRaises(vecstore.ConflictError):
            vecstore.open(self.path)
        with self.assertRaises(vecstore.IoError) as caught:
            vecstore.open(file / "data")
        self.assertIsInstance(caught.exception, OSError)
        self.assertIsNotNone(caught.exception.errno)
        for path in [None, 1]:
            with self.assertRaises(TypeError):
                vecstore.open(path)

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_a_forked_child_is_told_and_ends(self):
        db = vecstore.open(self.path)
        docs = db.create_collection("docs", 2)
        docs.upsert("a", [1, 2])
        with warnings.catch_warnings():
            # Newer Pythons warn that this process has threads, which is the point here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            told = 0
            for call in ["db.collections()", "docs.count()", "docs.upsert('b', [1, 2])"]:
                try:
                    eval(call)
                except vecstore.ClosedError as error:
                    told += "fork" in str(error)
            db.close()
            # The last references: nothing may wait for the threads of the other process.
            del docs, db
            os._exit(told)
        deadline = time.monotonic() + 30
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                self.fail("the child hangs")
            time.sleep(0.01)
        self.assertEqual(os.waitstatus_to_exitcode(ended[1]), 3)
        docs.upsert("b", [1, 2])
        self.assertEqual(docs.count(), 2)
        db.close()

    def test_damaged_vectors_are_reported(self):
        with vecstore.open(self.path) as db:
            docs = db.create_collection("docs", 64, metric="dot")
            docs.batch_upsert(range(1000), [[i % 7 + 1.0] * 64 for i in range(1000)])
            docs.flush()
        segment = max(self.path.rglob("*.seg"), key=lambda file: file.stat().st_size)
        content = bytearray(segment.read_bytes())
        at = content.find(array.array("f", [3.0] * 64).tobytes())
        self.assertGreater(at, 0)
        content[at] ^= 1
        segment.write_bytes(content)
        with vecstore.open(self.path) as db:
            self.assertNotEqual(db.verify()["problems"], [])
            with self.assertWarns(vecstore.IncompleteWarning):
                db.collection("docs").query([1.0] * 64, exact=True)


class TestThreads(InMemory):
    def test_other_threads_run_while_a_call_works(self):
        n, dim = 4000, 3
        vectors = array.array("f", [(i * 7919 % 1009) + 1.0 for i in range(n * dim)])
        self.docs.batch_upsert(range(n), memoryview(vectors).cast("B").cast("f", (n, dim)))
        ticks = []
        done = threading.Event()

        def tick():
            while not done.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.001)

        # So long that a thread which only asks for the lock does not get it.
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        self.addCleanup(sys.setswitchinterval, switch)
        thread = threading.Thread(target=tick)
        thread.start()
        started = time.monotonic()
        self.docs.flush()
        ended = time.monotonic()
        done.set()
        thread.join()
        self.assertGreater(sum(started < t < ended for t in ticks), 0)

    def test_many_threads(self):
        failures = []

        def work(number):
            try:
                for i in range(50):
                    self.docs.upsert(number * 50 + i, [number + 1, i, 1], {"thread": number})
                    self.assertEqual(len(self.docs.query([number + 1, i, 1], k=1)), 1)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.docs.count(), 200)
        self.assertEqual(self.docs.count("thread = 3"), 50)


class TestModule(unittest.TestCase):
    def test_exceptions(self):
        for name, also in [
            ("InvalidArgument", ValueError), ("NotFound", KeyError), ("AlreadyExists", None),
            ("Conflict", None), ("Busy", None), ("DiskFull", OSError), ("Corrupt", None),
            ("Io", OSError), ("Closed", None), ("Unsupported", None),
        ]:
            error = getattr(vecstore, name + "Error")
            self.assertTrue(issubclass(error, vecstore.Error), name)
            self.assertTrue(also is None or issubclass(error, also), name)
            self.assertEqual(error.__module__, "vecstore")
            self.assertTrue(error.__doc__)
            again = pickle.loads(pickle.dumps(error("why")))
            self.assertEqual((type(again), str(again)), (error, "why"))
        self.assertTrue(issubclass(vecstore.Error, Exception))

    def test_the_stub_describes_this_module(self):
        stub = ast.parse((pathlib.Path(__file__).parents[1] / "vecstore.pyi").read_text("utf-8"))

        def public(names):
            return {name for name in names if not name.startswith("_")}

        def check(described, owner, names, where):
            described = [node for node in described
                         if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
            self.assertEqual(public(node.name for node in described), public(names), where)
            for node in described:
                if node.name.startswith("_"):
                    continue
                place = f"{where}.{node.name}"
                real = inspect.getattr_static(owner, node.name)
                self.assertTrue(real.__doc__, place)
                self.assertEqual(ast.get_docstring(node), inspect.cleandoc(real.__doc__), place)
                if isinstance(node, ast.ClassDef):
                    own = {} if issubclass(real, Exception) else vars(real)
                    check(node.body, real, own, place)
                elif callable(real):
                    parameters = inspect.signature(real).parameters.values()
                    self.assertEqual(
                        [argument.arg for argument in node.args.args],
                        [p.name for p in parameters],
                        place,
                    )
                    self.assertEqual(
                        [ast.literal_eval(default) for default in node.args.defaults],
                        [p.default for p in parameters if p.default is not p.empty],
                        place,
                    )

        check(stub.body, vecstore, vars(vecstore), "vecstore")
        names = next(node.value for node in stub.body if isinstance(node, ast.Assign))
        self.assertEqual(sorted(ast.literal_eval(names)), sorted(vecstore.__all__))
        self.assertTrue(vecstore.__doc__)
        self.assertRegex(vecstore.__version__, r"^\d+\.\d+\.\d+")


@unittest.skipIf(numpy is None, "numpy is not installed")
class TestNumpy(InMemory):
    def test_arrays(self):
        exact = numpy.arange(1, 13).reshape(4, 3) / 4
        for array in [
            exact, exact.astype("float32"), numpy.asfortranarray(exact),
            numpy.repeat(exact.astype("float32"), 2, axis=1)[:, ::2],
        ]:
            ids = numpy.arange(4)
            self.docs.remove(ids)
            self.docs.batch_upsert(ids, array)
            found = self.docs.get(ids)
            self.assertTrue(all(type(record.id) is int for record in found))
            self.assertTrue((numpy.asarray([record.vector for record in found]) == exact).all())
            self.assertEqual(self.docs.query(array[2], k=1, exact=True)[0].score <= 1.001, True)
        self.docs.upsert(numpy.uint64(2**64 - 1), exact[0])
        self.assertEqual(numpy.asarray(self.docs.get(2**64 - 1).vector).dtype, "float32")

    def test_arrays_that_are_refused(self):
        ones = numpy.ones((2, 3))
        for array in [ones.astype("float16"), ones.astype(">f4"), ones.astype("int64"),
                      ones.astype(complex)]:
            with self.assertRaisesRegex(vecstore.InvalidArgumentError, "float32 or float64"):
                self.docs.batch_upsert([1, 2], array)
        for array in [ones[0], ones[None], numpy.ones((0, 3)), numpy.ones((2, 0))]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=repr(array)):
                self.docs.batch_upsert([1, 2], array)

    def test_scalars_in_metadata(self):
        self.docs.upsert(1, [1, 2, 3], {
            "i": numpy.int32(7), "f": numpy.float32(0.5), "d": numpy.float64(0.1),
            "b": numpy.bool_(True), "s": numpy.str_("x"),
        })
        found = self.docs.get(1).metadata
        self.assertEqual(found, {"i": 7, "f": 0.5, "d": 0.1, "b": True, "s": "x"})
        self.assertIs(type(found["b"]), bool)
        self.assertIs(type(found["i"]), int)
        for value in [numpy.ones(1), numpy.datetime64("2020-01-01"), numpy.complex64(1)]:
            with self.assertRaises(TypeError):
                self.docs.upsert(1, [1, 2, 3], {"x": value})


if __name__ == "__main__":
    unittest.main()
