"""Vectors, queries and the truth."""

import pathlib

import numpy

# Distances within this of the tenth count as its equals: float32 sums differ in their last bits.
SAME = 1e-6


def load(folder, name):
    """The array in NAME.f16.npy or NAME.npy."""
    folder = pathlib.Path(folder)
    paths = [folder / f"{name}.f16.npy", folder / f"{name}.npy"]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise SystemExit(f"{folder}: there is neither {paths[0].name} nor {paths[1].name}")
    return numpy.load(path, mmap_mode="r")


def unit(vectors):
    vectors = numpy.ascontiguousarray(vectors, dtype=numpy.float32)
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / numpy.where(lengths > 0, lengths, 1)


class Truth:
    """Vectors, queries, and which answers are right."""

    def __init__(self, folder, rows, queries, k):
        self.base = unit(load(folder, "base")[:rows])
        self.queries = unit(load(folder, "queries")[:queries])
        self.k = k
        if len(self.base) < k:
            raise SystemExit(f"{folder}: {len(self.base)} vectors are fewer than k = {k}")
        # How near the k-th nearest of each query is.
        self.kth = numpy.empty(len(self.queries), dtype=numpy.float32)
        for first in range(0, len(self.queries), 64):
            similar = self.queries[first : first + 64] @ self.base.T
            self.kth[first : first + 64] = numpy.partition(similar, -k, axis=1)[:, -k]

    def save(self, work):
        """Writes base.npy and queries.npy, for other processes."""
        numpy.save(work / "base.npy", self.base)
        numpy.save(work / "queries.npy", self.queries)

    def recall(self, answers):
        """Mean share of the k nearest that was found; a row as near as the k-th is a right one."""
        right = 0
        for query, kth, answer in zip(self.queries, self.kth, answers):
            rows = numpy.unique(numpy.asarray(answer[: self.k], dtype=numpy.int64))
            rows = rows[rows >= 0]
            right += min(self.k, int((self.base[rows] @ query >= kth - SAME).sum()))
        return right / (self.k * len(self.queries))
