"""The Python binding, through its public names only; needs nothing but the standard library."""

import array
import asyncio
import collections.abc
import contextlib
import copy
import datetime
import doctest
import errno
import gc
import gzip
import importlib.util
import inspect
import itertools
import json
import math
import os
import pathlib
import pickle
import sys
import tempfile
import threading
import time
import types
import unittest
import unittest.mock
import uuid
import warnings
import weakref

import vecstore
import vecstore.aio
from vecstore import F

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
        assert_same(next(self.docs.scroll())[0].metadata, metadata, "scroll")
        self.docs.upsert("b", [1, 2, 3], {"tuple": (1, (2,)), "a": {"d": 1, "c": 2}})
        found = self.docs.get("b").metadata
        self.assertEqual(found, {"tuple": [1, [2]], "a": {"c": 2, "d": 1}})
        self.assertEqual((list(found), list(found["a"])), (["a", "tuple"], ["c", "d"]))

    def test_records_are_equal_by_value(self):
        self.docs.upsert("a", [1, 2, 3], {"x": 1})
        first = self.docs.get("a")
        self.assertEqual(first, self.docs.get("a"))
        self.assertNotEqual(first, self.docs.get("a", include=["metadata"]))
        self.assertNotEqual(first, self.docs.get("a", include=["vector"]))
        self.assertNotEqual(first, "a")
        for change in [lambda: self.docs.upsert("a", [1, 2, 3], {"x": 1}),
                       lambda: self.docs.update("a", {"x": 2})]:
            before = self.docs.get("a")
            change()
            self.assertNotEqual(before, self.docs.get("a"))
        with self.assertRaises(TypeError):
            hash(first)

    def test_a_record_that_holds_itself_is_collected(self):
        class Witness:
            pass

        self.docs.upsert("a", [1, 2, 3])
        for find in [lambda: self.docs.get("a"), lambda: self.docs.query([1, 2, 3])[0]]:
            found, witness = find(), Witness()
            found.metadata.update(witness=witness, itself=found)
            ended = weakref.ref(witness)
            del witness, found
            gc.collect()
            self.assertIsNone(ended())

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
        with self.assertRaises(vecstore.Error) as caught:
            self.docs.query([1, 2, 3], k=0)
        self.assertEqual(caught.exception.field, "k")
        with self.assertRaises(vecstore.Error) as caught:
            self.db.collection("nothing")
        self.assertIsNone(caught.exception.field)
        with self.assertRaisesRegex(ValueError, "vector has 2 components, expected 3"):
            self.docs.upsert("a", [1, 2])
        with self.assertRaisesRegex(TypeError, r"record `a`: vector: component 1 is str, expected a number"):
            self.docs.upsert("a", [1, "2", 3])
        with self.assertRaisesRegex(ValueError, r"batch position 1.*component 2.*finite"):
            self.docs.batch_upsert([1, 2], [[1, 2, 3], [1, 2, math.inf]])
        with self.assertRaisesRegex(TypeError, r"^vectors\[1\]: .*NoneType"):
            self.docs.batch_upsert([1, 2], [[1, 2, 3], None])
        with self.assertRaisesRegex(ValueError, "float32 or\\s+float64|float32 or float64"):
            self.docs.upsert("a", memoryview(b"\0" * 6).cast("h"))

    def test_a_message_names_the_argument(self):
        a = [1, 2, 3]
        for field, call in [
            ("vector", lambda: self.docs.upsert("a", [1, 2])),
            ("vector", lambda: self.docs.upsert("a", array.array("l", a))),
            ("vector", lambda: self.docs.upsert("a", memoryview(bytes(24)).cast("d", (1, 3)))),
            ("vectors", lambda: self.docs.batch_upsert(["a"], array.array("f", a))),
            ("vectors", lambda: self.docs.batch_upsert(["a"], [a, a])),
            ("metadata", lambda: self.docs.batch_upsert(["a", "b"], [a, a], [{}])),
            ("metadata", lambda: self.docs.batch_upsert(["a"], [a], [{}, {}])),
            ("metadata", lambda: self.docs.batch_upsert(["a"], [a], [{"x": math.nan}])),
            ("metadata", lambda: self.docs.upsert("a", a, {"x": 2**63})),
            ("patch", lambda: self.docs.update("a", {"x": math.inf})),
            ("id", lambda: self.docs.upsert(-1, a)),
            ("id", lambda: self.docs.get(["a", 2**64])),
            ("vector", lambda: self.docs.query([1, 2])),
            ("vector", lambda: self.docs.query_batch([[1, 2]])),
            ("filter", lambda: self.docs.count("x =")),
            ("params", lambda: self.docs.count("x = $p", {"p": math.nan})),
            ("include", lambda: self.docs.query(a, include="vector")),
            ("include", lambda: self.docs.query(a, include=["vectors"])),
            ("include", lambda: self.docs.query(a, include=5)),
            ("params", lambda: self.docs.count("x = $p", {"$p": 1})),
            ("k", lambda: self.docs.query(a, k=-1)),
            ("durability", lambda: vecstore.open(":memory:", durability="fsync")),
            ("durability", lambda: vecstore.open(":memory:", durability=-1)),
            ("busy_timeout", lambda: vecstore.open(":memory:", busy_timeout=math.nan)),
            ("threads", lambda: vecstore.open(":memory:", threads=-1)),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError) as caught:
                call()
            self.assertEqual(caught.exception.field, field, caught.exception)
        with self.assertRaisesRegex(ValueError, r"shape \(3,\), expected \(records, components\)"):
            self.docs.batch_upsert(["a"], array.array("f", a))
        with self.assertRaisesRegex(TypeError, r"metadata\.x: date .*isoformat"):
            self.docs.upsert("a", a, {"x": datetime.date(2024, 5, 1)})
        for message, call in [
            ("expected a number$", lambda: self.docs.query([1, None, 3])),
            ("^ids is int, expected a list of ids$", lambda: self.docs.batch_upsert(5, [a])),
            ("^ids is str, expected a list of ids$", lambda: self.docs.batch_upsert("a", [a])),
            ("^metadata is int, expected a list of dicts", lambda: self.docs.batch_upsert([1], [a], 5)),
            ("^metadata is str, expected a list of dicts", lambda: self.docs.batch_upsert([1], [a], "x")),
            ("^durability is bool", lambda: vecstore.open(":memory:", durability=True)),
            ("^durability is list", lambda: vecstore.open(":memory:", durability=[])),
            ("^the name of a field is int", lambda: F("a", 5)),
        ]:
            with self.assertRaisesRegex(TypeError, message):
                call()

    def test_an_iterator_that_fails_is_not_taken_for_a_wrong_type(self):
        class Ids:
            def __iter__(self):
                raise OSError("the file is gone")

        with self.assertRaisesRegex(OSError, "the file is gone"):
            self.docs.batch_upsert(Ids(), [])

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
            ("ab", two, None), (1, two, None), ([1, 2], two, {"x": 1}), ([1, 2], two, [{}, 1]),
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
        record = self.docs.get("a", include=["metadata.year"])
        self.assertEqual((record.metadata, record.vector), ({"year": 2021}, None))
        [record, none] = self.docs.get(["b", "x"], include=["vector"])
        self.assertEqual((record.metadata, list(record.vector), none), (None, [0, 1, 0], None))
        seq = self.docs.upsert("d", [1, 2, 3])
        self.assertEqual(self.docs.get("d").seq, seq)
        self.assertLess(self.docs.get("a").seq, seq)
        self.assertIs(self.docs.remove("d"), True)
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
        [info] = self.docs.list_namespaces()
        self.assertEqual((info["name"], info["records"]), ("tenant", 1))
        self.assertGreater(info["bytes"], 0)
        self.assertEqual(self.docs.remove_namespace("tenant"), 1)
        self.assertEqual((other.count(), self.docs.remove_namespace("tenant")), (0, 0))

    def test_update(self):
        self.add_words()
        self.assertIs(self.docs.update("a", {"pos": "x", "year": None, "o": {"p": True}}), True)
        self.assertEqual(self.docs.get("a").metadata, {"pos": "x", "o": {"p": True}})
        self.assertIs(self.docs.update("z", {"pos": "x"}), False)
        self.assertEqual(self.docs.update(["a", "b", "z"], {"o": {"q": 1}}), 2)
        self.assertEqual(self.docs.get("a").metadata["o"], {"p": True, "q": 1})
        self.assertEqual(self.docs.update_where("year > $y", {"n": 2.0}, {"y": 2022}), 1)
        self.assertEqual(self.docs.get("c").metadata, {"pos": "n", "year": 2023, "n": 2.0})
        for patch in [None, [], {1: 2}, {"x": b""}]:
            with self.assertRaises(TypeError):
                self.docs.update("a", patch)
        with self.assertRaises(vecstore.InvalidArgumentError):
            self.docs.update_where("n =", {})


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
                          next(self.docs.scroll(include=include))[0]]:
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
            plan = self.docs.explain([1, 0, 0], **options)
            self.assertEqual(plan.hits.ids, expected, options)
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
            next(self.docs.scroll(limit=0))

    def test_explain(self):
        plan = self.docs.explain([1, 0, 0], filter="pos = 'n'", include=["vector"])
        self.assertIn("filter", str(plan))
        self.assertEqual(repr(plan), str(plan))
        self.assertEqual(plan.to_dict()["filter"], "pos = 'n'")
        self.assertEqual(plan.to_dict()["hits"], 2)
        self.assertEqual([list(hit.vector) for hit in plan.hits][0], [1, 0, 0])
        self.docs.flush()
        [compared] = self.docs.explain_alternatives([1, 0, 0], k=1, filter="pos = 'n'")
        self.assertGreaterEqual(compared.regret, 1.0)
        self.assertEqual(compared.to_dict()["matching"], 2)
        self.assertEqual(repr(compared), str(compared))
        self.assertIn("Scan", str(compared))

    def test_facet(self):
        self.docs.upsert("d", [1, 2, 3], {"pos": None, "year": 2021.0, "tags": ["x", "y", "x"]})
        self.docs.upsert("e", [1, 2, 3], {"pos": True, "o": {"p": 1}})
        for flushed in [False, True]:
            facet = self.docs.facet("pos")
            self.assertEqual(facet["values"], [("n", 2), (None, 1), (True, 1), ("v", 1)])
            self.assertIs(facet["values"][2][0], True)
            self.assertEqual(self.docs.facet("pos", limit=1),
                             {"values": [("n", 2)], "distinct": 4})
            self.assertEqual(self.docs.facet("tags")["values"], [("x", 1), ("y", 1)])
            self.assertEqual(self.docs.facet("o.p"), {"values": [(1, 1)], "distinct": 1})
            some = self.docs.facet("pos", filter="year > $y", params={"y": 2021})
            self.assertEqual(some, {"values": [("n", 1), ("v", 1)], "distinct": 2})
            self.docs.flush()
        for options in [{"limit": 0}, {"limit": -1}, {"filter": "x ="}, {"params": {"y": 1}}]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=options):
                self.docs.facet("pos", **options)

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
        pages = self.docs.scroll(limit=2)
        self.assertIsNone(pages.after)
        seen = next(pages)
        self.assertEqual(pages.after, 5)
        for page in self.docs.scroll(limit=2, after=pages.after):
            self.assertLessEqual(len(page), 2)
            seen += page
        self.assertEqual([record.id for record in seen], [3, 5, UUID, "a", "b", "c"])
        self.assertIn("Record(id=3, metadata={})", repr(seen[0]))
        pages = self.docs.scroll("pos = $p", params={"p": "n"})
        self.assertEqual([[record.id for record in page] for page in pages], [["a", "c"]])
        self.assertEqual((pages.after, list(pages)), (None, []))
        self.assertEqual(list(self.docs.scroll("pos = 'x'")), [])

    def test_scroll_in_another_order(self):
        self.docs.batch_upsert(
            [1, 2, 3, 4, 5], [[1, 2, 3]] * 5,
            [{"n": 7}, {"n": 1.5}, {"n": None, "o": {"p": "x"}}, {"n": True}, {"n": 7}],
        )
        up, down = [4, 2, 1, 5, 3, "a", "b", "c"], [1, 5, 2, 4, 3, "a", "b", "c"]
        for flushed in [False, True]:
            for expected, order in [
                (up, {"order_by": "n"}), (down, {"order_by": "n", "descending": True}),
                ([3, 1, 2, 4, 5, "a", "b", "c"], {"order_by": "o.p"}),
                (["c", "b", "a", 1, 2, 3, 4, 5], {"order_by": "year", "descending": True}),
            ]:
                pages = self.docs.scroll(limit=3, **order)
                self.assertIsNone(pages.cursor)
                seen = next(pages)
                self.assertIsNone(pages.after)
                # Another scroll goes on from the text alone.
                rest = self.docs.scroll(limit=3, resume=pages.cursor, **order)
                self.assertEqual(rest.cursor, pages.cursor)
                for page in rest:
                    seen += page
                self.assertIsNone(rest.cursor)
                self.assertEqual([record.id for record in seen], expected, order)
            self.docs.flush()
        pages = self.docs.scroll("n > $n", params={"n": 2}, order_by="n", include=["vector"])
        self.assertEqual(repr(pages), "Scroll(limit=100, order_by='n', at the start)")
        self.assertEqual([(r.id, r.metadata) for r in next(pages)], [(1, None), (5, None)])
        self.assertEqual(repr(pages), "Scroll(limit=100, order_by='n', at the end)")
        pages = self.docs.scroll(limit=1, order_by="n", descending=True)
        next(pages)
        self.assertEqual(repr(pages), "Scroll(limit=1, order_by='n', descending=True, between pages)")

    def test_orders_that_are_refused(self):
        pages = self.docs.scroll(limit=1, order_by="year")
        next(pages)
        for field, options in [
            ("descending", {"descending": True}), ("resume", {"resume": "{}"}),
            ("resume", {"resume": ""}), ("resume", {"resume": pages.cursor, "after": "a"}),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=options) as caught:
                self.docs.scroll(**options)
            self.assertEqual(caught.exception.field, field)
        for options in [
            {"resume": pages.cursor}, {"resume": pages.cursor, "order_by": "pos"},
            {"resume": pages.cursor, "order_by": "year", "descending": True},
            {"order_by": "year", "after": "a"},
        ]:
            with self.assertRaisesRegex(vecstore.InvalidArgumentError, "order", msg=options):
                next(self.docs.scroll(**options))
        with self.assertRaises(TypeError):
            self.docs.scroll(resume=1)

    def test_groups(self):
        self.docs.upsert("d", [0.8, 0.2, 0], {"pos": ["n", True], "year": 1})
        for flushed in [False, True]:
            groups = self.docs.query_groups([1, 0, 0], "pos", k=2, group_size=2)
            found = [(group.value, group.hits.ids) for group in groups]
            self.assertEqual(found, [("n", ["a", "c"]), (True, ["d"])])
            self.assertIs(groups[1].value, True)
            scores = [group.hits.scores[0] for group in groups]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertEqual(groups[0].hits[1].metadata, {"pos": "n", "year": 2023})
            self.docs.flush()
        self.assertTrue(groups.complete)
        self.assertIn("query", groups.steps[0])
        self.assertIsInstance(groups, collections.abc.Sequence)
        self.assertEqual((len(groups), groups[-1].value, [g.value for g in groups[:1]]),
                         (2, True, ["n"]))
        self.assertEqual((groups.index(groups[1]), groups.count(groups[0])), (1, 1))
        again = self.docs.query_groups([1, 0, 0], "pos", k=2, group_size=2)
        self.assertEqual((again, groups.index(again[1])), (groups, 1))
        self.assertNotEqual(groups[0], groups[1])
        self.assertNotEqual(groups, self.docs.query_groups([1, 0, 0], "pos", k=1, group_size=2))
        self.assertIn("<p>'n'</p><table>", groups._repr_html_())
        self.assertTrue(repr(groups).startswith("Groups([Group(value='n', hits=Hits([Hit("))
        some = self.docs.query_groups(
            [1, 0, 0], "pos", filter="year > $y", params={"y": 2021}, include=["metadata.pos"]
        )
        self.assertEqual([(g.value, g.hits.ids, g.hits[0].metadata) for g in some],
                         [("n", ["c"], {"pos": "n"}), ("v", ["b"], {"pos": "v"})])
        self.assertEqual(len(self.docs.query_groups([1, 0, 0], "none")), 0)
        for options in [{"group_size": 0}, {"group_size": -1}, {"k": 0}, {"group_size": 10**5}]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=options):
                self.docs.query_groups([1, 0, 0], "pos", **options)


