"""Every public name of the Rust API has its name here, or a reason not to have one.

Reads the sources of the engine beside this package: a method that is added there without a line
in this table fails the test, and so does a line whose method is gone.
"""

import pathlib
import re
import unittest

import vecstore
import vecstore.aio

ENGINE = pathlib.Path(__file__).resolve().parents[3] / "engine" / "src"

#: Rust's name, and Python's: `Class.method`, `Class.method(argument)` or a name of the module; one
#: that begins with "-" is why there is none.
NAMES = {
    "Database::open": "open",
    "Database::open_with": "open",
    "Database::open_existing": "open(create)",
    "Database::in_memory": "open",
    "Database::in_memory_with": "open",
    "Database::repair": "repair",
    "Database::create_collection": "Database.create_collection",
    "Database::collection": "Database.collection",
    "Database::collections": "Database.collections",
    "Database::drop_collection": "Database.drop_collection",
    "Database::flush": "Database.flush",
    "Database::flush_with": "Database.flush(progress)",
    "Database::sync": "Database.sync",
    "Database::optimize": "Database.optimize",
    "Database::optimize_with": "Database.optimize(progress)",
    "Database::stats": "Database.stats",
    "Database::memory": "Database.stats",
    "Database::commit_times": "- the server's metrics tell it",
    "Database::create_snapshot": "Database.create_snapshot",
    "Database::list_snapshots": "Database.list_snapshots",
    "Database::restore_snapshot": "Database.restore_snapshot",
    "Database::remove_snapshot": "Database.remove_snapshot",
    "Database::archive": "- not in Python yet",
    "Database::unarchive": "- not in Python yet",
    "Database::verify": "Database.verify",
    "Database::close": "Database.close",
    "Collection::options": "Database.create_collection",
    "Collection::name": "Collection.name",
    "Collection::namespace_name": "Collection.namespace_name",
    "Collection::settings": "Collection.settings",
    "Collection::namespace": "Collection.namespace",
    "Collection::namespaces": "Collection.namespaces",
    "Collection::upsert": "Collection.upsert",
    "Collection::batch_upsert": "Collection.batch_upsert",
    "Collection::get": "Collection.get",
    "Collection::get_many": "Collection.get(include)",
    "Collection::remove": "Collection.remove",
    "Collection::remove_many": "Collection.remove",
    "Collection::remove_where": "Collection.remove_where",
    "Collection::select": "- count and remove_where take params",
    "Collection::count": "Collection.count",
    "Collection::update": "Collection.update",
    "Collection::update_many": "Collection.update",
    "Collection::change_many": "- not in Python yet",
    "Collection::update_where": "Collection.update_where",
    "Collection::list_namespaces": "Collection.list_namespaces",
    "Collection::remove_namespace": "Collection.remove_namespace",
    "Collection::quota": "Collection.quota",
    "Collection::set_quota": "Collection.set_quota",
    "Collection::namespace_quota": "Collection.namespace_quota",
    "Collection::set_namespace_quota": "Collection.set_namespace_quota",
    "Collection::query": "Collection.query",
    "Collection::query_batch": "Collection.query_batch",
    "Collection::query_batch_with": "- Ctrl-C stops query_batch",
    "Collection::facet": "Collection.facet",
    "Collection::scroll": "Collection.scroll",
    "Collection::flush": "Collection.flush",
    "Collection::flush_with": "Collection.flush(progress)",
    "Collection::optimize": "Collection.optimize",
    "Collection::optimize_with": "Collection.optimize(progress)",
    "Collection::stats": "Collection.stats",
    "CollectionStats::merge_debt_bytes": "- the server's metrics tell it",
    "CollectionOptions::new": "Database.create_collection",
    "CollectionOptions::m": "Database.create_collection(m)",
    "CollectionOptions::ef_construction": "Database.create_collection(ef_construction)",
    "CollectionOptions::index": "Database.create_collection(index)",
    "CollectionOptions::index_option": "Collection.settings",
    "IndexOption::name": "Collection.settings",
    "CollectionOptions::codes": "Database.create_collection(codes)",
    "CollectionOptions::kept_codes": "Collection.settings",
    "CollectionOptions::precision": "Database.create_collection(precision)",
    "CollectionOptions::vector_precision": "Collection.settings",
    "CollectionOptions::unindexed": "Database.create_collection(unindexed)",
    "CollectionOptions::date": "Database.create_collection(dates)",
    "CollectionOptions::fields_max": "Database.create_collection(fields_max)",
    "CollectionOptions::strings_max": "Database.create_collection(strings_max)",
    "CollectionOptions::string_bytes_max": "Database.create_collection(string_bytes_max)",
    "CollectionOptions::unindexed_fields": "Collection.settings",
    "CollectionOptions::date_fields": "Collection.settings",
    "CollectionOptions::dim": "Collection.dim",
    "CollectionOptions::metric": "Collection.metric",
    "CollectionOptions::graph_m": "Collection.settings",
    "CollectionOptions::graph_ef_construction": "Collection.settings",
    "Query::k": "Collection.query(k)",
    "Query::filter": "Collection.query(filter)",
    "Query::bind": "Collection.query(params)",
    "Query::ef": "Collection.query(ef)",
    "Query::recall": "Collection.query(recall)",
    "Query::exact": "Collection.query(exact)",
    "Query::score_threshold": "Collection.query(score_threshold)",
    "Query::include": "Collection.query(include)",
    "Query::group_by": "Collection.query_groups(group_by)",
    "Query::stop_when": "- a query alone is short; Ctrl-C stops query_batch",
    "Query::run": "Collection.query",
    "Query::explain": "Collection.explain",
    "Query::explain_alternatives": "Collection.explain_alternatives",
    "Facet::filter": "Collection.facet(filter)",
    "Facet::bind": "Collection.facet(params)",
    "Facet::limit": "Collection.facet(limit)",
    "Facet::run": "Collection.facet",
    "Scroll::filter": "Collection.scroll(filter)",
    "Scroll::bind": "Collection.scroll(params)",
    "Scroll::limit": "Collection.scroll(limit)",
    "Scroll::after": "Collection.scroll(after)",
    "Scroll::include": "Collection.scroll(include)",
    "Scroll::order_by": "Collection.scroll(order_by)",
    "Scroll::order_by_descending": "Collection.scroll(descending)",
    "Scroll::resume": "Collection.scroll(resume)",
    "Scroll::run": "Collection.scroll",
    "Scroll::pages": "Collection.export",
    "Selection::bind": "Collection.count(params)",
    "Selection::bind_all": "Collection.remove_where(params)",
    "Selection::count": "Collection.count",
    "Selection::remove": "Collection.remove_where",
    "Selection::change": "- not in Python yet",
    "Selection::update": "Collection.update_where",
    "GroupedQuery::group_size": "Collection.query_groups(group_size)",
    "GroupedQuery::run": "Collection.query_groups",
    "Record::new": "Collection.upsert",
    "Record::metadata": "Collection.upsert(metadata)",
    "Error::kind": "Error",
    "Error::field": "Error.field",
    "ErrorKind::name": "- the class of the exception tells it",
}

