#!/usr/bin/env bash
# Build the sdist, and from it the wheel in an isolated environment; repair the wheel on Linux; leave both in dist/;
# then install the wheel beside numpy alone and use it. `python` is the one on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/wheel
rm -rf "$work" dist
mkdir -p "$work" dist

PIP_CONSTRAINT="$PWD/ci/constraints.txt" python -m build --outdir "$work" .
if [[ $(uname -s) == Linux ]]; then
  auditwheel repair --wheel-dir dist "$work"/*.whl
else
  cp "$work"/*.whl dist/
fi
cp "$work"/*.tar.gz dist/

python -m venv "$work/venv"
bin="$PWD/$work/venv/bin"
"$bin/python" -m pip install --quiet --disable-pip-version-check --constraint ci/constraints.txt numpy
"$bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps dist/*.whl
"$bin/python" -m pip check
# -I and another folder: the wheel is imported, not the source that lies here.
smoke="$PWD/tools/smoke.py"
cd "$work"
"$bin/python" -I "$smoke"
"$bin/pyig" info
ls -l ../../dist
