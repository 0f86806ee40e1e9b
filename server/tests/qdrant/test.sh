#!/usr/bin/env bash
# The unmodified qdrant-client against `vecstore serve` and its own in-memory twin, then LangChain and
# LlamaIndex on it; prints what was compared. Needs the binary (built here) and CPython 3.11 or newer
# with venv and pip, which takes them from PyPI. Where there is no such Python it says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}

if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
then
    echo "skipped: the Qdrant client needs CPython 3.11 or newer with venv and pip ($python is not)"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
cargo build -q --locked -p vecstore-server
target=$(cargo metadata --format-version 1 --no-deps --offline | "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
"$python" -m venv "$work/venv"
# The oracle changes with its version: a new one is a change of this file.
"$work/venv/bin/pip" install -q 'qdrant-client==1.20.0' \
    'langchain-qdrant==1.1.0' 'llama-index-vector-stores-qdrant==0.10.4'
"$work/venv/bin/python" -W ignore::UserWarning differential.py "$target/debug/vecstore" "${1:-2}" "${2:-7}"
"$work/venv/bin/python" -W ignore frameworks.py "$target/debug/vecstore"