#: Names that `lib.rs` makes public besides the classes above.
PUBLIC = {
    "AlternativeRun": "Comparison", "ArchiveInfo": "- not in Python yet",
    "Collection": "Collection",
    "CollectionOptions": "Database.create_collection", "CollectionStats": "Collection.stats",
    "CommitTimes": "- the server's metrics tell it",
    "ComparedSegment": "Comparison", "Database": "Database", "Durability": "open(durability)",
    "Error": "Error", "ErrorKind": "Error", "ExecutedPlan": "Plan", "Facet": "Collection.facet",
    "FacetCount": "Collection.facet", "FacetCounts": "Collection.facet",
    "FieldStats": "Collection.stats", "Hit": "Hit", "Include": "Collection.query(include)",
    "InvalidId": "InvalidArgumentError", "Memory": "Database.stats", "Metadata": "Collection.upsert(metadata)",
    "Metric": "Collection.metric", "OptimizeReport": "Collection.optimize", "Options": "open",
    "Page": "Scroll", "Params": "Collection.query(params)",
    "Progress": "Collection.optimize(progress)", "Query": "Collection.query",
    "QueryResult": "Hits", "Record": "Record", "RecordId": "Collection.upsert(id)",
    "RepairReport": "repair", "Result": "Error", "Scroll": "Scroll", "ScrubStats": "Database.stats",
    "SegmentStats": "Collection.stats", "Selection": "- count and remove_where take params",
    "SnapshotInfo": "Database.list_snapshots", "Stage": "Collection.optimize(progress)",
    "Stats": "Database.stats", "StoredRecord": "Record", "UnknownMetric": "InvalidArgumentError",
    "Precision": "Database.create_collection", "UnknownPrecision": "InvalidArgumentError",
    "Codes": "Database.create_collection", "UnknownCodes": "InvalidArgumentError",
    "VerifyReport": "Database.verify", "limits": "limits",
    "NamespaceInfo": "Collection.list_namespaces", "Quota": "Collection.set_quota",
    "GroupedQuery": "Collection.query_groups", "GroupedResult": "Groups",
    "IndexOption": "Database.create_collection(index)",
    "Filter": "- filters are strings, or made with F",
    "Group": "Group", "Cursor": "Scroll.cursor",
}


