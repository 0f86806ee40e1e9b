"""The behaviours that every face of VecStore shares, asked of this package.

The tables, `*.json`, are in `server/tests/serve/`, where `table.rs` asks the library, HTTP and gRPC.
"""

import json
import pathlib
import re
import struct
import tempfile
import unittest
import uuid

import vecstore

TABLES = pathlib.Path(__file__).resolve().parents[3] / "server/tests/serve"


def shortest(number):
    """The shortest decimal that is this number of 32 bits, as Rust writes it."""
    for digits in range(1, 10):
        text = f"{number:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", number):
            break
    # A row can't tell -0 from 0.
    return str(int(float(text)) + 0) if float(text).is_integer() else repr(float(text))


def record_id(value):
    try:
        return uuid.UUID(value) if isinstance(value, str) and len(value) == 36 else value
    except ValueError:
        return value


def shown_id(id):
    return str(id) if isinstance(id, uuid.UUID) else id


def shown(record):
    """A record or hit as the table has it."""
    row = {"id": shown_id(record.id)}
    if record.metadata is not None:
        row["metadata"] = record.metadata
    if record.vector is not None:
        row["vector"] = [shortest(x) for x in record.vector]
    if isinstance(record, vecstore.Hit):
        row |= {"score": shortest(record.score), "distance": shortest(record.distance)}
    return row


class Face:
    """The operations of the table, with the package's names."""

    def __init__(self, db):
        self.db = db

    def docs(self, of, body):
        docs = self.db.collection(of)
        return docs.namespace(body["namespace"]) if "namespace" in body else docs

    def list(self, of, body):
        return self.db.collections()

    def create(self, of, body):
        made = self.db.create_collection(of, **body)
        return {"dim": made.dim, "metric": made.metric}

    def settings(self, of, body):
        settings = self.db.collection(of).settings
        schema = settings["schema"]
        return {"index": settings["index"], "precision": settings["precision"], "codes": settings["codes"],
                "unindexed": schema["unindexed"], "dates": schema["dates"]}

    def drop(self, of, body):
        self.db.drop_collection(of)
        return {}

    def upsert(self, of, body):
        records = body["records"]
        self.docs(of, body).batch_upsert(
            [record_id(record["id"]) for record in records],
            [record["vector"] for record in records],
            [record.get("metadata") for record in records],
        )
        return {"records": len(records)}

    def get(self, of, body):
        ids = [record_id(id) for id in body["ids"]]
        found = self.docs(of, body).get(ids, body.get("include", ["metadata"]))
        return [None if record is None else shown(record) for record in found]

    def remove(self, of, body):
        docs = self.docs(of, body)
        if "ids" in body:
            return {"removed": docs.remove([record_id(id) for id in body["ids"]])}
        return {"removed": docs.remove_where(body["filter"], body.get("params"))}

    def update(self, of, body):
        docs = self.docs(of, body)
        if "ids" in body:
            ids = [record_id(id) for id in body["ids"]]
            return {"updated": docs.update(ids, body["patch"])}
        return {"updated": docs.update_where(body["filter"], body["patch"], body.get("params"))}

    def namespaces(self, of, body):
        found = self.db.collection(of).list_namespaces()
        return [{"name": one["name"], "records": one["records"]} for one in found]

    def remove_namespace(self, of, body):
        return {"removed": self.db.collection(of).remove_namespace(body["namespace"])}

    def count(self, of, body):
        return {"count": self.docs(of, body).count(body.get("filter"), body.get("params"))}

    def facet(self, of, body):
        counts = self.docs(of, body).facet(**body)
        values = [{"value": value, "count": count} for value, count in counts["values"]]
        return {"values": values, "distinct": counts["distinct"]}

    def scroll(self, of, body):
        asked = {name: value for name, value in body.items() if name != "namespace"}
        if "after" in asked:
            asked["after"] = record_id(asked["after"])
        pages = self.docs(of, body).scroll(**asked)
        page = [shown(record) for record in next(pages, [])]
        return {"records": page, "next": shown_id(pages.after)}

    def pages(self, of, body):
        """The ids of all pages; each is read by a scroll that goes on from the one before."""
        pages, found = self.docs(of, {}).scroll(**body), []
        while True:
            found.append([shown_id(record.id) for record in next(pages)])
            if pages.cursor is None:
                return found
            pages = self.docs(of, {}).scroll(**body, resume=pages.cursor)

    def query_groups(self, of, body):
        found = self.docs(of, {}).query_groups(**body)
        groups = [{"value": group.value, "hits": [shown_id(id) for id in group.hits.ids]}
                  for group in found]
        return {"groups": groups, "complete": found.complete}

    def quota(self, of, body):
        docs = self.docs(of, body)
        quota = docs.namespace_quota() if "namespace" in body else docs.quota()
        return {name: most for name, most in quota.items() if most is not None}

    def set_quota(self, of, body):
        docs = self.docs(of, body)
        (docs.set_namespace_quota if "namespace" in body else docs.set_quota)(**body["quota"])
        return {}

    def query(self, of, body):
        asked = {name: value for name, value in body.items() if name != "namespace"}
        hits = self.docs(of, body).query(asked.pop("vector"), **asked)
        return {"hits": [shown(hit) for hit in hits], "complete": hits.complete}

    def create_snapshot(self, of, body):
        made = self.db.create_snapshot(of)
        return {"name": made["name"], "records": made["records"]}

    def restore_snapshot(self, of, body):
        self.db.restore_snapshot(of)
        return {}

    def remove_snapshot(self, of, body):
        self.db.remove_snapshot(of)
        return {}

    def ask(self, row):
        try:
            return {"is": getattr(self, row["ask"])(row["of"], row["with"])}
        except vecstore.Error as error:
            words = re.findall("[A-Z][a-z]+", type(error).__name__.removesuffix("Error"))
            failed = {"fails": "_".join(words).lower()}
            return failed | ({"field": error.field} if error.field else {})


class TestTable(unittest.TestCase):
    def test_the_package_behaves_as_the_tables_say(self):
        tables = [json.loads(path.read_text("utf-8")) for path in sorted(TABLES.glob("*.json"))]
        rows = [row for table in tables for part in table for row in part["rows"]]
        self.assertGreater(len(rows), 70)
        with tempfile.TemporaryDirectory() as folder, vecstore.open(folder) as db:
            face = Face(db)
            for row in rows:
                with self.subTest(**row):
                    expected = {name: row[name] for name in ("is", "fails", "field") if name in row}
                    # As text, in which 1, 1.0 and true are three things.
                    asked, expected = face.ask(row), json.dumps(expected, sort_keys=True)
                    self.assertEqual(json.dumps(asked, sort_keys=True), expected)
        print(len(rows), "rows")


if __name__ == "__main__":
    unittest.main()
