"""Requests made from the OpenAPI document, right and wrong ones, to `vecstore serve`.

No answer may be a server error, have a status or a type that the document does not name, or a body
that is not of its schema.

    fuzz.py SCHEMATHESIS VECSTORE EXAMPLES SEED
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from urllib.request import Request, urlopen

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qdrant"))

from server import Server  # noqa: E402

CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
# These would end what the second run asks about.
ENDING = ["drop_collection", "restore_snapshot"]


def put(url, body, method="PUT"):
    urlopen(Request(url, json.dumps(body).encode(), {"content-type": "application/json"}, method=method)).read()


def run(schemathesis, url, folder, examples, seed, known):
    """With names made up, or with those of a collection and records that are there."""
    with open(os.path.join(folder, "schemathesis.toml"), "w") as config:
        if known:
            config.write('[parameters]\n"path.collection" = "docs"\n')
    command = [schemathesis, "run", url + "/openapi.json", "--max-examples", examples, "--seed", seed, "--no-color"]
    command += ["--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS), "--continue-on-failure", "--warnings", "off"]
    for operation in ENDING if known else []:
        command += ["--exclude-operation-id", operation]
    paths = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=folder, env=paths, capture_output=True, text=True)
    summary = [line.strip() for line in done.stdout.splitlines() if "generated" in line or "Tested:" in line]
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    print("schemathesis, " + ("a collection with records" if known else "names made up") + ": " + ", ".join(summary))


def main():
    schemathesis, binary, examples, seed = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, folder)
        try:
            run(schemathesis, server.url, folder, examples, seed, known=False)
            docs = server.url + "/v1/collections/docs"
            put(docs, {"dim": 2, "metric": "dot", "if_not_exists": True})
            records = [{"id": n, "vector": [n, 1], "metadata": {"n": n, "a": ["x", n % 3]}} for n in range(20)]
            put(docs + "/records", {"records": records}, "POST")
            run(schemathesis, server.url, folder, examples, seed, known=True)
            assert server.process.poll() is None
        finally:
            server.process.terminate()
        assert server.process.wait(60) == 0


main()
