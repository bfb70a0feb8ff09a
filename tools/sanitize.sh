#!/usr/bin/env bash
# Build the core with sanitizers in a place of its own, and run the core tests on it.
#   tools/sanitize.sh asan    AddressSanitizer and UndefinedBehaviorSanitizer
#   tools/sanitize.sh tsan    ThreadSanitizer
# PYTHON names the interpreter (default: python); it needs numpy, pytest, pytest-timeout, hypothesis and the build tools.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=$(command -v "${PYTHON:-python}")
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") # it is called from another folder
kind=${1:?asan or tsan}

case $kind in
  asan) option=PYIG_SANITIZE runtimes="libasan.so libubsan.so" ;;
  tsan) option=PYIG_TSAN runtimes="libtsan.so" ;;
  *) echo "$0: expected asan or tsan; got $kind" >&2; exit 2 ;;
esac

site=$root/build/$kind-site
rm -rf "$site"
"$python" -m pip install --quiet --no-build-isolation --no-deps --target "$site" . \
  "-Cbuild-dir=build/$kind" -Ccmake.build-type=RelWithDebInfo "-Ccmake.define.$option=ON" -Cinstall.strip=false

# An editable install of pyig would be found first, before PYTHONPATH: take its finder out, here and in child processes.
cat >"$site/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__name__.startswith("ScikitBuild")]
PYTHON

# The interpreter is not instrumented, so the runtimes come first; libstdc++ with them, or the first C++ exception ends
# the process before it can be caught.
preload=
for library in $runtimes libstdc++.so; do
  preload+="$(g++ -print-file-name=$library) "
done

# CPython keeps some memory until the end of the process: leaks are not counted. Python puts the folder it starts in
# before PYTHONPATH, so it starts where the sanitized package is.
cd "$site"
export PYTHONPATH=$site ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
core=$(LD_PRELOAD=$preload "$python" -c 'from pyig import _core; print(_core.__file__)')
if [[ $core != "$site/"* ]] || ! grep -q "__${kind}_" "$core"; then
  echo "$0: expected the core that was built for $kind in $site; got $core" >&2
  exit 1
fi
# --capture=sys: a sanitizer writes its report past Python, and ends the process.
LD_PRELOAD=$preload exec "$python" -m pytest -q -m core --capture=sys -p no:cacheprovider "$root/tests/core"
