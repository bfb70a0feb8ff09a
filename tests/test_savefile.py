"""The file: everything survives a round trip, and every other file is refused in plain words."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import samples

from pyig.errors import SaveFileError
from pyig.explanation import Explanation, savefile


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return samples.table().save(tmp_path / "e.npz")


def edit(path: Path, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """Rewrite one entry of an archive; None removes it."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    changed = change(entries.pop(name, b""))
    if changed is not None:
        entries[name] = changed
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)


def edit_json(path: Path, **changes: Any) -> None:
    edit(path, "explanation.json", lambda text: json.dumps(json.loads(text) | changes).encode())


def npy(array: np.ndarray[Any, Any], allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


# --- round trips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", samples.ALL)
@pytest.mark.parametrize("as_path", [str, Path])
def test_round_trip(tmp_path: Path, kind: str, as_path: Callable[[Path], Any]) -> None:
    e = samples.ALL[kind]()
    where = as_path(tmp_path / "e.npz")
    assert e.save(where) == tmp_path / "e.npz"
    back = Explanation.load(where)
    assert back == e
    assert repr(back) == repr(e)
    with pytest.raises(ValueError, match="read-only"):
        back.deltas[...] = 0


def test_a_frame_comes_back_as_a_frame(tmp_path: Path) -> None:
    e = samples.frame()
    back = Explanation.load(e.save(tmp_path / "e.npz"))
    pd.testing.assert_frame_equal(back.inputs, e.inputs)
    pd.testing.assert_frame_equal(back.attributions, e.attributions)
    pd.testing.assert_frame_equal(back.baselines, e.baselines)


def test_text_inputs_nan_and_unicode_survive(tmp_path: Path) -> None:
    e = samples.mixed()
    words = np.array([["ja"], ["ñ∂"]])
    e = replace(
        e,
        inputs={**e.inputs, "ward": words},
        baselines={**e.baselines, "ward": words},
        error=[np.nan, np.inf],
        feature_names=["ålder", "b", "c", "d"],
        meta={"notes": ["≤"], "rtol": float("nan")},
    )
    assert Explanation.load(e.save(tmp_path / "e.npz")) == e


def test_numpy_alone_can_read_the_arrays(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["attributions.0"], samples.table().attributions)
        assert json.loads(archive["explanation.json"])["version"] == 1, "an older pyig reads it"


def test_standard_errors_are_kept_in_a_newer_format(tmp_path: Path) -> None:
    e = samples.frame()
    e = replace(e, standard_error=e.attributions.abs() / 10)
    path = e.save(tmp_path / "e.npz")
    found = Explanation.load(path)
    assert found == e
    assert list(found.standard_error.columns) == samples.FEATURES
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(archive["explanation.json"])["version"] == savefile.VERSION == 2


def test_a_name_without_ending_is_kept(tmp_path: Path) -> None:
    assert samples.table().save(tmp_path / "plain").exists()
    assert Explanation.load(tmp_path / "plain") == samples.table()


# --- refused at save ---------------------------------------------------------------------------------------------


def test_python_objects_are_refused_with_advice(tmp_path: Path) -> None:
    e = samples.mixed()
    things = np.array([[{}], [[]]], dtype=object)
    e = replace(e, inputs={**e.inputs, "ward": things}, baselines={**e.baselines, "ward": things})
    with pytest.raises(SaveFileError, match=r"inputs\.2, baselines\.2 hold\(s\) Python objects.*astype"):
        e.save(tmp_path / "e.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["e.png", "e.csv", "e.html"])
def test_other_endings_are_refused_with_the_right_call(tmp_path: Path, name: str) -> None:
    with pytest.raises(SaveFileError, match=r"to_html.*savefig.*to_csv"):
        samples.table().save(tmp_path / name)


def test_a_failed_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match="disk full"):
        samples.several_targets().save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["e.npz"]


def test_saving_again_replaces_the_file_behind_a_link(saved: Path) -> None:
    link = saved.with_name("link.npz")
    link.symlink_to(saved)
    samples.several_targets().save(link)
    assert link.is_symlink()
    assert Explanation.load(saved) == samples.several_targets()


def test_a_saved_file_has_ordinary_permissions(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.write_bytes(b"")
    assert os.stat(saved).st_mode == os.stat(plain).st_mode  # noqa: PTH116


# --- refused at load ---------------------------------------------------------------------------------------------


def test_a_missing_file_is_that(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Explanation.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("content", [b"", b"P", b"hello", b"\x93NUMPY", b"\x80\x04pickle"])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.npz"
    path.write_bytes(content)
    with pytest.raises(SaveFileError, match=r"e\.npz: .*another kind of file"):
        Explanation.load(path)


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file(saved: Path, keep: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(SaveFileError, match=r"e\.npz: .*damaged"):
        Explanation.load(saved)


def test_a_flipped_byte(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    where = bytes(content).index(samples.table().attributions.tobytes()[:16])
    content[where] ^= 0xFF
    saved.write_bytes(bytes(content))
    with pytest.raises(SaveFileError, match="damaged"):
        Explanation.load(saved)


def test_damage_anywhere_is_refused_or_harmless(saved: Path) -> None:
    content = saved.read_bytes()
    refused = 0
    for where in range(0, len(content), 37):  # prime, so that every field of the archive is hit somewhere
        damaged = bytearray(content)
        damaged[where] ^= 0xFF
        saved.write_bytes(bytes(damaged))
        try:
            assert Explanation.load(saved) == samples.table()  # a time stamp, padding
        except SaveFileError:
            refused += 1
    assert refused > len(content) // 37 // 2


def test_a_foreign_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", x=np.ones(3))
    with pytest.raises(SaveFileError, match=r"has no entry explanation\.json, so pyig did not write it"):
        Explanation.load(tmp_path / "e.npz")


def test_a_foreign_json(saved: Path) -> None:
    edit_json(saved, format="other")
    with pytest.raises(SaveFileError, match=r"expected the format 'pyig\.explanation'"):
        Explanation.load(saved)


def test_a_newer_file(saved: Path) -> None:
    edit_json(saved, version=savefile.VERSION + 1)
    with pytest.raises(SaveFileError, match=r"by a newer pyig; this one reads up to 2\. Upgrade"):
        Explanation.load(saved)


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
def test_a_version_that_is_none(saved: Path, version: object) -> None:
    edit_json(saved, version=version)
    with pytest.raises(SaveFileError, match="expected a format number from 1 to 2"):
        Explanation.load(saved)


@pytest.mark.parametrize("name", ["values.npy", "attributions.0.npy", "path_alphas.npy", "deltas.npy"])
def test_a_missing_array(saved: Path, name: str) -> None:
    edit(saved, name, lambda _: None)
    with pytest.raises(SaveFileError, match=rf"does not fit together.*{name.removesuffix('.npy')}"):
        Explanation.load(saved)


@pytest.mark.parametrize("key", ["plain", "structures"])
def test_a_missing_key(saved: Path, key: str) -> None:
    edit(saved, "explanation.json", lambda text: json.dumps({**json.loads(text), key: {}}).encode())
    if key == "plain":  # all that is plain is optional, so this one is whole
        assert Explanation.load(saved).meta == {}
        return
    with pytest.raises(SaveFileError, match="does not fit together"):
        Explanation.load(saved)


@pytest.mark.parametrize("text", [b"{", b"[]", b"3", b"\xff"])
def test_a_broken_json(saved: Path, text: bytes) -> None:
    edit(saved, "explanation.json", lambda _: text)
    with pytest.raises(SaveFileError):
        Explanation.load(saved)


def test_an_unknown_field(saved: Path) -> None:
    edit(saved, "surprise.npy", lambda _: npy(np.ones(2)))
    with pytest.raises(SaveFileError, match="surprise"):
        Explanation.load(saved)


@pytest.mark.parametrize("name", ["values", "attributions.0", "path_weights", "path_offsets", "inputs.0"])
def test_an_array_of_a_wrong_shape(saved: Path, name: str) -> None:
    edit(saved, f"{name}.npy", lambda _: npy(np.ones((2, 2))))
    with pytest.raises(SaveFileError, match="does not fit together"):
        Explanation.load(saved)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (Bomb.where,)

    where = ""


def test_nothing_in_the_file_is_executed(saved: Path, tmp_path: Path) -> None:
    Bomb.where = str(tmp_path / "executed")
    edit(saved, "values.npy", lambda _: npy(np.array([Bomb()], dtype=object), allow_pickle=True))
    with pytest.raises(SaveFileError, match="allow_pickle=False"):
        Explanation.load(saved)
    assert not (tmp_path / "executed").exists()
    np.load(io.BytesIO(npy(np.array([Bomb()], dtype=object), allow_pickle=True)), allow_pickle=True)
    assert (tmp_path / "executed").exists()  # the mark works