class TestDatabase(InMemory):
    def test_quotas(self):
        free = dict.fromkeys(["records", "bytes", "batch_records", "results"])
        tenant = self.docs.namespace("tenant")
        self.assertEqual((self.docs.quota(), tenant.namespace_quota()), (free, free))
        self.docs.set_quota(bytes=1 << 40, batch_records=2)
        tenant.set_namespace_quota(records=1, results=5)
        self.assertEqual(self.docs.quota(), free | {"bytes": 1 << 40, "batch_records": 2})
        self.assertEqual(tenant.quota(), self.docs.quota())
        self.assertEqual(tenant.namespace_quota(), free | {"records": 1, "results": 5})
        self.assertEqual(self.docs.namespace_quota(), free)
        tenant.upsert(1, [1, 2, 3])
        for call, said in [
            (lambda: tenant.upsert(2, [1, 2, 3]), "1 records are allowed"),
            (lambda: tenant.query([1, 2, 3], k=6), "5 results"),
            (lambda: self.docs.batch_upsert([1, 2, 3], [[1, 2, 3]] * 3), "2 records of a batch"),
        ]:
            with self.assertRaisesRegex(vecstore.QuotaExceededError, said):
                call()
        self.assertEqual((tenant.count(), self.docs.count()), (1, 0))
        tenant.set_namespace_quota()
        self.assertEqual(tenant.namespace_quota(), free)
        tenant.upsert(2, [1, 2, 3])
        for name in free:
            with self.assertRaises(vecstore.InvalidArgumentError) as caught:
                self.docs.set_quota(**{name: -1})
            self.assertEqual(caught.exception.field, name)

    def test_schema(self):
        days = self.db.create_collection(
            "days", 1, index="clusters", unindexed=["text", "o.p"], dates={"when"},
            fields_max=9, strings_max=8, string_bytes_max=7,
        )
        self.assertEqual(days.settings["index"], "clusters")
        self.assertEqual(days.settings["schema"], {
            "unindexed": ["o.p", "text"], "dates": ["when"], "fields_max": 9, "strings_max": 8,
            "string_bytes_max": 7,
        })
        days.batch_upsert([1, 2], [[1], [2]], {"when": ["2024-05-01", "2025-01-01T00:00:00Z"]})
        self.assertEqual(days.count("when < '2024-12-31T23:00:00+01:00'"), 1)
        with self.assertRaisesRegex(vecstore.ConflictError, "index"):
            self.db.create_collection("days", 1, if_not_exists=True)
        for field, options in [
            ("index", {"index": "hnsw"}), ("fields_max", {"fields_max": 0}),
            ("fields_max", {"fields_max": -1}), ("strings_max", {"strings_max": 1 << 40}),
            ("string_bytes_max", {"string_bytes_max": 0}), ("fields", {"unindexed": ["a..b"]}),
            ("fields", {"unindexed": ["a.b"], "dates": ["a"]}), ("metric", {"metric": "l3"}),
            ("precision", {"precision": "f8"}), ("codes", {"codes": "int4"}),
            ("codes", {"codes": "none", "index": "clusters"}),
        ]:
            with self.assertRaises(vecstore.InvalidArgumentError, msg=options) as caught:
                self.db.create_collection("x", 1, **options)
            self.assertEqual(caught.exception.field, field)
        for options in [{"unindexed": "text"}, {"dates": 1}, {"dates": [1]}]:
            with self.assertRaisesRegex(TypeError, "list of names", msg=options):
                self.db.create_collection("x", 1, **options)

    def test_half_precision(self):
        halves = self.db.create_collection("halves", 2, "dot", precision="float16")
        self.assertEqual(halves.settings["precision"], "f16")
        halves.upsert(1, [0.1, 2])
        self.assertEqual(list(halves.get(1, include=["vector"]).vector), [0.0999755859375, 2])
        with self.assertRaisesRegex(vecstore.InvalidArgumentError, "65505.*precision f16") as caught:
            halves.upsert(2, [65505, 0])
        self.assertEqual(caught.exception.field, "vector")
        with self.assertRaisesRegex(vecstore.ConflictError, 'precision "f16", not "f32"'):
            self.db.create_collection("halves", 2, "dot", if_not_exists=True)

    def test_without_codes(self):
        plain = self.db.create_collection("plain", 2, "dot", codes="none")
        self.assertEqual((plain.settings["codes"], plain.stats()["codes"]), ("none", "none"))
        plain.batch_upsert(range(3000), [[n % 60, n // 60] for n in range(3000)])
        plain.optimize()
        sections = plain.stats()["segments"][0]["sections"]
        self.assertEqual([sections[name] for name in ("quantizer", "codes", "coarse-codes", "sketches")], [0] * 4)
        self.assertEqual(list(plain.query([2, 1], k=2).ids), [2999, 2939])
        with self.assertRaisesRegex(vecstore.ConflictError, 'codes "none", not "int8"'):
            self.db.create_collection("plain", 2, "dot", if_not_exists=True)

    def test_handles_are_not_copied(self):
        hits = self.docs.query([1, 0, 0])
        for handle in [self.db, self.docs, self.docs.scroll(), hits]:
            with self.assertRaisesRegex(TypeError, type(handle).__name__):
                pickle.dumps(handle)
            with self.assertRaisesRegex(TypeError, type(handle).__name__):
                copy.copy(handle)

    def test_collections(self):
        self.db.create_collection("a", dim=2, metric="dot", m=8, ef_construction=64)
        self.assertEqual(self.db.collections(), ["a", "docs"])
        again = self.db.create_collection("docs", 3, if_not_exists=True)
        self.assertEqual((again.name, again.dim, again.metric), ("docs", 3, "cosine"))
        settings = self.db.collection("a").settings
        schema = settings.pop("schema")
        self.assertEqual(settings, {"dim": 2, "metric": "dot", "m": 8, "ef_construction": 64,
                                    "index": "auto", "precision": "f32", "codes": "int8"})
        self.assertEqual((schema["unindexed"], schema["dates"]), ([], []))
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
        self.assertEqual((whole["scrub"]["bytes_per_s"], whole["scrub"]["damaged"]), (0, 0))
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


class TestHits(InMemory):
    def setUp(self):
        super().setUp()
        self.add_words()

    def test_hits_are_a_sequence(self):
        hits = self.docs.query([1, 0, 0])
        self.assertIsInstance(hits, collections.abc.Sequence)
        self.assertEqual([len(hits), hits[-1].id, hits[0].id], [3, "b", "a"])
        self.assertEqual([hit.id for hit in hits[1:]], ["c", "b"])
        self.assertEqual([hit.id for hit in reversed(hits)], ["b", "c", "a"])
        self.assertIn(hits[1], hits)
        self.assertEqual((hits.index(hits[2]), hits.count(hits[2])), (2, 1))
        again = self.docs.query([1, 0, 0])
        self.assertEqual((again, hits.index(again[2])), (hits, 2))
        for other in [self.docs.query([2, 1, 0]), self.docs.query([1, 0, 0], k=2),
                      self.docs.query([1, 0, 0], include=[]), list(hits)]:
            self.assertNotEqual(hits, other)
        batch = self.docs.query([[1, 0, 0], [0, 1, 0]])
        self.assertEqual((batch[0], batch.index(hits)), (hits, 0))
        self.assertEqual(batch, self.docs.query([[1, 0, 0], [0, 1, 0]]))
        self.assertNotEqual(batch, self.docs.query([[0, 1, 0], [1, 0, 0]]))
        with self.assertRaises(IndexError):
            hits[3]
        self.assertTrue(hits.complete)
        self.assertEqual(hits.ids, ["a", "c", "b"])
        self.assertEqual(list(hits.scores), [hit.score for hit in hits])
        self.assertEqual(list(hits.distances), [hit.distance for hit in hits])
        self.assertTrue(repr(hits).startswith("Hits([Hit(id='a'"))
        empty = self.docs.query([1, 0, 0], filter="pos = 'x'")
        self.assertFalse(empty)
        self.assertEqual((list(empty), empty.ids, list(empty.scores)), ([], [], []))

    def test_dict_and_html(self):
        self.docs.upsert("<b>", [1, 0, 0], {"x": "a & b"})
        hits = self.docs.query([1, 0, 0], k=2, include=["metadata", "vector"])
        columns = hits.to_dict()
        self.assertEqual(list(columns), ["id", "score", "distance", "metadata", "vector"])
        self.assertEqual(columns["id"], hits.ids)
        self.assertEqual(columns["metadata"], [hit.metadata for hit in hits])
        self.assertEqual(columns["score"], [hit.score for hit in hits])
        self.assertEqual(columns["distance"], [hit.distance for hit in hits])
        self.assertEqual(list(self.docs.query([1, 0, 0], include=[]).to_dict()),
                         ["id", "score", "distance"])
        html = hits._repr_html_()
        self.assertIn("&lt;b&gt;", html)
        self.assertIn("a &amp; b", html)
        self.assertIn("<th>query</th>", self.docs.query([[1, 0, 0]])._repr_html_())

    def test_a_batch_gives_what_its_queries_give(self):
        asked = [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
        flat = array.array("f", itertools.chain(*asked))
        for vectors in [asked, tuple(map(tuple, asked)), [array.array("d", v) for v in asked],
                        memoryview(flat).cast("B").cast("f", (3, 3))]:
            for batch in [self.docs.query(vectors, k=2), self.docs.query_batch(vectors, k=2)]:
                self.assertEqual(len(batch), 3)
                self.assertTrue(batch.complete)
                for hits, vector in zip(batch, asked):
                    one = self.docs.query(vector, k=2)
                    self.assertEqual(repr(hits), repr(one))
                self.assertEqual([list(row) for row in batch.ids], [hits.ids for hits in batch])
                self.assertEqual(batch.scores.shape, (3, 2))
                self.assertEqual(batch.distances[2, 1], batch[2][1].distance)
        columns = self.docs.query_batch(asked, k=2).to_dict()
        self.assertEqual(columns["query"], [0, 0, 1, 1, 2, 2])
        self.assertEqual(len(self.docs.query_batch([])), 0)
        short = self.docs.query_batch(asked, k=5, filter=F("year") > 2021)
        self.assertEqual(short.scores.shape, (3, 5))
        self.assertTrue(math.isnan(short.scores[0, 2]))
        self.assertEqual(list(short.ids[0]), ["c", "b", None, None, None])
        with self.assertRaisesRegex(ValueError, "2 components, expected 3"):
            self.docs.query_batch([[1, 2], [1, 2]])
        with self.assertRaisesRegex(ValueError, "query 1"):
            self.docs.query([[1, 0, 0], [math.nan, 0, 0]])

    def test_included_fields(self):
        self.docs.upsert("d", [1, 0, 0], {"a": {"b": 1, "c": 2}, "d": 3, "e": [1]})
        for include, expected in [
            (["metadata.d"], {"d": 3}), (["metadata.a.b"], {"a": {"b": 1}}),
            (["metadata.a.b", "metadata.e"], {"a": {"b": 1}, "e": [1]}),
            (["metadata.a", "metadata.a.b"], {"a": {"b": 1, "c": 2}}),
            (["metadata.x", "metadata.d.x"], {}),
            (["metadata.d", "metadata"], {"a": {"b": 1, "c": 2}, "d": 3, "e": [1]}),
        ]:
            hit = self.docs.query([1, 0, 0], include=include, filter="d = 3")[0]
            self.assertEqual(hit.metadata, expected, include)
            self.assertEqual(next(self.docs.scroll("d = 3", include=include))[0].metadata, expected)
        for include in [["metadata."], ["metadata.a."], ["metadata..a"]]:
            with self.assertRaises(vecstore.InvalidArgumentError):
                self.docs.query([1, 0, 0], include=include)


class TestFilters(InMemory):
    ROWS = [
        {"n": 1, "s": "it's", "tags": ["x", "y"]}, {"n": 2.5, "s": 'a"b', "o": {"p.q": True}},
        {"n": -(2**63), "s": "100%", "z": None}, {"n": 2**63 - 1, "AND": "é\0"}, {},
    ]

    def test_expressions(self):
        self.docs.batch_upsert(range(5), [[1, 2, 3]] * 5, self.ROWS)
        n, s = F("n"), F("s")
        for expression, expected in [
            (n < 2, {0, 2}), (n <= 2.5, {0, 1, 2}), (n > 2.5, {3}), (n >= 2**63 - 1, {3}),
            (n == -(2**63), {2}), (n != 1, {1, 2, 3, 4}), (s == "it's", {0}), (s == 'a"b', {1}),
            (n.in_([1, 2.5]), {0, 1}), (n.in_([]), set()), (n.between(0, 3), {0, 1}),
            (F("tags").contains("y"), {0}), (s.startswith("it'"), {0}), (s.like("100\\%"), {2}),
            (s.like("a_b"), {1}), (F("tags").exists(), {0}), (F("z").is_null(), {2}),
            (F("z") == None, {2}), (F("o", "p.q") == True, {1}), (F("AND") == "é\0", {3}),
            ((n == 1) | (n == 2.5) | s.exists() & (n < 0), {0, 1, 2}),
            (~((n == 1) | (n == 2.5)), {2, 3, 4}), (~(n == 1) & ~(n == 2.5), {2, 3, 4}),
            (vecstore.Filter("n = 1 OR n = 2.5") & (n > 1), {1}),
        ]:
            self.assertEqual(self.docs.count(expression), len(expected), expression)
            pages = self.docs.scroll(expression)
            self.assertEqual({r.id for page in pages for r in page}, expected, expression)
            self.assertEqual(set(self.docs.query([1, 2, 3], filter=expression).ids), expected)
            self.assertEqual(self.docs.count(str(expression)), len(expected))
        chain = F("n") == 0
        for i in range(200):
            chain |= F("n") == i
        self.assertEqual(self.docs.count(chain), 1)
        self.assertEqual(self.docs.remove_where(F("n") == 1), 1)
        self.assertEqual(self.docs.remove_where("n = $n", {"n": 2.5}), 1)
        self.assertEqual(self.docs.count("n < $n", params={"n": 0}), 1)

    def test_expressions_that_are_refused(self):
        for make in [lambda: F("n") < 2**63, lambda: F("n") < math.nan, lambda: F("n") == math.inf]:
            self.assertRaises(ValueError, make)
        for make in [
            lambda: F(), lambda: F("n") < [1], lambda: F("n").in_("ab"), lambda: F("n").like(1),
            lambda: bool(F("n") == 1), lambda: (F("n") == 1) & "x = 1", lambda: 1 < F("n") < 2,
        ]:
            self.assertRaises(TypeError, make)
        for filter in [1, F("n"), b"n = 1", ["n = 1"]]:
            with self.assertRaises(TypeError):
                self.docs.count(filter)


class TestBatches(InMemory):
    def test_metadata_in_columns(self):
        self.docs.batch_upsert([1, 2], [[1, 2, 3]] * 2, {"a": [1, None], "b": ("x", ["y"])})
        self.assertEqual([r.metadata for r in self.docs.get([1, 2])],
                         [{"a": 1, "b": "x"}, {"a": None, "b": ["y"]}])
        for columns in [{"a": [1]}, {"a": [1, 2, 3]}, {"a": [1, 2], "b": [1]}]:
            with self.assertRaises(vecstore.InvalidArgumentError):
                self.docs.batch_upsert([3, 4], [[1, 2, 3]] * 2, columns)
        for columns in [{"a": "xy"}, {"a": 1}, {1: [1, 2]}, {"a": [1, b""]}]:
            with self.assertRaises(TypeError):
                self.docs.batch_upsert([3, 4], [[1, 2, 3]] * 2, columns)
        self.assertEqual(self.docs.count(), 2)

    def test_a_large_batch_goes_in_parts(self):
        n = 40_000
        told = []
        vectors = memoryview(array.array("f", [1.0] * (3 * n))).cast("B").cast("f", (n, 3))
        self.docs.batch_upsert(range(n), vectors, progress=lambda *now: told.append(now))
        self.assertEqual(self.docs.count(), n)
        self.assertEqual(told, [("records", 16_384, n), ("records", 32_768, n)])
        metadata = [{}] * 20_000 + [{"x": math.nan}] + [{}] * (n - 20_001)
        docs = self.docs.namespace("x")
        with self.assertRaisesRegex(ValueError, "record `20000`: metadata.x") as caught:
            docs.batch_upsert(range(n), vectors, metadata)
        self.assertEqual(caught.exception.committed, 16_384)
        self.assertIn("16384 of 40000 records are committed", caught.exception.__notes__[0])
        self.assertEqual(docs.count(), 16_384)
        # By bytes too.
        docs = self.docs.namespace("y")
        metadata = [{"text": "x" * 900_000}] * 100
        docs.batch_upsert(range(100), [[1, 2, 3]] * 100, metadata)
        self.assertEqual(docs.count(), 100)

    def test_a_bar_is_closed_when_the_work_is_over(self):
        bars = []

        class Bar:
            def __init__(self, **options):
                self.n, self.total, self.closed = 0, options["total"], False
                bars.append(self)

            def update(self, more):
                self.n += more

            def close(self):
                self.closed = True

        auto = types.ModuleType("tqdm.auto")
        auto.tqdm = Bar
        with unittest.mock.patch.dict(sys.modules, {"tqdm.auto": auto}):
            self.docs.batch_upsert(range(20_000), [[1, 2, 3]] * 20_000, progress=True)
        self.assertEqual([(bar.n, bar.total, bar.closed) for bar in bars], [(16_384, 20_000, True)])

    def test_progress_stops_what_raises(self):
        def stop(*now):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt) as caught:
            self.docs.batch_upsert(range(20_000), [[1, 2, 3]] * 20_000, progress=stop)
        self.assertEqual(self.docs.count(), 16_384)
        self.assertEqual(caught.exception.committed, 16_384)
        for call in [self.docs.flush, self.docs.optimize, self.db.flush, self.db.optimize]:
            with self.assertRaises(TypeError):
                call(progress=1)
            call(progress=lambda stage, done, total: self.assertLessEqual(done, total))


class TestAsync(InMemory):
    def test_the_same_names(self):
        for owner in ["Database", "Collection", "Scroll"]:
            names = {n for n in vars(getattr(vecstore, owner)) if not n.startswith("_")}
            have = {n for n in vars(getattr(vecstore.aio, owner)) if not n.startswith("_")}
            self.assertEqual(names, have)

    def test_every_argument_arrives(self):
        class Recorder:
            def __getattr__(self, name):
                return lambda *args, **named: calls.append((args, named))

        for owner in ["Database", "Collection"]:
            for name, method in vars(getattr(vecstore.aio, owner)).items():
                if name.startswith("_") or isinstance(method, property):
                    continue
                native = inspect.signature(getattr(getattr(vecstore, owner), name))
                names = list(inspect.signature(method).parameters)
                self.assertEqual(names, list(native.parameters), name)
                handed = {argument: object() for argument in names[1:]}
                calls = []
                called = method(getattr(vecstore.aio, owner)(Recorder()), **handed)
                if inspect.iscoroutine(called):
                    asyncio.run(called)
                [(args, named)] = calls
                arrived = native.bind(None, *args, **named).arguments
                arrived.pop("self")
                self.assertEqual(arrived, handed, name)

    def test_a_scroll_goes_on_later(self):
        async def work():
            async with await vecstore.aio.open(":memory:") as db:
                docs = await db.create_collection("docs", 1)
                await docs.batch_upsert([1, 2, 3], [[1]] * 3, {"n": [3, 1, 2]})
                pages = docs.scroll(limit=1, order_by="n")
                self.assertEqual([record.id for record in await anext(pages)], [2])
                rest = docs.scroll(limit=9, order_by="n", resume=pages.cursor)
                self.assertEqual([[r.id for r in page] async for page in rest], [[3, 1]])
                pages = docs.scroll(limit=1)
                await anext(pages)
                self.assertEqual(pages.after, 1)

        asyncio.run(work())

    def test_calls(self):
        async def work():
            async with await vecstore.aio.open(":memory:", threads=1) as db:
                docs = await db.create_collection("docs", 2)
                await docs.batch_upsert([1, 2], [[1, 0], [0, 1]], [{"x": 1}, {"x": 2}])
                await asyncio.gather(*(docs.upsert(i, [1, i]) for i in range(3, 9)))
                self.assertEqual((await docs.query([1, 0], k=1, filter=F("x") < 3)).ids, [1])
                self.assertEqual(len(await docs.query([[1, 0], [0, 1]])), 2)
                self.assertEqual((await docs.get(2)).metadata, {"x": 2})
                self.assertIs(await docs.remove(8), True)
                pages = [len(page) async for page in docs.scroll(limit=3)]
                self.assertEqual(pages, [3, 3, 1])
                self.assertEqual(docs.dim, 2)
                self.assertTrue(repr(docs).startswith("aio.Collection("))
            with self.assertRaises(vecstore.ClosedError):
                await docs.count()

        asyncio.run(work())


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

    def test_options(self):
        with self.assertRaises(vecstore.NotFoundError):
            vecstore.open(self.path, create=False)
        for options in [
            {"durability": "none"}, {"durability": 0.5}, {"durability": "sync"}, {"threads": 1},
            {"memtable_bytes": 1 << 20}, {"background_merge": False}, {"busy_timeout": 1},
            {"disk_reserve_bytes": 0}, {"scrub_bytes_per_s": 0}, {"memory_limit": 64 << 20},
        ]:
            with vecstore.open(self.path, **options) as db:
                db.create_collection("docs", 2, if_not_exists=True).upsert(1, [1, 2])
        for options in [
            {"durability": "always"}, {"durability": 0}, {"durability": -1}, {"threads": 0},
            {"threads": -1}, {"memtable_bytes": 1}, {"busy_timeout": math.nan},
            {"memory_limit": 1 << 20},
        ]:
            for path in [self.path, ":memory:"]:
                with self.assertRaises(vecstore.InvalidArgumentError, msg=options):
                    vecstore.open(path, **options)
        for options in [{"durability": []}, {"nonsense": 1}]:
            with self.assertRaises(TypeError):
                vecstore.open(self.path, **options)

    def fill(self, rows=1000, **options):
        """A folder's database, opened with these options, and batches for a collection of it."""
        db = self.enterContext(vecstore.open(self.path, **options))
        docs = db.create_collection("docs", 64)
        vectors = memoryview(array.array("f", [1.0] * (64 * rows))).cast("B").cast("f", (rows, 64))
        return docs, lambda batch: docs.batch_upsert(range(batch * rows, batch * rows + rows), vectors)

    def test_a_small_memtable_becomes_a_segment(self):
        docs, write = self.fill(memtable_bytes=1 << 16)
        write(0)
        deadline = time.monotonic() + 30
        while not docs.stats()["segments"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_a_write_waits_no_longer_than_the_busy_timeout(self):
        docs, write = self.fill(memtable_bytes=1 << 16, busy_timeout=0.0)
        with self.assertRaises(vecstore.BusyError):
            for batch in range(200):
                write(batch)

    def test_segments_are_merged_in_the_background_unless_not(self):
        for merge in [True, False]:
            with vecstore.open(":memory:", background_merge=merge) as db:
                docs = db.create_collection("docs", 2)
                for i in range(20):
                    docs.upsert(i, [i, 1])
                    docs.flush()
                deadline = time.monotonic() + 30
                while merge and len(docs.stats()["segments"]) == 20:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
                if not merge:
                    time.sleep(0.5)
                    self.assertEqual(len(docs.stats()["segments"]), 20)

    @unittest.skipUnless(os.path.isdir("/proc/self/task"), "needs the threads in /proc")
    def test_threads(self):
        def names():
            for task in os.listdir("/proc/self/task"):
                with contextlib.suppress(OSError):
                    yield pathlib.Path("/proc/self/task", task, "comm").read_text().strip()

        def most(threads, enough=math.inf):
            """The most threads that were there at once while queries were answered."""
            seen, ended = [0], threading.Event()

            def watch():
                while not ended.is_set():
                    seen.append(sum(1 for _ in names()))

            with vecstore.open(":memory:", threads=threads) as db:
                docs = db.create_collection("docs", 64)
                flat = array.array("f", [1.0] * (64 * 4000))
                vectors = memoryview(flat).cast("B").cast("f", (4000, 64))
                docs.batch_upsert(range(4000), vectors)
                watcher = threading.Thread(target=watch)
                watcher.start()
                for _ in range(10):
                    docs.query_batch(vectors[:500], exact=True)
                    if max(seen) >= enough:
                        break
                ended.set()
                watcher.join()
            return max(seen)

        least = most(1) + 4
        self.assertGreaterEqual(most(9, least), least)
        with vecstore.open(self.path, durability=60):
            # A thread names itself when it begins.
            deadline = time.monotonic() + 30
            while "vecstore-sync" not in names():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
        with vecstore.open(self.path):
            self.assertNotIn("vecstore-sync", list(names()))

    def test_the_reserve_of_the_volume_is_kept(self):
        with vecstore.open(self.path) as db:
            db.create_collection("docs", 2)
        with vecstore.open(self.path, disk_reserve_bytes=2**62) as db:
            with self.assertRaises(vecstore.DiskFullError):
                db.collection("docs").upsert(1, [1, 2])

    def test_segments_are_scrubbed(self):
        with vecstore.open(self.path) as db:
            db.create_collection("docs", 2).upsert(1, [1, 2])
            db.flush()
        for pace in [0, 1 << 40]:
            with vecstore.open(self.path, scrub_bytes_per_s=pace) as db:
                self.assertEqual(db.stats()["scrub"]["bytes_per_s"], pace)
                deadline = time.monotonic() + 30
                while pace and not db.stats()["scrub"]["passes"]:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
                self.assertEqual(db.stats()["scrub"]["bytes"] > 0, pace > 0)

    def test_memory(self):
        with vecstore.open(self.path, memory_limit=64 << 20) as db:
            docs = db.create_collection("docs", 2)
            before = db.stats()["memory"]
            ids, vectors = list(range(1000)), [[i, 1] for i in range(1000)]
            docs.batch_upsert(ids, vectors, [{"text": "t" * 2000}] * 1000)
            memory = db.stats()["memory"]
            self.assertGreater(memory["memtable_rows"], before["memtable_rows"] + 2_000_000)
            self.assertEqual(memory["total"], sum(memory.values()) - memory["total"] - memory["mapped"])
            db.flush()
            self.assertEqual(db.stats()["memory"]["memtable_rows"], before["memtable_rows"])
            self.assertGreater(db.stats()["memory"]["mapped"], 0)
            with self.assertRaisesRegex(vecstore.InvalidArgumentError, "memory_limit.*split it"):
                docs.batch_upsert(ids, vectors, [{"text": "t" * 20_000}] * 1000)

    def test_sync(self):
        for durability in ["sync", 60, "none"]:
            with vecstore.open(self.path, durability=durability) as db:
                db.create_collection("docs", 2, if_not_exists=True).upsert(1, [1, 2])
                self.assertIsNone(db.sync())
        with self.assertRaises(vecstore.ClosedError):
            db.sync()

    def test_repair(self):
        with self.assertRaises(vecstore.NotFoundError):
            vecstore.repair(self.path)
        with vecstore.open(self.path) as db:
            docs = db.create_collection("docs", 64)
            for i in range(20):
                docs.upsert(i, [i + 1.0] * 64)
            with self.assertRaises(vecstore.BusyError):
                vecstore.repair(self.path)
        report = vecstore.repair(self.path)
        self.assertEqual((report["place"], report["batches_dropped"]), (None, 0))
        # The log is the only file with the vectors in it; record 12 is damaged there.
        wanted = array.array("f", [13.0] * 64).tobytes()
        [log] = [f for f in self.path.rglob("*") if f.is_file() and wanted in f.read_bytes()]
        content = bytearray(log.read_bytes())
        content[content.find(wanted)] ^= 1
        log.write_bytes(content)
        with self.assertRaises(vecstore.CorruptError):
            vecstore.open(self.path)
        report = vecstore.repair(str(self.path))
        self.assertIn(log.name, report["place"])
        self.assertGreaterEqual(report["batches_dropped"], 8)
        with vecstore.open(self.path) as db:
            found = db.collection("docs").get(range(20))
            self.assertEqual([r is not None for r in found], [True] * 12 + [False] * 8)

    def test_export(self):
        folder = self.path.parent
        with vecstore.open(self.path) as db:
            docs = db.create_collection("docs", 2)
            docs.batch_upsert([7, "a", UUID], [[0.1, 2], [3, 4], [5, 6]],
                              [{"n": 1, "s": "ü"}, {"n": 2}, {}])
            lines = [
                {"id": 7, "vector": [0.1, 2.0], "metadata": {"n": 1, "s": "ü"}},
                {"id": str(UUID), "vector": [5.0, 6.0], "metadata": {}},
                {"id": "a", "vector": [3.0, 4.0], "metadata": {"n": 2}},
            ]
            plain, packed = folder / "all.jsonl", folder / "all.jsonl.gz"
            done = docs.export(plain)
            self.assertEqual(done, {"records": 3, "bytes": plain.stat().st_size})
            found = plain.read_text("utf-8").splitlines()
            self.assertEqual([json.loads(line) for line in found], lines)
            with self.assertRaises(vecstore.AlreadyExistsError):
                docs.export(plain)
            docs.export(str(packed), filter="n >= $n", params={"n": 1}, vectors=False)
            with gzip.open(packed, "rt", encoding="utf-8") as read:
                self.assertEqual([json.loads(line) for line in read],
                                 [{"id": 7, "metadata": {"n": 1, "s": "ü"}},
                                  {"id": "a", "metadata": {"n": 2}}])
            self.assertEqual(docs.export(plain, filter="n = 9", overwrite=True)["bytes"], 0)
            with self.assertRaises(vecstore.InvalidArgumentError):
                docs.export(folder / "x", filter="n =")
            with self.assertRaises(vecstore.IoError) as caught:
                docs.export(folder / "none" / "x")
            self.assertEqual(caught.exception.errno, errno.ENOENT)
        left = sorted(path.name for path in folder.iterdir())
        self.assertEqual(left, ["all.jsonl", "all.jsonl.gz", "data"])

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
            docs = db.collection("docs")
            with self.assertWarns(vecstore.IncompleteWarning):
                self.assertFalse(docs.query([1.0] * 64, exact=True).complete)
            with self.assertWarns(vecstore.IncompleteWarning):
                self.assertFalse(docs.query([[1.0] * 64], exact=True).complete)


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

    def test_calls_of_every_kind_let_others_run(self):
        """The other thread comes to its turn only if a call gives the interpreter lock away."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        db = self.enterContext(vecstore.open(f"{folder}/db"))
        docs = db.create_collection("docs", 3)
        vectors = memoryview(array.array("f", [1.0] * 9000)).cast("B").cast("f", (3000, 3))
        docs.batch_upsert(range(3000), vectors)
        numbers = itertools.count()
        closing = [vecstore.open(":memory:") for _ in range(20)]
        calls = {
            "close": lambda: closing.pop().close(),
            "open": lambda: vecstore.open(f"{folder}/{next(numbers)}"),
            "flush": db.flush, "optimize": db.optimize, "verify": db.verify,
            "snapshot": lambda: db.create_snapshot(f"s{next(numbers)}"),
            "upsert": lambda: docs.upsert(1, [1, 2, 3]),
            "batch_upsert": lambda: docs.batch_upsert([1, 2], [[1, 2, 3]] * 2),
            "query": lambda: docs.query([1, 2, 3], k=3000, exact=True),
            "scroll": lambda: next(docs.scroll(limit=3000)),
            "export": lambda: docs.export(f"{folder}/x", overwrite=True),
        }
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        self.addCleanup(sys.setswitchinterval, switch)

        def runs_beside(call):
            ran, ready, go = [], threading.Event(), threading.Event()

            def other():
                ready.set()
                go.wait()
                ran.append(True)

            thread = threading.Thread(target=other)
            thread.start()
            ready.wait()
            go.set()
            result = call()
            seen = bool(ran)
            thread.join()
            if isinstance(result, vecstore.Database):
                result.close()
            return seen

        for name, call in calls.items():
            # A short call can be over before the other thread wakes up.
            self.assertTrue(any(runs_beside(call) for _ in range(500)), name)

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
            ("Io", OSError), ("Closed", None), ("Unsupported", None), ("Cancelled", None),
            ("QuotaExceeded", None),
        ]:
            error = getattr(vecstore, name + "Error")
            self.assertTrue(issubclass(error, vecstore.Error), name)
            self.assertTrue(also is None or issubclass(error, also), name)
            self.assertEqual(error.__module__, "vecstore")
            self.assertTrue(error.__doc__)
            again = pickle.loads(pickle.dumps(error("why")))
            self.assertEqual((type(again), str(again)), (error, "why"))
        self.assertTrue(issubclass(vecstore.Error, Exception))

    def test_what_is_public(self):
        self.assertTrue(vecstore.__doc__)
        self.assertRegex(vecstore.__version__, r"^\d+\.\d+\.\d+")
        for name in vecstore.__all__:
            self.assertTrue(hasattr(vecstore, name), name)
        for owner in [vecstore.Database, vecstore.Collection, vecstore.Hits, vecstore.BatchHits]:
            for name, member in vars(owner).items():
                if not name.startswith("_"):
                    self.assertTrue(member.__doc__, name)
        self.assertEqual(vecstore.limits.K_MAX, 16_384)
        with self.assertRaisesRegex(ValueError, f"at most {vecstore.limits.BATCH_RECORDS_MAX}"):
            with vecstore.open(":memory:") as db:
                docs = db.create_collection("docs", 1)
                docs.remove(range(vecstore.limits.BATCH_RECORDS_MAX + 1))

    def test_doctests(self):
        for module in [vecstore, vecstore._filter]:
            tested = doctest.testmod(module)
            self.assertGreater(tested.attempted, 1)
            self.assertEqual(tested.failed, 0)


@unittest.skipIf(numpy is None, "numpy is not installed")
class TestNumpy(InMemory):
    def test_arrays(self):
        exact = numpy.arange(1, 13).reshape(4, 3) / 4
        for array in [
            exact, exact.astype("float32"), exact.astype("float16"), numpy.asfortranarray(exact),
            numpy.asfortranarray(exact.astype("float16")),
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

    def test_results_as_arrays(self):
        self.docs.batch_upsert([1, 2], numpy.eye(3)[:2])
        batch = self.docs.query(numpy.eye(3, dtype="float16")[:2], k=2, include=["vector"])
        self.assertEqual((batch.ids.dtype, batch.ids.shape), ("uint64", (2, 2)))
        self.assertEqual((batch.scores.dtype, batch.scores.shape), ("float32", (2, 2)))
        self.assertEqual(batch.ids.tolist(), [[1, 2], [2, 1]])
        columns = batch.to_numpy()
        self.assertEqual(columns["query"].tolist(), [0, 0, 1, 1])
        self.assertEqual(columns["vector"].shape, (4, 3))
        hits = batch[0].to_numpy()
        self.assertEqual((hits["id"].dtype, hits["id"].tolist()), ("uint64", [1, 2]))
        self.assertEqual(hits["score"].tolist(), [hit.score for hit in batch[0]])
        self.assertEqual(hits["distance"].tolist(), [hit.distance for hit in batch[0]])
        self.docs.upsert("a", [1, 0, 0])
        self.assertEqual(self.docs.query([1, 0, 0]).to_numpy()["id"].dtype, "object")
        self.assertEqual(self.docs.query_batch(numpy.eye(3), k=4).ids.dtype, "object")
        none = self.docs.query_batch(numpy.empty((0, 3)))
        self.assertEqual((none.ids.shape, none.scores.shape), ((0, 10), (0, 10)))

    def test_arrays_that_are_refused(self):
        ones = numpy.ones((2, 3))
        for array in [ones.astype(">f4"), ones.astype("int64"),
                      ones.astype(complex)]:
            with self.assertRaisesRegex(vecstore.InvalidArgumentError, "float32 or\\s+float64|float32 or float64"):
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


def installed(*names):
    return unittest.skipUnless(
        all(importlib.util.find_spec(name) for name in names), f"needs {' and '.join(names)}"
    )


class TestTables(InMemory):
    ROWS = [
        {"i": 1, "f": 0.5, "b": True, "s": "x", "l": [1, 2], "o": {"p": "q"}},
        {"i": 2**62 + 1, "f": 1.0, "b": False, "s": "ü", "l": [], "o": {"p": ""}},
    ]

    def check_in(self, table, expected=None):
        self.docs.batch_upsert([1, 2], [[1, 0, 0], [0, 1, 0]], table)
        found = [record.metadata for record in self.docs.get([1, 2])]
        self.assertEqual(found, expected or self.ROWS)
        for row, want in zip(found, expected or self.ROWS):
            self.assertEqual({k: type(v) for k, v in row.items()},
                             {k: type(v) for k, v in want.items()})

    @installed("pyarrow")
    def test_arrow_in(self):
        import pyarrow as pa

        table = pa.Table.from_pylist(self.ROWS)
        self.check_in(table)
        self.check_in(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(1)))
        self.check_in(pa.table({"s": pa.array(["b", "a"]).dictionary_encode(), "n": [None, 1]}),
                      [{"s": "b", "n": None}, {"s": "a", "n": 1}])
        for type in [pa.int8(), pa.int16(), pa.int32(), pa.int64(),
                     pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]:
            self.check_in(pa.table({"n": pa.array([1, 2], type)}), [{"n": 1}, {"n": 2}])
        for type in [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.int8(), 2)]:
            self.check_in(pa.table({"l": pa.array([[1, 2], [3, 4]], type)}),
                          [{"l": [1, 2]}, {"l": [3, 4]}])
        for type in [pa.float16(), pa.float32()]:
            self.check_in(pa.table({"n": pa.array([0.5, 2], type)}), [{"n": 0.5}, {"n": 2.0}])
        for type in [pa.large_string(), pa.string_view()]:
            self.check_in(pa.table({"n": pa.array(["a", "b"], type)}), [{"n": "a"}, {"n": "b"}])
        for short in [table.slice(0, 1), pa.concat_tables([table, table])]:
            with self.assertRaises(vecstore.InvalidArgumentError):
                self.docs.batch_upsert([1, 2], [[1, 0, 0]] * 2, short)
        with self.assertRaisesRegex(vecstore.InvalidArgumentError, "metadata.n"):
            self.check_in(pa.table({"n": [math.nan, 1.0]}))
        with self.assertRaisesRegex(TypeError, "metadata.t: a column of Timestamp"):
            self.check_in(pa.table({"t": pa.array([1, 2], pa.timestamp("s"))}))

    @installed("polars")
    def test_polars(self):
        import polars

        self.check_in(polars.DataFrame(self.ROWS))
        frame = self.docs.query([[1, 0, 0], [0, 1, 0]], k=1, include=["metadata"]).to_polars()
        self.assertEqual(frame.columns, ["query", "id", "score", "distance", "metadata"])
        self.assertEqual(frame["id"].to_list(), [1, 2])
        self.assertEqual([json.loads(text) for text in frame["metadata"]], self.ROWS)

    @installed("pandas")
    def test_pandas(self):
        import pandas

        self.check_in(pandas.DataFrame(self.ROWS))
        self.check_in(pandas.DataFrame({"s": ["a", None]}), [{"s": "a"}, {"s": None}])
        frame = self.docs.query([1, 0, 0], k=2).to_pandas()
        self.assertEqual(list(frame.columns), ["id", "score", "distance", "metadata"])
        self.assertEqual(list(frame["id"]), [1, 2])

    @installed("pyarrow")
    def test_arrow_out(self):
        import pyarrow as pa

        self.docs.batch_upsert([1, "a"], [[1, 0, 0], [0.5, 0.5, 0]], [{"n": 1}, {}])
        hits = self.docs.query([1, 0, 0], include=["metadata", "vector"])
        table = pa.table(hits)
        self.assertEqual(table.column("id").to_pylist(), ["1", "a"])
        self.assertEqual(table.column("vector").to_pylist(), [[1, 0, 0], [0.5, 0.5, 0]])
        self.assertEqual(table.column("score").to_pylist(), [hit.score for hit in hits])
        self.assertEqual(table.column("distance").to_pylist(), [hit.distance for hit in hits])
        hits.__arrow_c_stream__()  # And nobody reads it.
        self.assertEqual(pa.table(self.docs.query([1, 0, 0], filter="n = 2")).num_rows, 0)


if __name__ == "__main__":
    unittest.main()
