"""What a call costs through Python, beside the same call in Rust.

    cargo build --release -p vecstore-benches --bin twin
    python bindings/python/benches/ratios.py DATA

in a Python with the installed package, numpy and pyarrow. DATA holds base.f16.npy, queries.f16.npy
and records.jsonl.gz, as server/data/wordnet-10k does. The Rust side is benches/twin.rs, a process
that is asked in turns with this one, so that what else the machine does meets both. Exits with 1
if a figure is above its limit.

Times are the least of the rounds: what else the machine does only adds. For single queries that
holds for each query, and the figure is the median of the differences. The package brings its own
memory allocator (mimalloc), the Rust side has that of the system.
"""

import argparse
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy
import pyarrow
import vecstore

REPOSITORY = pathlib.Path(__file__).parents[3]
K = 10
MIB = 1 << 20


class Twin:
    """The process that does the same in Rust."""

    def __init__(self, program, data):
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask("data", data)

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("the Rust side ended; its message is above")
        return [int(word) / 1e9 for word in answer.split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def timed(work, *args, **options):
    started = time.perf_counter()
    result = work(*args, **options)
    return time.perf_counter() - started, result


def ingest(path, memtable_bytes, ids, vectors, metadata):
    """Seconds of the writes, and of the flush after them."""
    with vecstore.open(path, memtable_bytes=memtable_bytes) as db:
        docs = db.create_collection("docs", dim=vectors.shape[1], metric="cosine")
        written, _ = timed(docs.batch_upsert, ids, vectors, metadata)
        return [written, timed(docs.flush)[0]]


def as_arrays(docs, queries):
    batch = docs.query_batch(queries, k=K)
    return batch.ids, batch.scores


class Report:
    """The lines, and whether one is above its limit."""

    def __init__(self):
        self.failed = False

    def line(self, what, rust, python, figure, unit, limit=None):
        verdict = ""
        if limit is not None:
            self.failed |= figure > limit
            verdict = f"at most {limit}{unit}: {'yes' if figure <= limit else 'NO'}"
        print(f"{what:<44} {rust:>10} {python:>10} {figure:>8.2f}{unit:<4} {verdict}", flush=True)


def seconds(value):
    return f"{value * 1e3:.3f} ms" if value < 1 else f"{value:.2f} s"


def measure_ingest(report, twin, folder, rounds, memtable_mib, flush, sides):
    names = ["rust", *sides]
    times = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            path = folder / "ingest"
            if name == "rust":
                took = twin.ask("ingest", path, memtable_mib * MIB)
            else:
                took = ingest(path, memtable_mib * MIB, *sides[name][0])
            times[name].append(sum(took) if flush else took[0])
            shutil.rmtree(path)
    least = {name: min(times[name]) for name in names}
    what = "written and flushed" if flush else "written"
    for name, (_, limit) in sides.items():
        report.line(
            f"{what}, memtable {memtable_mib} MiB, {name}", seconds(least["rust"]),
            seconds(least[name]), least[name] / least["rust"], " x", limit,
        )


def measure_queries(report, twin, folder, queries, rounds):
    twin.ask("open", folder / "twin")
    with vecstore.open(folder / "own") as db:
        docs = db.collection("docs")
        rust, call, arrays = [], [], []
        for _ in range(rounds):
            rust += twin.ask("batch", K)
            call.append(timed(docs.query_batch, queries, k=K)[0])
            rust += twin.ask("batch", K)
            arrays.append(timed(as_arrays, docs, queries)[0])
        base = min(rust)
        for what, times in [("", call), (" and .ids, .scores", arrays)]:
            report.line(
                f"batch of {len(queries)} queries{what}", seconds(base), seconds(min(times)),
                min(times) / base, " x", 1.15,
            )
        rust, call, read = [], [], []
        for _ in range(rounds):
            rust.append(twin.ask("single", K))
            call.append([timed(docs.query, query, k=K)[0] for query in queries])
            read.append([
                timed(lambda: [(h.id, h.score, h.metadata) for h in docs.query(query, k=K)])[0]
                for query in queries
            ])
        least = [numpy.min(times, axis=0) for times in (rust, call, read)]
        for what, times, limit in [
            ("", least[1], 10), (" and id, score, metadata of each hit", least[2], None),
        ]:
            report.line(
                f"one query{what}", seconds(numpy.median(least[0])), seconds(numpy.median(times)),
                float(numpy.median(times - least[0])) * 1e6, " us", limit,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7, help="of the queries")
    parser.add_argument("--ingests", type=int, default=3, help="rounds of the ingests")
    parser.add_argument("--twin", default=REPOSITORY / "target" / "release" / "twin")
    parser.add_argument("--only", choices=["ingest", "queries"])
    parser.add_argument("--report", action="store_true", help="succeed whatever the figures are")
    options = parser.parse_args()

    vectors = numpy.load(options.data / "base.f16.npy").astype("float32")
    queries = numpy.load(options.data / "queries.f16.npy").astype("float32")
    with gzip.open(options.data / "records.jsonl.gz", "rt", encoding="utf-8") as lines:
        dicts = [json.loads(line) for line in lines]
    table = pyarrow.Table.from_pylist(dicts)
    ids = range(len(vectors))
    print(f"{len(vectors)} x {vectors.shape[1]}; vecstore {vecstore.__version__}")
    print(f"{'':<44} {'Rust':>10} {'Python':>10}")

    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        twin = Twin(options.twin, options.data)
        if options.only != "queries":
            sides = {
                "list of dicts": ((ids, vectors, dicts), 1.5),
                "Arrow table": ((ids, vectors, table), 1.2),
            }
            # As it comes, and with a memtable that holds all, so that nothing but the writes runs.
            measure_ingest(report, twin, folder, options.ingests, 32, False, sides)
            measure_ingest(report, twin, folder, options.ingests, 1024, False, sides)
        if options.only != "ingest":
            ingest(folder / "own", 32 * MIB, ids, vectors, dicts)
            with vecstore.open(folder / "own") as db:
                db.optimize()
            shutil.copytree(folder / "own", folder / "twin")
            measure_queries(report, twin, folder, queries, options.rounds)
        twin.end()
    return int(report.failed and not options.report)


if __name__ == "__main__":
    sys.exit(main())
