"""One library in one process: a request a line on standard input, an answer a line on standard output."""

import importlib
import json
import os
import statistics
import sys
import time


# Batches before the ones that count: caches are cold, and threads still begin.
WARM_SECONDS = 0.3


def resident():
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
            return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return 0


def file_bytes(folder):
    """Bytes that the files beneath `folder` take on the disk; their lengths where the system does not tell."""
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(getattr(stat, "st_blocks", -(-stat.st_size // 512)) * 512 for stat in stats)


def plain(answers):
    """Rows as JSON has them."""
    return [[int(row) for row in answer] for answer in answers]


class Handler:
    def begin(self, library, folder, cores, settings):
        # Before anything is loaded that starts threads: those have what this one has.
        if cores:
            os.sched_setaffinity(0, cores)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(max(1, len(cores)))
        import libraries

        self.peer = libraries.ALL[library](folder, **settings)
        self.peer.folder.mkdir(exist_ok=True)
        return {}

    def build(self, base, threads):
        import numpy

        vectors = numpy.load(base)
        cpu, started = time.process_time(), time.perf_counter()
        self.peer.build(vectors, threads)
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
            "bytes": file_bytes(self.peer.folder),
            "version": self.peer.version(),
            "about": self.peer.about,
        }

    def open(self, queries, threads):
        import numpy

        self.queries, self.threads = numpy.load(queries), threads
        # The code of a library is none of its memory.
        importlib.import_module(self.peer.module)
        self.before = resident()
        self.peer.open(self.queries.shape[1], threads)
        return {"widths": self.peer.widths}

    def ask_all(self, width):
        self.peer.set_width(width)
        return [self.peer.search(query) for query in self.queries]

    def answers(self, width):
        return {"answers": plain(self.ask_all(width))}

    def time(self, width):
        started = time.perf_counter()
        self.ask_all(width)
        return {"rate": len(self.queries) / (time.perf_counter() - started)}

    def memory(self):
        return {"bytes": max(0, resident() - self.before)}

    def batch(self, width, rounds):
        self.peer.set_width(width)
        opened, rates = time.perf_counter(), []
        while len(rates) < rounds:
            started = time.perf_counter()
            answers = self.peer.batch(self.queries, self.threads)
            ended = time.perf_counter()
            if answers is None:
                return {}
            if started - opened >= WARM_SECONDS:
                rates.append(len(self.queries) / (ended - started))
        return {"rate": statistics.median(rates), "answers": plain(answers)}


def main():
    # Libraries that print have standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    handler = Handler()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(handler, request.pop("do"))(**request)
        except Exception as failure:
            answer = {"failed": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
