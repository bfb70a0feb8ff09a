"""The law of the house: who may import whom, which file may open the door to a heavy package, how long a file may be.

The walk reads source with `ast` and imports nothing. Every rule is proved on a planted violation.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: list[set[str]] = [  # ground floor first; a file imports from lower floors and from its own room
    {"errors"},
    {"registry", "tree", "streams", "held"},
    {"contracts", "_core"},
    {
        "quadrature",
        "rows",
        "heads",
        "calling",
        "targets",
        "baselines",
        "backends",
        "structure",
        "explanation",
    },
    {"integrate", "projections"},
    {"explainer", "sampling"},
    {"artifacts", "compat", "text", "views", "scale"},
    {"demos"},
    {"jupyter", "cli"},
    {"__init__"},
]
ONLY: dict[str, set[str]] = {"views": {"explanation", "errors", "registry", "tree"}}  # narrower than the floors
DOORS: dict[str, list[str]] = {  # heavy package -> the files that may import it, lazily or not
    "torch": [
        "backends/torch*.py",
        "structure/torch*.py",
        "artifacts/torch*.py",
        "text/torch*.py",
        "compat/captum*",
        "demos/torch.py",
    ],
    "tensorflow": [
        "backends/tensorflow*.py",
        "structure/keras*.py",
        "artifacts/*",
        "compat/alibi*",
        "demos/tensorflow.py",
    ],
    "keras": [
        "backends/tensorflow*.py",
        "structure/keras*.py",
        "artifacts/*",
        "compat/alibi*",
        "demos/tensorflow.py",
    ],
    "captum": ["compat/captum/__init__.py"],
    "jax": ["backends/jax*.py"],
    "tf_keras": ["artifacts/*"],
    "explainable_ai_sdk": ["artifacts/*"],
    "h5py": ["artifacts/*"],
    "pyarrow": ["scale/*"],
    "safetensors": ["artifacts/torch*.py"],
    "matplotlib": ["views/*", "compat/captum/visualization/*"],  # faces of another library draw as it does
    "PIL": ["views/*"],
    "IPython": ["jupyter/*"],
    "ipywidgets": ["jupyter/*"],
    "anywidget": ["jupyter/*"],
    "traitlets": ["jupyter/*"],
    "sklearn": ["demos/digits.py"],
}
LAZY = {"pandas", "tqdm"}  # anywhere, but inside functions
ALWAYS = {"numpy", "__future__"} | set(sys.stdlib_module_names)
LONGEST, MEDIAN = 400, 150


def violations(package: Path) -> list[str]:
    """List every breach of the import law in a package, one sentence each."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lazy = {
            id(node)
            for f in ast.walk(tree)
            if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(f)
        }
        for node in ast.walk(tree):
            for module in imported(node, package, path):
                top, _, rest = module.partition(".")
                verdict = inner(inside, rest) if top == package.name else outer(inside, top, id(node) in lazy)
                if verdict:
                    found.append(f"{inside}:{node.lineno} {verdict}")  # type: ignore[attr-defined]
            if isinstance(node, ast.Attribute | ast.Name) and inside != "registry.py":
                name = node.attr if isinstance(node, ast.Attribute) else node.id
                if name in ("import_module", "__import__"):
                    found.append(f"{inside}:{node.lineno} imports by a string; only registry.py may")
    return found