def sources():
    for path in sorted(ENGINE.rglob("*.rs")):
        yield path, path.read_text("utf-8").split("#[cfg(test)]\nmod tests")[0]


def public_names():
    """What `lib.rs` re-exports."""
    text = (ENGINE / "lib.rs").read_text("utf-8")
    found = set()
    for names in re.findall(r"^pub use [\w:]+::(\{[^}]*\}|\w+);", text, re.M):
        found |= set(re.findall(r"\w+", names))
    return found


def public_methods(of):
    """`Type::method` of each public method of these types."""
    found = set()
    for _, text in sources():
        for head, body in re.findall(r"^impl(?:<[^>]*>)? ([^{]*)\{\n(.*?)^\}", text, re.M | re.S):
            name = re.match(r"(\w+)(?:<[^>]*>)? $", head)
            if name and name[1] in of:
                methods = re.findall(r"^    pub (?:const )?fn (\w+)", body, re.M)
                found |= {f"{name[1]}::{method}" for method in methods}
    return found


def find(name):
    """The member of the package that a line of the table names."""
    name, _, argument = name.rstrip(")").partition("(")
    found = vecstore
    for part in name.split("."):
        found = getattr(found, part)
    if argument and argument not in (found.__text_signature__ or ""):
        raise AttributeError(f"{name} takes no {argument}")
    return found


class TestNames(unittest.TestCase):
    def test_every_public_method_of_rust_is_in_the_table(self):
        self.assertEqual(public_methods(set(PUBLIC)), set(NAMES))

    def test_every_public_name_of_rust_is_in_the_table(self):
        self.assertEqual(public_names(), set(PUBLIC))

    def test_what_the_table_names_is_there(self):
        for rust, python in (NAMES | PUBLIC).items():
            if not python.startswith("-"):
                with self.subTest(rust):
                    find(python)

    def test_every_kind_of_error_of_rust_is_an_exception(self):
        text = (ENGINE / "error.rs").read_text("utf-8")
        [body] = re.findall(r"^pub enum ErrorKind \{\n(.*?)^\}", text, re.M | re.S)
        kinds = re.findall(r"^    (\w+),", body, re.M)
        self.assertGreater(len(kinds), 9)
        for kind in kinds:
            self.assertTrue(issubclass(getattr(vecstore, f"{kind}Error"), vecstore.Error))

    def test_every_setting_of_rust_is_an_argument_of_open(self):
        text = (ENGINE / "options.rs").read_text("utf-8")
        [body] = re.findall(r"^pub struct Options \{\n(.*?)^\}", text, re.M | re.S)
        for field in re.findall(r"^    pub (\w+):", body, re.M):
            find(f"open({field.removesuffix('_max')})")

    def test_every_limit_of_rust_is_there_with_its_number(self):
        text = (ENGINE / "options.rs").read_text("utf-8")
        [body] = re.findall(r"^pub mod limits \{\n(.*?)^\}", text, re.M | re.S)
        found = dict(re.findall(r"pub const (\w+): usize = ([^;]+);", body))
        self.assertGreater(len(found), 5)
        for name, value in found.items():
            self.assertEqual(getattr(vecstore.limits, name), eval(value), name)

    def test_aio_has_the_functions_of_the_module(self):
        self.assertEqual(set(vecstore.aio.__all__), {"Database", "Collection", "Scroll", "open", "repair"})


if __name__ == "__main__":
    unittest.main()
