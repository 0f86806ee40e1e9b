#!/usr/bin/env bash
# The unmodified qdrant-client against `vecstore serve` and its own in-memory twin, then LangChain,
# LlamaIndex and VectorDBBench on it, all over REST and over gRPC; prints what was compared.
set -euo pipefail
cd "$(dirname "$0")"
. ../python.sh

# The oracle changes with its version: a new one is a change of this file.
prepare "the Qdrant client" 'qdrant-client==1.20.0' \
    'langchain-qdrant==1.1.0' 'llama-index-vector-stores-qdrant==0.10.4'
"$venv/python" -W ignore::UserWarning differential.py "$vecstore" "${1:-2}" "${2:-7}"
"$venv/python" -W ignore frameworks.py "$vecstore"
# VectorDBBench's clients need little of what it asks for, which is a web page and the clients of others.
"$venv/pip" install -q 'environs==15.2.0'
"$venv/pip" install -q --no-deps 'vectordb-bench==2.0.0'
(cd "$work" && LOG_LEVEL=ERROR "$venv/python" -W ignore "$OLDPWD/vectordbbench.py" "$vecstore")
