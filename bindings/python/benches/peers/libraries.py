"""The libraries, each behind the same few methods.

Vectors are float32 of unit length, rows are numbered from 0. `width` is whatever a library has to
trade time for recall.
"""

import importlib.metadata
import importlib.util
import math
import pathlib

GRAPH_WIDTHS = (10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Library:
    #: What `pip install` calls it, and `import`.
    distribution = module = ""
    #: Its settings, for who reads the table.
    about = ""
    widths = GRAPH_WIDTHS

    def __init__(self, folder, m, ef_construction, k):
        self.folder, self.m, self.ef_construction, self.k = pathlib.Path(folder), m, ef_construction, k

    @classmethod
    def is_installed(cls):
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls):
        return importlib.metadata.version(cls.distribution)

    def build(self, base, threads):
        """Indexes all rows, and writes what is needed to open it again beneath `folder`."""
        raise NotImplementedError

    def open(self, dim, threads):
        """Opens what `build` wrote."""
        raise NotImplementedError

    def set_width(self, width):
        self.width = width

    def search(self, query):
        """The rows of the k nearest."""
        raise NotImplementedError

    def batch(self, queries, threads):
        """The rows of the k nearest of each query, or None if there is no such call."""
        return None


class VecStore(Library):
    distribution = module = "vecstore"
    about = "a database with log and metadata, as it comes; width: requested recall"
    widths = (0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.998)
    settings = {}

    def build(self, base, threads):
        import vecstore

        with vecstore.open(self.folder, threads=threads, memtable_bytes=1 << 30) as database:
            rows = database.create_collection(
                "rows", base.shape[1], m=self.m, ef_construction=self.ef_construction, **self.settings
            )
            rows.batch_upsert(range(len(base)), base)
            rows.optimize()

    def open(self, dim, threads):
        import vecstore

        self.rows = vecstore.open(self.folder, threads=threads, create=False).collection("rows")

    def effort(self):
        return {"recall": self.width}

    def search(self, query):
        return self.rows.query(query, k=self.k, include=(), **self.effort()).ids

    def batch(self, queries, threads):
        hits = self.rows.query_batch(queries, k=self.k, include=(), **self.effort())
        return [found.ids for found in hits]


class VecStoreGraph(VecStore):
    about = "the same with index = graph; width: ef"
    widths = GRAPH_WIDTHS
    settings = {"index": "graph"}

    def effort(self):
        return {"ef": self.width}


class VecStoreNoCodes(VecStoreGraph):
    about = "the same with codes = none, on full vectors; width: ef"
    settings = {"index": "graph", "codes": "none"}


class Hnswlib(Library):
    distribution = module = "hnswlib"
    about = "HNSW on full vectors; width: ef"

    def index(self, dim):
        import hnswlib

        return hnswlib.Index(space="cosine", dim=dim)

    def build(self, base, threads):
        index = self.index(base.shape[1])
        index.init_index(len(base), M=self.m, ef_construction=self.ef_construction, random_seed=1)
        index.add_items(base, num_threads=threads)
        index.save_index(str(self.folder / "index"))

    def open(self, dim, threads):
        self.opened = self.index(dim)
        self.opened.load_index(str(self.folder / "index"))
        self.opened.set_num_threads(threads)

    def set_width(self, width):
        self.opened.set_ef(width)

    def search(self, query):
        return self.opened.knn_query(query, k=self.k, num_threads=1)[0][0]

    def batch(self, queries, threads):
        return self.opened.knn_query(queries, k=self.k, num_threads=threads)[0]


