"""torch files that hold code: nothing of it runs unasked, and each payload is a real one."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from test_torch_file import ROWS, Net, export, script, weights
from torch import nn

from pyig import artifacts
from pyig.errors import InputError


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def repacked(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **new: bytes) -> Path:
    """Copy an archive; `change` gives the new content of each file, and `new` adds some."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as made:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                made.writestr(name, content)
        for name, content in new.items():
            made.writestr(f"{root}/{name}", content)
    return target


def with_sample(bomb: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, content: bomb if name == "data/sample_inputs/model.pt" else content


def with_weight(bomb: bytes) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            config = json.loads(content)
            for entry in config["config"].values():
                entry["use_pickle"] = True
            return json.dumps(config).encode()
        return bomb if name.startswith("data/weights/weight_") else content

    return change


def with_text(old: str, new: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        text = content.decode()
        assert old in text
        return text.replace(old, new).encode()

    return change


def bomb_of(marker: Path) -> bytes:
    at = marker.with_suffix(".bomb")
    torch.save((Bomb(marker),), at)
    return at.read_bytes()


def pickled(at: Path, marker: Path) -> Path:
    torch.save(Bomb(marker), at / "a.pt")
    return at / "a.pt"


def plainly_pickled(at: Path, marker: Path) -> Path:
    (at / "a.pt").write_bytes(pickle.dumps(Bomb(marker), protocol=2))
    return at / "a.pt"


def among_weights(at: Path, marker: Path) -> Path:
    return weights(at / "a.pth", lambda found: {"state_dict": found, "args": Bomb(marker)})


def in_program(change: Callable[[bytes], Callable[[str, bytes], bytes | None]]) -> Callable[[Path, Path], Path]:
    def make(at: Path, marker: Path) -> Path:
        good = export(Net(), (torch.rand(4, 3),), at / "good.pt2")
        return repacked(good, at / "bad.pt2", change(bomb_of(marker)))

    return make


RUNS: dict[str, Callable[[Path, Path], Path]] = {
    "pickle": pickled,
    "old pickle": plainly_pickled,
    "among weights": among_weights,
    "sample inputs": in_program(with_sample),
    "weights of a program": in_program(with_weight),
}


@pytest.mark.parametrize("name", RUNS)
def test_payloads_do_not_run(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = RUNS[name](tmp_path, marker)
    with pytest.raises(InputError, match="trust=True"):
        artifacts.load(path, factory=Net)
    assert not marker.exists()
    # The opposite: each of them is a real payload, which a trusting reader sets off.
    with suppress(Exception):
        torch.export.load(str(path)) if path.suffix == ".pt2" else torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("models/model.json", b"\x80\x02.", "JSON in .*model.json"),
        ("models/model.json", b"[" * 100_000, "JSON in .*model.json"),
        ("data/weights/model_weights_config.json", b"{", "JSON in .*weights_config.json"),
        ("data/weights/model_weights_config.json", b'{"config": {"w": {"use_pickle": true}}}', "The file is damaged"),
    ],
)
def test_damage_is_told_before_torch_sees_it(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    good = export(Net(), (torch.rand(4, 3),), tmp_path / "good.pt2")
    bad = repacked(good, tmp_path / "bad.pt2", lambda inner, found: content if inner == name else found)
    with pytest.raises(InputError, match=words):
        artifacts.load(bad)
    artifacts.load(repacked(good, tmp_path / "same.pt2", lambda inner, found: found))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04junk"])
def test_what_is_no_file_of_weights_is_not_asked_to_be_trusted(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"is no such file, or is damaged$"):
        artifacts.load(tmp_path / "a.pt", factory=Net)


@pytest.mark.parametrize("name", ["../../slipped.txt", "net/../../slipped.txt", "/slipped.txt", "net\\..\\slipped.txt"])
def test_members_outside_a_program_are_refused(name: str, tmp_path: Path) -> None:
    path = export(Net(), (torch.rand(4, 3),), tmp_path / "good.pt2")
    artifacts.load(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"out")
    with pytest.raises(InputError, match="inside the archive alone"):
        artifacts.load(path)


def test_text_that_would_be_evaluated_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    good = export(Net(), (torch.rand(4, 3),), tmp_path / "good.pt2")
    assert artifacts.load(good).predict(ROWS.to_numpy()).shape == (3, 2)
    symbol = json.loads(zipfile.ZipFile(good).read("good/models/model.json"))["range_constraints"]
    (name,) = symbol
    changes = {
        "symbol": with_text(f"Symbol('{name}'", f"open('{marker}', 'w'), Symbol('{name}'"),
        "operation": with_text("torch.ops.aten.tanh.default", "torch.hub.load"),
        "attribute": with_text("torch.ops.aten.tanh.default", "torch.ops.aten.__class__.__init__"),
        "files": with_text("torch.ops.aten.tanh.default", "torch.ops.aten.from_file.default"),
        "structure": with_text("builtins.tuple", "collections.defaultdict"),
    }
    for number, change in enumerate(changes.values()):
        bad = repacked(good, tmp_path / f"bad{number}.pt2", change)
        with pytest.raises(InputError, match="may run code when it is opened"):
            artifacts.load(bad)
    for inner in ("data/constants/opaque_obj_0", "data/aotinductor/model/model.so"):
        bad = repacked(good, tmp_path / "bad.pt2", lambda name, content: content, **{inner: b"x"})
        with pytest.raises(InputError, match="may run code when it is opened"):
            artifacts.load(bad)
    assert not marker.exists()


def test_guards_of_a_program_are_not_evaluated(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    good = export(Net(), (torch.rand(4, 3),), tmp_path / "good.pt2")

    def change(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        model = json.loads(content)
        model["guards_code"] = [f"open({str(marker)!r}, 'w') is not None"]
        return json.dumps(model).encode()

    bad = repacked(good, tmp_path / "bad.pt2", change)
    artifacts.load(bad).explain(ROWS.to_numpy(), 0, n_steps=2)
    assert not marker.exists()


def test_scripts_that_touch_files_are_refused(tmp_path: Path) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "marker")
            return x * 2

    path = script(Writer(), tmp_path / "w.ts")
    with pytest.raises(InputError, match=r"torch\.save"):
        artifacts.load(path)
    assert artifacts.load(path, trust=True).kind == "torch"


def test_a_whole_module_is_opened_where_it_is_trusted(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"Net.*state_dict\(\).*trust=True"):
        artifacts.load(tmp_path / "net.pt")
    artifact = artifacts.load(tmp_path / "net.pt", trust=True)
    assert artifact.describe()["format"] == "module"
    assert artifact.explain(ROWS, 1, n_steps=5).meta["artifact"] == "torch"
    assert not artifact.source.module.training  # type: ignore[attr-defined]
