#!/usr/bin/env bash
# The unmodified qdrant-client against `vecstore serve` and its own in-memory twin, then LangChain and
# LlamaIndex on it; prints what was compared.
set -euo pipefail
cd "$(dirname "$0")"
. ../python.sh

# The oracle changes with its version: a new one is a change of this file.
prepare "the Qdrant client" 'qdrant-client==1.20.0' \
    'langchain-qdrant==1.1.0' 'llama-index-vector-stores-qdrant==0.10.4'
"$venv/python" -W ignore::UserWarning differential.py "$vecstore" "${1:-2}" "${2:-7}"
"$venv/python" -W ignore frameworks.py "$vecstore"
