#!/usr/bin/env bash
# schemathesis against `vecstore serve`: requests made from its OpenAPI document. Prints how many.
# VECSTORE_LONG=1 makes twenty times as many requests of each operation.
set -euo pipefail
cd "$(dirname "$0")"
. ../python.sh

prepare "schemathesis" 'schemathesis==4.32.5'
examples=10
if [ -n "${VECSTORE_LONG:-}" ]; then examples=200; fi
"$venv/python" fuzz.py "$venv/schemathesis" "$vecstore" "$examples" "${1:-7}"
