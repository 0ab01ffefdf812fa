#!/bin/sh
# Lock all three environments with hashes, for every platform, naming no registry.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}
lock() {
    out=$1; shift
    "$uv" pip compile -q --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --no-annotate --no-header "$@" -o "requirements/$out"
}
lock base.txt pyproject.toml requirements/build.in
lock embedded.txt --extra embedded -c requirements/base.txt pyproject.toml requirements/build.in
lock dev.txt --extra embedded -c requirements/embedded.txt \
    pyproject.toml requirements/build.in requirements/dev.in
