"""torch files as artifacts: weights with a factory, exported programs and TorchScript, whole or from a layer on."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import pyig
from pyig import artifacts
from pyig.artifacts import torch_file
from pyig.errors import InputError, InputTypeError, ModelError

ROWS = pd.DataFrame({"age": [63.0, 41.0, 56.0], "chol": [2.3, 2.0, 2.4], "oldpeak": [2.3, 1.4, 0.8]})
ROWS["age"] /= 50


class Net(nn.Module):
    def __init__(self, width: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.drop, self.last = nn.Linear(3, width), nn.Dropout(0.5), nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(self.drop(torch.tanh(self.first(x))))
        return out


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.last = nn.Embedding(7, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(torch.tanh(self.table(ids) * x) * mask[:, None])
        return out


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.last = nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(torch.tanh(self.embedding(ids)).mean(1))
        return out


def export(model: nn.Module, inputs: tuple[Any, ...], path: Path, dynamic: bool = True) -> Path:
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in inputs) if dynamic else None
    torch.export.save(torch.export.export(model.eval(), inputs, dynamic_shapes=shapes), str(path))
    return path


def script(model: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(model.eval()), str(path))
    return path


def weights(path: Path, wrap: Callable[[dict[str, Any]], Any] = lambda found: found) -> Path:
    torch.save(wrap(Net().state_dict()), path)
    return path


def safe(path: Path) -> Path:
    save_file(Net().state_dict(), str(path))
    return path


FILES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "weights": (lambda at: weights(at / "net.pt"), {"factory": Net}, "state_dict"),
    "checkpoint": (
        lambda at: weights(at / "net.pth", lambda found: {"epoch": 3, "model_state_dict": found}),
        {"factory": Net},
        "state_dict",
    ),
    "parallel": (
        lambda at: weights(at / "net.pt", lambda found: {f"module.{k}": v for k, v in found.items()}),
        {"factory": Net},
        "state_dict",
    ),
    "safetensors": (lambda at: safe(at / "net.safetensors"), {"factory": Net}, "safetensors"),
    "exported": (lambda at: export(Net(), (torch.rand(4, 3),), at / "net.pt2"), {}, "torch.export"),
    "exported for 2 rows": (lambda at: export(Net(), (torch.rand(2, 3),), at / "net.pt2", False), {}, "torch.export"),
    "exported for 8 rows": (lambda at: export(Net(), (torch.rand(8, 3),), at / "net.pt2", False), {}, "torch.export"),
    "scripted": (lambda at: script(Net(), at / "net.ts"), {}, "TorchScript"),
    "scripted .pt": (lambda at: script(Net(), at / "net.pt"), {}, "TorchScript"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_gives_what_its_module_gives(name: str, tmp_path: Path) -> None:
    make, options, kind = FILES[name]
    artifact = artifacts.load(make(tmp_path), columns=list(ROWS), output_names=["well", "ill"], **options)
    assert artifact.kind == "torch"
    assert artifact.columns == tuple(ROWS)
    assert artifact.outputs == ("well", "ill")
    x = torch.tensor(ROWS.to_numpy(), dtype=torch.float32)
    model = Net().eval()
    np.testing.assert_allclose(artifact.predict(ROWS), model(x).detach(), rtol=1e-5, atol=1e-6)
    wanted = pyig.IntegratedGradients(model).explain(x, target=1, n_steps=20)
    for target in (1, "ill"):
        found = artifact.explain(ROWS, target, n_steps=20)
        assert list(found.attributions) == list(ROWS)
        stacked = np.stack(list(found.attributions.values()), axis=1)
        np.testing.assert_allclose(stacked, wanted.attributions, rtol=0, atol=1e-6)
    about = artifact.describe()
    assert json.loads(json.dumps(about)) == about
    assert about["format"] == kind
    assert about["differentiable"] == ["x"]
    assert list(artifact.problems()) == []
    assert list(artifact.problems(ROWS)) == []


def test_a_table_with_as_many_columns_as_the_first_layer_needs_no_names(tmp_path: Path) -> None:
    artifact = artifacts.load(weights(tmp_path / "net.pt"), factory=Net)
    found = artifact.explain(ROWS, 0, n_steps=5)
    assert list(found.attributions) == list(ROWS)
    alone = artifact.explain(ROWS.to_numpy(), 0, n_steps=5)
    np.testing.assert_allclose(alone.attributions["x"][:, 1], found.attributions["chol"], rtol=0, atol=1e-6)


def test_baselines_are_in_the_users_words(tmp_path: Path) -> None:
    artifact = artifacts.load(weights(tmp_path / "net.pt"), factory=Net, columns=list(ROWS))
    found = artifact.explain(ROWS, 0, baselines={"age": 1.0, "chol": 2.2}, n_steps=20)
    start = torch.tensor([[1.0, 2.2, 0.0]])
    x = torch.tensor(ROWS.to_numpy(), dtype=torch.float32)
    wanted = pyig.IntegratedGradients(Net().eval()).explain(x, start, 0, n_steps=20)
    np.testing.assert_allclose(found.attributions["age"], wanted.attributions[:, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.baselines["age"], 1.0)


@pytest.mark.parametrize("how", ["weights", "exported"])
def test_integers_and_booleans_are_held_fixed(how: str, tmp_path: Path) -> None:
    x, ids, mask = torch.rand(4, 1), torch.tensor([1, 2, 3, 6]), torch.tensor([True, True, False, True])
    rows = {"x": x[:, 0].numpy(), "ids": ids.numpy(), "mask": mask.numpy()}
    if how == "weights":
        torch.save(Mixed().state_dict(), tmp_path / "m.pt")
        inputs = {"x": ("float32", [1]), "ids": ("int64", []), "mask": ("bool", [])}
        artifact = artifacts.load(tmp_path / "m.pt", factory=Mixed, inputs=inputs)
    else:
        artifact = artifacts.load(export(Mixed(), (x, ids, mask), tmp_path / "m.pt2"))
    found = artifact.explain(rows)
    model = Mixed().eval()
    rise = model(x, ids, mask) - model(x * 0, ids, mask)
    np.testing.assert_allclose(found.attributions["x"].ravel(), rise[:, 0].detach(), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.attributions["ids"], 0)
    assert "held fixed, so without attribution: ids, mask" in found.meta["notes"]
    assert artifact.describe()["fixed"] == ["ids", "mask"]


def test_token_ids_are_explained_at_the_embedding(tmp_path: Path) -> None:
    torch.save(Tokens().state_dict(), tmp_path / "t.pt")
    inputs = {"ids": ("int64", [None])}
    rows = {"ids": np.array([[1, 2, 3], [4, 5, 0]])}
    plain = artifacts.load(tmp_path / "t.pt", factory=Tokens, inputs=inputs)
    with pytest.raises(ModelError, match="layer='embedding'"):
        plain.explain(rows, 0)
    assert "Name the layer" in str(next(iter(plain.problems(rows))))
    artifact = artifacts.load(tmp_path / "t.pt", factory=Tokens, inputs=inputs, layer="embedding")
    found = artifact.explain(rows, 0)
    model = Tokens().eval()
    wanted = pyig.IntegratedGradients(model).explain(torch.from_numpy(rows["ids"]), target=0, layer=model.embedding)
    np.testing.assert_allclose(found.attributions["ids"], wanted.attributions.sum(-1), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.inputs["ids"], rows["ids"])


# --- what does not fit ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, InputError, "expected factory=, which makes the module of the weights"),
        ({"factory": lambda: Net(6)}, ModelError, "first.weight: copying a param with shape"),
        ({"factory": nn.Identity}, ModelError, r"Unexpected key"),
        ({"factory": lambda: 3}, InputTypeError, "torch.nn.Module; got int"),
        ({"factory": 3}, InputTypeError, "function without arguments; got int"),
        ({"factory": "torch.nn:Identity"}, InputError, "trust=True"),
        ({"factory": Net, "colums": ["a"]}, InputError, "did you mean 'columns'"),
        ({"factory": Net, "columns": ["a", "b"]}, InputError, "expected 3 columns"),
        ({"factory": Net, "layer": "frist"}, InputError, "unknown layer 'frist'; did you mean 'first'"),
        ({"factory": "no_such_module:make", "trust": True}, InputError, "PYTHONPATH"),
        ({"factory": "torch.nn:no_such_class", "trust": True}, InputError, "'torch.nn:no_such_class' cannot be"),
    ],
)
def test_refused_at_the_door(options: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        artifacts.load(weights(tmp_path / "net.pt"), **options)


def test_a_factory_by_name_is_an_import_that_must_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_nets.py").write_text("import test_torch_file\ndef make():\n    return test_torch_file.Net()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = weights(tmp_path / "net.pt")
    assert artifacts.load(path, factory="own_nets:make", trust=True).predict(ROWS.to_numpy()).shape == (3, 2)
    with pytest.raises(InputError, match=r"package\.module:function"):
        artifacts.load(path, factory="own_nets", trust=True)


@pytest.mark.parametrize("name", ["exported", "scripted"])
def test_a_program_has_no_layers_to_explain_at(name: str, tmp_path: Path) -> None:
    path = FILES[name][0](tmp_path)
    assert list(artifacts.load(path).problems(ROWS)) == []
    with pytest.raises(InputError, match="runs its layers out of sight"):
        artifacts.load(path, layer="first")


def test_an_exported_program_is_recorded_without_a_warning(tmp_path: Path) -> None:
    artifact = artifacts.load(FILES["exported"][0](tmp_path))
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            assert artifact.explain(ROWS, 0).meta["method"] == "exact"
    finally:
        torch.set_warn_always(False)
    assert not [str(warning.message) for warning in found]


def test_a_layer_among_several_inputs_needs_their_dtypes(tmp_path: Path) -> None:
    torch.save(Mixed().state_dict(), tmp_path / "m.pt")
    rows = {"x": np.ones((2, 1), np.float32), "ids": np.array([[1, 2], [3, 0]]), "mask": np.ones((2, 2), bool)}
    with pytest.raises(ModelError, match=r"inputs=\{'ids': 'int64'"):
        artifacts.load(tmp_path / "m.pt", factory=Mixed, layer="table").explain(rows, 0)


def test_several_baselines_by_column_are_averaged(tmp_path: Path) -> None:
    artifact = artifacts.load(weights(tmp_path / "net.pt"), factory=Net, columns=list(ROWS))
    low, high = (dict.fromkeys(ROWS, value) for value in (0.0, 1.0))
    found = artifact.explain(ROWS, 0, baselines=pyig.several([low, high]))
    each = [artifact.explain(ROWS, 0, baselines=one) for one in (low, high)]
    for name, leaf in found.attributions.items():
        np.testing.assert_allclose(leaf, (each[0].attributions[name] + each[1].attributions[name]) / 2, atol=1e-4)
    assert not np.allclose(found.attributions["age"], each[0].attributions["age"], atol=1e-4)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pt2", "a.ts", "a.safetensors"):
        (tmp_path / name).write_bytes(b"hello")
        with pytest.raises(InputError):
            artifacts.load(tmp_path / name, factory=Net)
    torch.save({"epoch": 3}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"tensors by name.*'epoch'"):
        artifacts.load(tmp_path / "b.pt", factory=Net)


# --- the page ------------------------------------------------------------------------------------------------------
def section() -> str:
    page = Path(__file__).parents[1] / "docs" / "artifacts.md"
    return page.read_text(encoding="utf-8").partition("## torch files\n")[2].partition("\n## ")[0]


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python\n(.*?)^```", section(), re.DOTALL | re.MULTILINE))
    assert code.count("explain(") == 1
    exec(compile(code, "docs/artifacts.md", "exec"), {"__name__": "__main__"})


def test_the_page_names_every_option() -> None:
    table = section().partition("| option |")[2]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*torch_file.OPTIONS, "trust"}
