#!/usr/bin/env bash
# Builds the wheel, installs it in fresh environments, and runs everything that is said about it.
# Needs Rust, a C compiler, and CPython 3.11 or newer with venv and pip, which takes the rest from
# PyPI. Where there is no such Python it says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")"
package=$PWD
python=${PYTHON:-python3}

if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
then
    echo "skipped: the Python tests need CPython 3.11 or newer with venv and pip ($python is not)"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
step() { printf '\n-- %s\n' "$*"; }

step "the wheel"
"$python" -m venv "$work/build"
"$work/build/bin/pip" install -q 'maturin>=1.9,<2'
"$work/build/bin/maturin" build -q --release --strip --locked -o "$work/dist"
wheel=$(echo "$work"/dist/*.whl)
echo "$(basename "$wheel"): $(wc -c <"$wheel") bytes"
case $wheel in *-cp311-abi3-*) ;; *) echo "not for the stable ABI of 3.11" >&2; exit 1 ;; esac

step "with numpy only: the README's examples, and the tests"
"$python" -m venv "$work/user"
"$work/user/bin/pip" install -q numpy "$wheel"
"$work/user/bin/pip" show vecstore | grep '^Requires:'
cd "$work"
"$work/user/bin/python" - "$package/README.md" <<'PY'
import subprocess, sys
for part in open(sys.argv[1], encoding="utf-8").read().split("```python\n")[1:]:
    subprocess.run([sys.executable, "-W", "error", "-c", part.split("```")[0]], check=True)
PY
"$work/user/bin/python" -X dev -W error "$package/tests/test_vecstore.py"

step "every name of the Rust API; the table of all faces; Ctrl-C and threads"
"$work/user/bin/python" "$package/tests/test_names.py"
"$work/user/bin/python" "$package/tests/test_table.py"
"$work/user/bin/python" "$package/tests/test_interrupt.py"

step "the examples"
for example in "$package"/examples/*.py
do
    "$work/user/bin/python" -W error "$example" >"$work/shown" || { cat "$work/shown"; exit 1; }
    echo "$(basename "$example"): $(wc -l <"$work/shown") lines"
done

step "with pandas, polars and pyarrow: the tests again, and the state machine"
"$work/user/bin/pip" install -q pandas polars pyarrow tqdm hypothesis mypy
"$work/user/bin/python" "$package/tests/test_vecstore.py"
"$work/user/bin/python" "$package/tests/test_machine.py"

step "beside Rust (figures only: another process may be at work here)"
(cd "$package" && cargo build -q --release --locked -p vecstore-benches --bin twin)
"$work/user/bin/python" "$package/benches/ratios.py" --report --rounds 3 --ingests 2 \
    "$package/../../server/data/wordnet-10k"

step "beside other libraries (of which only numpy is here, so that it is exact)"
"$work/user/bin/python" "$package/benches/peers" --libraries vecstore,numpy --rows 2000 --queries 20 \
    --rounds 1 "$package/../../server/data/wordnet-10k" | tee "$work/peers"
grep -q '^  numpy: 1: 1\.0000 ' "$work/peers"

step "the stubs"
"$work/user/bin/python" "$package/stubs.py" --check
"$work/user/bin/mypy" --strict --python-executable "$work/user/bin/python" -p vecstore
"$work/user/bin/stubtest" vecstore

integration() {
    cp -r "$package/integrations/$1" "$work/$1"
    "$work/user/bin/pip" install -q "$work/$1[test]"
    "$work/user/bin/pip" list 2>/dev/null | grep -i "^$2"
    "$work/user/bin/python" -m pytest -q -p no:cacheprovider "$work/$1/tests"
}

step "the vector store suite of langchain-tests"
integration langchain-vecstore langchain

step "the store for LlamaIndex"
integration llama-index-vector-stores-vecstore llama-index
