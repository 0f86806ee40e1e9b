#!/usr/bin/env bash
# schemathesis against `vecstore serve`: requests made from its OpenAPI document. Prints how many. Needs
# the binary (built here) and CPython 3.11 or newer with venv and pip; where there is no such Python it
# says so and succeeds. VECSTORE_LONG=1 makes twenty times as many requests of each operation.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}

if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
then
    echo "skipped: schemathesis needs CPython 3.11 or newer with venv and pip ($python is not)"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
cargo build -q --locked -p vecstore-server
target=$(cargo metadata --format-version 1 --no-deps --offline | "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'schemathesis==4.32.5'
examples=10
if [ -n "${VECSTORE_LONG:-}" ]; then examples=200; fi
"$work/venv/bin/python" fuzz.py "$work/venv/bin/schemathesis" "$target/debug/vecstore" "$examples" "${1:-7}"