class Faiss(Library):
    distribution, module = "faiss-cpu", "faiss"
    about = "IndexHNSWFlat; width: efSearch"

    def index(self, faiss, dim):
        return faiss.IndexHNSWFlat(dim, self.m, faiss.METRIC_INNER_PRODUCT)

    def build(self, base, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        index = self.index(faiss, base.shape[1])
        index.hnsw.efConstruction = self.ef_construction
        index.train(base)
        index.add(base)
        faiss.write_index(index, str(self.folder / "index"))

    def open(self, dim, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        self.opened = faiss.read_index(str(self.folder / "index"))

    def set_width(self, width):
        self.opened.hnsw.efSearch = width

    def search(self, query):
        return self.opened.search(query[None], self.k)[1][0]

    def batch(self, queries, threads):
        return self.opened.search(queries, self.k)[1]


class FaissSq8(Faiss):
    about = "IndexHNSWSQ of 8 bits, not compared again; width: efSearch"

    def index(self, faiss, dim):
        bits = faiss.ScalarQuantizer.QT_8bit
        return faiss.IndexHNSWSQ(dim, bits, self.m, faiss.METRIC_INNER_PRODUCT)


class Usearch(Library):
    distribution = module = "usearch"
    about = "HNSW of f32; width: expansion_search"

    def index(self, dim):
        from usearch.index import Index

        return Index(
            ndim=dim, metric="cos", dtype="f32", connectivity=self.m, expansion_add=self.ef_construction
        )

    def build(self, base, threads):
        import numpy

        index = self.index(base.shape[1])
        index.add(numpy.arange(len(base)), base, threads=threads)
        index.save(str(self.folder / "index"))

    def open(self, dim, threads):
        self.opened = self.index(dim)
        self.opened.load(str(self.folder / "index"))

    def set_width(self, width):
        self.opened.expansion_search = width

    def search(self, query):
        return self.opened.search(query, self.k, threads=1).keys

    def batch(self, queries, threads):
        return self.opened.search(queries, self.k, threads=threads).keys


class Scann(Library):
    distribution = module = "scann"
    about = "tree of sqrt(n) leaves, AH of 2 dimensions, reordered; width: leaves"
    widths = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)

    def build(self, base, threads):
        import scann

        builder = scann.scann_ops_pybind.builder(base, self.k, "dot_product")
        builder = builder.set_n_training_threads(threads).tree(
            num_leaves=math.isqrt(len(base)), num_leaves_to_search=32,
            training_sample_size=min(len(base), 150_000),
        )
        builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
        builder.reorder(100).build().serialize(str(self.folder))

    def open(self, dim, threads):
        import scann

        self.opened = scann.scann_ops_pybind.load_searcher(str(self.folder))

    def effort(self):
        return {
            "final_num_neighbors": self.k, "leaves_to_search": self.width,
            "pre_reorder_num_neighbors": max(6 * self.k, 4 * self.width),
        }

    def search(self, query):
        return self.opened.search(query, **self.effort())[0]

    def batch(self, queries, threads):
        return self.opened.search_batched_parallel(queries, **self.effort())[0]


class Svs(Library):
    distribution, module = "scalable-vs", "svs"
    about = "Vamana of f32, alpha 0.95; width: search window"

    def build(self, base, threads):
        import svs

        parameters = svs.VamanaBuildParameters(
            graph_max_degree=2 * self.m, window_size=self.ef_construction, alpha=0.95
        )
        index = svs.Vamana.build(parameters, base, svs.DistanceType.MIP, num_threads=threads)
        index.save(*(str(self.folder / part) for part in ("config", "graph", "data")))

    def open(self, dim, threads):
        import svs

        self.opened = svs.Vamana(
            str(self.folder / "config"), svs.GraphLoader(str(self.folder / "graph")),
            svs.VectorDataLoader(str(self.folder / "data"), svs.DataType.float32),
            svs.DistanceType.MIP, num_threads=threads,
        )

    def set_width(self, width):
        self.opened.search_window_size = width

    def search(self, query):
        return self.opened.search(query, self.k)[0][0]

    def batch(self, queries, threads):
        return self.opened.search(queries, self.k)[0]


class Zvec(Library):
    distribution = module = "zvec"
    about = "a database, HNSW of f32; width: ef"

    def init(self, threads):
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=threads, optimize_threads=threads)
        return zvec

    def build(self, base, threads):
        zvec = self.init(threads)
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.COSINE, m=self.m, ef_construction=self.ef_construction
        )
        vector = zvec.VectorSchema("v", zvec.DataType.VECTOR_FP32, base.shape[1], index_param=index)
        schema = zvec.CollectionSchema(name="rows", fields=None, vectors=vector)
        rows = zvec.create_and_open(path=str(self.folder / "rows"), schema=schema)
        for first in range(0, len(base), 1000):
            part = base[first : first + 1000]
            states = rows.insert(
                [zvec.Doc(id=str(first + at), vectors={"v": one}) for at, one in enumerate(part)]
            )
            bad = next((state for state in states if not state.ok()), None)
            if bad is not None:
                raise RuntimeError(f"insert: {bad}")
        rows.flush()
        rows.optimize(zvec.OptimizeOption(concurrency=threads))
        rows.flush()

    def open(self, dim, threads):
        self.zvec = self.init(threads)
        self.opened = self.zvec.open(path=str(self.folder / "rows"))

    def set_width(self, width):
        self.width = self.zvec.HnswQueryParam(ef=width)

    def search(self, query):
        query = self.zvec.Query("v", vector=query, param=self.width)
        return [int(found.id) for found in self.opened.query(query, topk=self.k, output_fields=[])]


class Numpy(Library):
    distribution = module = "numpy"
    about = "a matrix product: every row, exactly"
    widths = (1,)

    def build(self, base, threads):
        import numpy

        numpy.save(self.folder / "base.npy", base)

    def open(self, dim, threads):
        import numpy

        self.numpy, self.base = numpy, numpy.load(self.folder / "base.npy")

    def nearest(self, similar):
        best = self.numpy.argpartition(similar, -self.k)[-self.k :]
        return best[self.numpy.argsort(-similar[best])]

    def search(self, query):
        return self.nearest(self.base @ query)

    def batch(self, queries, threads):
        return [self.nearest(similar) for similar in queries @ self.base.T]


ALL = {
    "vecstore": VecStore,
    "vecstore-graph": VecStoreGraph,
    "vecstore-no-codes": VecStoreNoCodes,
    "hnswlib": Hnswlib,
    "faiss": Faiss,
    "faiss-sq8": FaissSq8,
    "usearch": Usearch,
    "scann": Scann,
    "svs": Svs,
    "zvec": Zvec,
    "numpy": Numpy,
}
