#!/usr/bin/env bash
# clang-tidy over the compiled core, warnings are errors. `python`, `cmake` and `clang-tidy` are those on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/tidy
cmake -S . -B "$build" -G Ninja -DPython_EXECUTABLE="$(command -v python)" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" >/dev/null
find csrc -name '*.cpp' -print0 |
  xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" clang-tidy -p "$build" --quiet --warnings-as-errors='*'
echo "clang-tidy: $(find csrc -name '*.cpp' | wc -l) files, no warning"