def imported(node: ast.AST, package: Path, path: Path) -> Iterator[str]:
    """Name the modules that a statement imports, absolute and as deep as the file tree shows."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            here = path.relative_to(package.parent).parent.parts
            base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
        for alias in node.names:
            child = package.parent.joinpath(*base.split("."), alias.name)
            is_module = child.is_dir() or child.with_suffix(".py").exists() or alias.name == "_core"
            yield f"{base}.{alias.name}" if is_module else base


def inner(inside: str, module: str) -> str | None:
    """Judge an import of the package itself; `module` is empty for ``pyig`` and dotted below it."""
    here, there = room(inside), module.split(".")[0] or "__init__"
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    for name in (here, there):
        if name not in floor:
            return f"room {name!r} has no floor in test_architecture.FLOORS"
    if here == there:
        return None
    if floor[there] >= floor[here]:
        return f"({here}, floor {floor[here]}) imports {there} (floor {floor[there]}); only lower floors are open"
    if here in ONLY and there not in ONLY[here]:
        return f"({here}) imports {there}; it may see {', '.join(sorted(ONLY[here]))} only"
    return None


def outer(inside: str, package: str, lazy: bool) -> str | None:
    """Judge an import of another distribution."""
    if package in ALWAYS:
        return None
    if package in LAZY:
        return None if lazy else f"imports {package} at module level; it is optional, so import it inside the function"
    if package not in DOORS:
        return f"imports {package}, which is no dependency of this package"
    if any(fnmatch(inside, door) for door in DOORS[package]):
        return None
    return f"imports {package}; its doors are {', '.join(DOORS[package])}"


def room(inside: str) -> str:
    """Name the room of a file: its folder, or the file itself at the top."""
    return inside.split("/")[0].removesuffix(".py")


def kernel_violations(csrc: Path) -> list[str]:
    """List kernels that see Python or the bindings."""
    pattern = re.compile(r'#\s*include\s*[<"]([^>"]*(?:pybind11|Python\.h|bind/)[^>"]*)[>"]')
    files = [path for path in sorted((csrc / "kernels").rglob("*")) if path.is_file()]
    return [
        f"{path.name} includes {name}" for path in files for name in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def lengths(*roots: Path) -> dict[str, int]:
    """Count the lines of every source file."""
    paths = [p for root in roots for p in root.rglob("*") if p.suffix in (".py", ".cpp", ".hpp")]
    return {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}


def too_long(counts: dict[str, int], middle: float = MEDIAN) -> list[str]:
    """List the files over the limit, and the median if it is over its own."""
    found = [f"{name}: {n} lines, over {LONGEST}; split it by idea" for name, n in counts.items() if n > LONGEST]
    median = statistics.median(counts.values())
    return found + ([f"median file has {median:g} lines, over {middle:g}"] if median > middle else [])


def test_imports_go_down() -> None:
    assert violations(ROOT / "pyig") == []


def test_kernels_see_no_python() -> None:
    assert list((ROOT / "csrc" / "kernels").rglob("*.cpp"))
    assert kernel_violations(ROOT / "csrc") == []


@pytest.mark.parametrize("folder", ["pyig", "csrc"])
def test_files_are_short(folder: str) -> None:
    assert too_long(lengths(ROOT / folder)) == []


def test_tests_stay_readable() -> None:
    assert too_long(lengths(ROOT / "tests"), middle=LONGEST) == []


def plant(package: Path, inside: str, source: str) -> list[str]:
    path = package / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return violations(package)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    package = tmp_path / "pyig"
    for name in ("errors.py", "explanation.py", "explainer.py", "backends/torch.py", "views/bars.py"):
        assert plant(package, name, "import numpy as np\n") == []
    return package


@pytest.mark.parametrize(
    ("inside", "source", "sentence"),
    [
        ("errors.py", "from pyig.explanation import Explanation", "only lower floors are open"),
        ("explainer.py", "def f():\n    import pyig.views.bars", "only lower floors are open"),
        ("explainer.py", "from pyig import Explanation", "imports __init__"),
        ("explainer.py", "from pyig import views", "imports views"),
        ("backends/torch.py", "from pyig.explanation import Explanation", "only lower floors are open"),
        ("backends/torch.py", "from ..explainer import f", "imports explainer"),
        ("views/bars.py", "from pyig.explainer import f", "it may see"),
        ("attic.py", "from pyig.errors import unknown", "has no floor"),
        ("explainer.py", "def f():\n    import torch.nn", "its doors are backends/torch*.py"),
        ("explainer.py", "from matplotlib import pyplot", "its doors are views/*"),
        ("compat/captum/draws.py", "import matplotlib", "its doors are views/*"),
        ("explanation.py", "import pandas as pd", "inside the function"),
        ("explanation.py", "def f():\n    import scipy", "no dependency"),
        ("explanation.py", "import importlib\nimportlib.import_module('torch')", "imports by a string"),
        ("explanation.py", "x = __import__('torch')", "imports by a string"),
    ],
)
def test_a_planted_import_is_found(house: Path, inside: str, source: str, sentence: str) -> None:
    found = plant(house, inside, source)
    assert len(found) == 1
    assert found[0].startswith(inside)
    assert sentence in found[0]


@pytest.mark.parametrize(
    ("inside", "source"),
    [
        ("explainer.py", "from pyig.errors import unknown\nfrom pyig import _core"),
        (
            "views/bars.py",
            "from matplotlib import pyplot\nfrom pyig.explanation import Explanation\nfrom . import text",
        ),
        ("backends/torch.py", "import torch.nn"),
        ("explanation.py", "def f():\n    import pandas as pd"),
        ("registry.py", "import importlib\nimportlib.import_module('x')"),
    ],
)
def test_a_lawful_import_passes(house: Path, inside: str, source: str) -> None:
    assert plant(house, inside, source) == []


@pytest.mark.parametrize(
    "line", ["#include <pybind11/numpy.h>", "# include <Python.h>", '#include "../bind/check.hpp"']
)
def test_a_planted_include_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "fine.cpp").write_text('#include <vector>\n#include "rule.hpp"\n', encoding="utf-8")
    assert kernel_violations(tmp_path) == []
    (tmp_path / "kernels" / "reduce.cpp").write_text(line + "\n", encoding="utf-8")
    assert len(kernel_violations(tmp_path)) == 1


def test_a_long_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("x = 1\n" * 10, encoding="utf-8")
    (tmp_path / "edge.py").write_text("x = 1\n" * LONGEST, encoding="utf-8")
    (tmp_path / "other.py").write_text("x = 1\n" * 10, encoding="utf-8")
    assert too_long(lengths(tmp_path)) == []
    (tmp_path / "edge.py").write_text("x = 1\n" * (LONGEST + 1), encoding="utf-8")
    assert len(too_long(lengths(tmp_path))) == 1
    assert len(too_long({"a": MEDIAN + 1, "b": MEDIAN + 1})) == 1
