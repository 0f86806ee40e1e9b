"""Any sequence of calls leaves the database as it leaves a dict."""

import math
import os
import shutil
import tempfile
import unittest

import hypothesis.strategies as st
import vecstore
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

DIM = 3
IDS = st.one_of(st.integers(0, 12), st.sampled_from(["a", "b", "12", "ü"]), st.just(2**64 - 1))
# Whole numbers: their distances are exact, so that ties are ties in both.
VECTORS = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1),
              st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
METADATA = st.fixed_dictionaries({"n": st.integers(0, 4)}, optional={"x": VALUES})
RECORDS = st.tuples(IDS, VECTORS, METADATA)


def shape(value):
    """A value with its types, as `1 == 1.0 == True`."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value), math.copysign(1, value) if isinstance(value, float) else 0, value


class Machine(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.folder = tempfile.mkdtemp()
        self.model = {}
        self.snapshots = {}
        self.reopen()

    def reopen(self):
        self.db = vecstore.open(os.path.join(self.folder, "data"), durability="none", threads=1)
        self.docs = self.db.create_collection("docs", DIM, "euclidean", if_not_exists=True)

    def teardown(self):
        if hasattr(self, "db"):
            self.db.close()
            shutil.rmtree(self.folder)

    @rule(record=RECORDS)
    def upsert(self, record):
        id, vector, metadata = record
        self.docs.upsert(id, vector, metadata)
        self.model[id] = (vector, metadata)

    @rule(records=st.lists(RECORDS, max_size=6), columns=st.booleans())
    def batch_upsert(self, records, columns):
        ids, vectors, metadata = ([record[i] for record in records] for i in range(3))
        if columns:
            metadata = [{"n": m["n"]} for m in metadata]
            self.docs.batch_upsert(ids, vectors, {"n": [m["n"] for m in metadata]})
        else:
            self.docs.batch_upsert(ids, vectors, metadata)
        self.model.update(zip(ids, zip(vectors, metadata)))

    @rule(id=IDS)
    def remove(self, id):
        assert self.docs.remove(id) is (self.model.pop(id, None) is not None)

    @rule(n=st.integers(0, 4))
    def remove_where(self, n):
        gone = [id for id, (_, metadata) in self.model.items() if metadata["n"] == n]
        assert self.docs.remove_where(vecstore.F("n") == n) == len(gone)
        for id in gone:
            del self.model[id]

    @rule()
    def flush(self):
        self.docs.flush()

    @rule()
    def optimize(self):
        self.docs.optimize()

    @rule()
    def close_and_open(self):
        self.db.close()
        self.reopen()

    @rule(name=st.sampled_from(["s", "t"]))
    def snapshot(self, name):
        if name in self.snapshots:
            self.db.remove_snapshot(name)
        self.db.create_snapshot(name)
        self.snapshots[name] = dict(self.model)

    @rule(name=st.sampled_from(["s", "t"]))
    def restore(self, name):
        if name in self.snapshots:
            self.db.restore_snapshot(name)
            self.docs = self.db.collection("docs")
            self.model = dict(self.snapshots[name])

    @rule(vectors=st.lists(VECTORS, min_size=1, max_size=3), k=st.integers(1, 6), n=st.integers(0, 5))
    def query(self, vectors, k, n):
        batch = self.docs.query_batch(vectors, k, filter=vecstore.F("n") < n, exact=True)
        for asked, hits in zip(vectors, batch):
            distances = sorted(math.dist(asked, v) for v, m in self.model.values() if m["n"] < n)
            assert len(hits) == min(k, len(distances))
            for hit, distance in zip(hits, distances):
                vector, metadata = self.model[hit.id]
                assert math.isclose(hit.distance, math.dist(asked, vector), abs_tol=1e-5)
                assert math.isclose(hit.distance, distance, abs_tol=1e-5)
                assert shape(hit.metadata) == shape(metadata)
            assert len(set(hits.ids)) == len(hits)

    @invariant()
    def holds_what_the_model_holds(self):
        if not hasattr(self, "db"):
            return
        found = {}
        for page in self.docs.scroll(limit=3, include=["metadata", "vector"]):
            for record in page:
                found[record.id] = (list(record.vector), shape(record.metadata))
        assert found == {
            id: ([float(x) for x in vector], shape(metadata))
            for id, (vector, metadata) in self.model.items()
        }
        assert self.docs.count() == len(self.model)


Machine.TestCase.settings = settings(
    max_examples=int(os.environ.get("VECSTORE_MACHINE_RUNS", "40")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase

if __name__ == "__main__":
    unittest.main()
