"""VecStore beside the libraries that would be used in its place, in one run.

    pip install vecstore numpy hnswlib faiss-cpu usearch scann scalable-vs zvec
    python bindings/python/benches/peers DATA...

Each DATA is a folder with base.f16.npy and queries.f16.npy (or base.npy and queries.npy), as
server/data/wordnet-10k is. Vectors are brought to unit length and compared by cosine. Of the
libraries those that are installed take part; hnswlib is what the others are measured by.

Every library builds its index in a process of its own, on two threads, and writes it to a file. Then
each is opened in a new process on one core, and asked all queries one at a time: once at each width
for the recall of the ten nearest (a row as near as the tenth counts), then in rounds, library after
library, for the time alone. What is printed for a recall is interpolated between widths; a ratio is
the median of those within a round. Batches are all queries at once on two threads, at the least
width with recall 0.99. A library whose least width finds more than a recall has the rate of that width
there. What else the machine does changes every figure but recall and bytes.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import data
import libraries

RECALLS = (0.95, 0.99)
MEASURED_BY = "hnswlib"
MIB = 1 << 20


class Failed(Exception):
    """A library could not do what it was asked; the message says why."""


class Worker:
    """A process with one library, asked by lines of JSON (worker.py)."""

    def __init__(self, library, folder, settings, cores):
        command = [sys.executable, pathlib.Path(__file__).with_name("worker.py")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask(
            do="begin", library=library, folder=str(folder), cores=cores,
            settings={name: getattr(settings, name) for name in ("m", "ef_construction", "k")},
        )

    def ask(self, **request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"its process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def rate_at(curve, recall):
    """The rate at a recall, between two points: linear in recall and in the logarithm of the rate."""
    # What another point beats in both counts for nothing.
    best = sorted(p for p in curve if not any(q[0] >= p[0] and q[1] > p[1] for q in curve))
    above = next((at for at, point in enumerate(best) if point[0] >= recall), None)
    if above is None:
        return None
    if above == 0:
        return best[0][1]
    (low, slow), (high, fast) = best[above - 1], best[above]
    part = (recall - low) / (high - low)
    return math.exp(math.log(slow) + (math.log(fast) - math.log(slow)) * part)


def useful(widths, recalls):
    """The widths that are worth timing: those up to the second one beyond the highest recall printed."""
    beyond = [at for at, recall in enumerate(recalls) if recall > RECALLS[-1]]
    end = beyond[1] + 1 if len(beyond) > 1 else len(widths)
    return list(zip(widths[:end], recalls[:end]))


class Measured:
    """What is known of one library on one set of data."""

    def __init__(self, name):
        self.name = name
        self.built = self.opened = self.batch = None
        self.points = []
        self.rates = []
        self.memory = 0

    def curve(self, at):
        return [(recall, rates[at]) for (_, recall), rates in zip(self.points, self.rates)]

    def rate(self, recall):
        rates = [rate_at(self.curve(at), recall) for at in range(len(self.rates[0]))]
        return statistics.median(rates) if rates and None not in rates else None

    def ratio(self, other, recall):
        if other is None:
            return None
        pairs = [
            (rate_at(self.curve(at), recall), rate_at(other.curve(at), recall))
            for at in range(len(self.rates[0]))
        ]
        ratios = [ours / theirs for ours, theirs in pairs if ours and theirs]
        return statistics.median(ratios) if ratios else None


def measure(folder, names, settings, work):
    """Builds, searches in turns, searches in batches; gives a Measured for each that could."""
    truth = data.Truth(folder, settings.rows, settings.queries, settings.k)
    truth.save(work)
    base, queries = str(work / "base.npy"), str(work / "queries.npy")
    count, dim = truth.base.shape
    print(
        f"\n{pathlib.Path(folder).resolve().name}: {count:,} x {dim}, cosine, "
        f"{len(truth.queries)} queries, k = {settings.k}, m = {settings.m}, "
        f"ef_construction = {settings.ef_construction}"
    )
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    two, one = cores[-2:], cores[-1:]
    all_measured, failures = [], []

    def attempt(measured, what, action):
        try:
            action()
            return True
        except Failed as why:
            failures.append(f"{measured.name}: {what}: {why}")
            return False

    for name in names:
        measured = Measured(name)

        def build(measured=measured):
            with Worker(measured.name, work / measured.name, settings, two) as worker:
                measured.built = worker.ask(do="build", base=base, threads=2)

        if attempt(measured, "build", build):
            print(f"  {name} {measured.built['version']}: {measured.built['about']}", flush=True)
            all_measured.append(measured)

    workers = {}
    try:
        for measured in list(all_measured):

            def first(measured=measured):
                worker = Worker(measured.name, work / measured.name, settings, one)
                workers[measured.name] = worker
                measured.opened = worker.ask(do="open", queries=queries, threads=1)
                answers = {
                    width: worker.ask(do="answers", width=width)["answers"]
                    for width in measured.opened["widths"]
                }
                recalls = [truth.recall(found) for found in answers.values()]
                measured.points = useful(list(answers), recalls)
                measured.rates = [[] for _ in measured.points]

            if not attempt(measured, "search", first):
                all_measured.remove(measured)
        for _ in range(settings.rounds):
            for measured in all_measured:
                worker = workers[measured.name]
                # The first one of a turn finds caches that are full of another library's data.
                worker.ask(do="time", width=measured.points[-1][0])
                for (width, _), rates in zip(measured.points, measured.rates):
                    rates.append(worker.ask(do="time", width=width)["rate"])
        for measured in all_measured:
            measured.memory = workers[measured.name].ask(do="memory")["bytes"]
    finally:
        for worker in workers.values():
            worker.__exit__()

    for measured in all_measured:

        def batch(measured=measured):
            enough = [width for width, recall in measured.points if recall >= RECALLS[-1]]
            width = enough[0] if enough else measured.points[-1][0]
            with Worker(measured.name, work / measured.name, settings, two) as worker:
                worker.ask(do="open", queries=queries, threads=2)
                measured.batch = worker.ask(do="batch", width=width, rounds=settings.rounds)
            if "answers" in measured.batch:
                measured.batch["recall"] = truth.recall(measured.batch.pop("answers"))

        attempt(measured, "batch", batch)
    return all_measured, failures


def number(value, form=",.0f", otherwise="-"):
    return otherwise if value is None else format(value, form)


def print_table(all_measured):
    by = next((measured for measured in all_measured if measured.name == MEASURED_BY), None)
    head = ["library", "build s", "CPU s", "file MiB", "memory MiB"]
    for recall in RECALLS:
        head += [f"q/s at {recall}", f"to {MEASURED_BY}"]
    head += ["batch q/s", "recall"]
    lines = [head]
    for measured in all_measured:
        built, batch = measured.built, measured.batch or {}
        line = [measured.name, f"{built['seconds']:.1f}", f"{built['cpu_seconds']:.1f}"]
        line.append(f"{built['bytes'] / MIB:.0f}")
        line.append(f"{measured.memory / MIB:.0f}" if measured.memory else "-")
        for recall in RECALLS:
            line.append(number(measured.rate(recall), otherwise="not reached"))
            line.append(number(measured.ratio(by, recall), ".2f"))
        line += [number(batch.get("rate")), number(batch.get("recall"), ".4f")]
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  " + line[0].ljust(widths[0]), *cells, sep="  ")
    print("\n  recall and queries a second by width, medians")
    for measured in all_measured:
        points = zip(measured.points, measured.rates)
        shown = [
            f"{width}: {recall:.4f} {statistics.median(rates):,.0f}"
            for (width, recall), rates in points
        ]
        print(f"  {measured.name}: {'; '.join(shown)}")


def main():
    parser = argparse.ArgumentParser(
        prog="peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="folder with base and queries")
    parser.add_argument("--libraries", metavar="NAMES", help="only these, e.g. vecstore,hnswlib")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--rows", type=int, help="only so many vectors")
    parser.add_argument("--queries", type=int, default=500, help="at most so many, default 500")
    parser.add_argument("--k", type=int, default=10, help="neighbours, default 10")
    parser.add_argument("--m", type=int, default=16, help="half the links of a row, default 16")
    parser.add_argument("--ef-construction", type=int, default=200, help="default 200")
    settings = parser.parse_args()
    numbers = [settings.rounds, settings.queries, settings.k, settings.m, settings.ef_construction]
    if min(numbers) < 1 or (settings.rows is not None and settings.rows < 1):
        parser.error("numbers are at least 1")

    names = settings.libraries.split(",") if settings.libraries else list(libraries.ALL)
    unknown = [name for name in names if name not in libraries.ALL]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(libraries.ALL)}")
    missing = [name for name in names if not libraries.ALL[name].is_installed()]
    for name in missing:
        print(f"not installed: {name} (pip install {libraries.ALL[name].distribution})")
    if settings.libraries and missing:
        sys.exit(2)
    names = [name for name in names if name not in missing]

    failed = False
    for folder in settings.data:
        with tempfile.TemporaryDirectory() as work:
            all_measured, failures = measure(folder, names, settings, pathlib.Path(work))
            print()
            print_table(all_measured)
            for failure in failures:
                print(f"  failed: {failure}")
            failed |= bool(failures)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
