# What the tests with Python packages share; sourced by `qdrant/test.sh` and `openapi/test.sh`.
#
#     prepare WHAT PACKAGE…
#
# makes a virtual environment with the packages from PyPI and builds the binary: `$venv` is the folder of
# the one's programs, `$vecstore` the other. Where there is no CPython 3.11 or newer with venv and pip it
# says that WHAT is skipped, and succeeds.

prepare() {
    local what=$1 python=${PYTHON:-python3}
    shift
    if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then
        echo "skipped: $what needs CPython 3.11 or newer with venv and pip ($python is not)"
        exit 0
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
    cargo build -q --locked -p vecstore-server
    vecstore=$(cargo metadata --format-version 1 --no-deps --offline | "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/vecstore
    "$python" -m venv "$work/venv"
    venv=$work/venv/bin
    "$venv/pip" install -q "$@"
}
