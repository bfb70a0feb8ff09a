"""pyig without the optional packages: it imports, it explains, and what needs a package says which, and the cure.

Each case runs in a Python of its own in which some packages cannot be found, as on a machine that lacks them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAVY = [
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "matplotlib",
    "IPython",
    "pandas",
    "ipywidgets",
    "tqdm",
    "sklearn",
    "scipy",
]
BLOCK = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""
SQUARES = """
import numpy as np, pyig
model = pyig.IntegratedGradients(lambda x: (x ** 2).sum(axis=1), gradient=lambda x: 2 * x)
explained = model.explain(np.array([[1.0, 2.0], [3.0, 0.5]]), n_steps=4)
"""


def python(code: str, absent: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where the `absent` packages do not exist."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK.format(absent=absent) + textwrap.dedent(code)],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def said(code: str, absent: list[str], folder: Path) -> str:
    """Return what the code printed; its failure is the test's failure."""
    done = python(code, absent, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_works(tmp_path: Path) -> None:
    assert "No module named 'json'" in python("import json", ["json"], tmp_path).stderr
    assert python("import json", ["torch"], tmp_path).returncode == 0


@pytest.mark.core
def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    code = f"import sys, json, pyig; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert json.loads(said(code, [], tmp_path)) == []


@pytest.mark.core
def test_explains_with_numpy_alone(tmp_path: Path) -> None:
    code = f"""
    {textwrap.indent(SQUARES, "    ").strip()}
    np.testing.assert_allclose(explained.attributions, [[1, 4], [9, 0.25]], rtol=1e-14)
    explained.save("e.npz")
    assert type(explained).load("e.npz") == explained
    print(repr(explained))
    """
    assert said(code, HEAVY, tmp_path)


@pytest.mark.parametrize(
    ("feature", "package", "extra"),
    [
        ("explained.to_frame()", "pandas", "frames"),
        ("explained.plot(kind='bars')", "matplotlib", "plots"),
        ("import pyig.compat.captum", "torch", "torch"),
        (
            "from pyig.compat.captum import visualization as viz\nviz.visualize_image_attr(np.eye(3))",
            "matplotlib",
            "plots",
        ),
    ],
)
def test_a_missing_package_is_named(feature: str, package: str, extra: str, tmp_path: Path) -> None:
    done = python(SQUARES + feature, [package], tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pyig.errors.MissingPackageError")
    assert package in last
    assert f"pyig-explain[{extra}]" in last


def test_captums_face_needs_no_captum_and_no_pictures_before_they_are_drawn(tmp_path: Path) -> None:
    code = """
    import torch
    from pyig.compat.captum import IntegratedGradients, visualization
    print(IntegratedGradients(lambda x: x.sum(1)).attribute(torch.ones(1, 2)).tolist())
    """
    assert said(code, ["captum", "matplotlib", "IPython"], tmp_path) == "[[1.0, 1.0]]\n"


@pytest.mark.parametrize("feature", ["explained.to_frame()", "explained.plot(kind='bars')"])
def test_the_same_feature_works_with_its_package(feature: str, tmp_path: Path) -> None:
    assert python(SQUARES + feature, [], tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("command", "absent", "sentence"),
    [
        ("demo", ["torch", "tensorflow", "keras"], 'pip install "pyig-explain[torch]"'),
        ("demo --framework torch", ["torch"], "needs torch"),
        ("demo --framework tensorflow", ["tensorflow", "keras"], 'pip install "pyig-explain[tensorflow]"'),
        ("demo --image", ["sklearn"], "needs scikit-learn"),
    ],
)
def test_the_demo_names_what_it_lacks(command: str, absent: list[str], sentence: str, tmp_path: Path) -> None:
    done = python(f"import sys, pyig.cli; sys.exit(pyig.cli.main({command.split()!r}))", absent, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("pyig: ")
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_needs_a_framework_alone(tmp_path: Path) -> None:
    absent = sorted(set(HEAVY) - {"torch"})
    assert "Every patient is in report.html" in said("import pyig.cli; pyig.cli.main(['demo'])", absent, tmp_path)
    assert (tmp_path / "report.html").exists()


@pytest.mark.core
def test_info_needs_numpy_alone(tmp_path: Path) -> None:
    assert "instruction set" in said("import pyig.cli; pyig.cli.main(['info'])", HEAVY, tmp_path)
