"""Jobs: what comes out is what `explain` says; a job in pieces writes the same bytes; a changed one is refused."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scale_files import OUTPUTS, Stop, after, read, write_rows
from toy_artifact import COLUMNS, Opener, Toy, write_toy

import pyig
from pyig.errors import InputError, SaveFileError
from pyig.scale import Job
from pyig.scale.parts import Parts

FIXED = ["prediction", "baseline_prediction", "target", "delta", "error", "n_evals", "converged"]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Opener.open(write_toy(tmp_path / "model.toy"))


@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_output_holds_what_explain_says(kind: str, toy: Toy, tmp_path: Path) -> None:
    x = write_rows(tmp_path / "r.csv", 25)
    account = Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / f"a{kind}", id_column="patient", chunk=10).run()
    found = read(tmp_path / f"a{kind}")
    assert list(found[0]) == ["row", "patient", *FIXED, *(f"attribution.{name}" for name in COLUMNS)]
    assert [row["row"] for row in found] == list(range(25))
    assert [row["patient"] for row in found] == [f"p{i}" for i in range(25)]
    truth = toy.explain({name: x[:, i] for i, name in enumerate(COLUMNS)}, progress=False)
    for name in COLUMNS:
        np.testing.assert_allclose([r[f"attribution.{name}"] for r in found], truth.attributions[name], rtol=1e-12)
    np.testing.assert_allclose([row["prediction"] for row in found], truth.values, rtol=1e-12)
    np.testing.assert_allclose([row["delta"] for row in found], truth.deltas, atol=1e-14)
    assert [row["n_evals"] for row in found] == truth.n_evals.tolist()
    assert [row["converged"] for row in found] == truth.converged.tolist()
    assert {row["target"] for row in found} == {None}
    assert (account.rows, account.explained, account.faulty, account.results) == (25, 25, 0, 25)
    assert account.n_evals == int(truth.n_evals.sum())
    size = sum(np.abs(leaf) for leaf in truth.attributions.values())
    assert account.worst_gap == pytest.approx(float((np.abs(truth.deltas) / size).max()), rel=1e-6)
    assert not (tmp_path / f"a{kind}.parts").exists()


def test_numbers_read_back_as_the_same_numbers(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 40)
    for kind in OUTPUTS:
        Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / f"a{kind}").run()
    found = [read(tmp_path / f"a{kind}") for kind in OUTPUTS]
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("stops", [[0], [1], [4, 1, 1]])
def test_a_job_in_pieces_writes_the_same_bytes(kind: str, stops: list[int], toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 95)
    options: dict[str, Any] = {
        "artifact": toy,
        "rows": tmp_path / "r.csv",
        "chunk": 10,
        "options": {"baselines": "noise"},
    }
    Job(**options, out=tmp_path / f"whole{kind}").run()
    out = tmp_path / f"pieces{kind}"
    for stop in stops:
        fresh = Opener.open(tmp_path / "model.toy")
        with pytest.raises(Stop):
            Job(**options | {"artifact": fresh}, out=out).run(after(stop))
        assert not out.exists()
    toy.calls = 0
    account = Job(**options, out=out).run()
    assert out.read_bytes() == (tmp_path / f"whole{kind}").read_bytes()
    assert (account.resumed, toy.calls) == (10 * sum(stops), 10 - sum(stops))
    assert account.explained == 95


def test_what_was_drawn_depends_on_the_seed(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        Job(
            artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / f"{name}.csv", chunk=10, seed=seed,
            options={"baselines": "noise"},
        ).run()  # fmt: skip
    one, again, other = ((tmp_path / f"{name}.csv").read_bytes() for name in ("one", "again", "other"))
    assert one == again != other
    found = [row["baseline_prediction"] for row in read(tmp_path / "one.csv")]
    assert len(set(found)) > 15  # and no chunk draws what another drew; some are 1 to the last bit


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"options": {"rtol": 0.001}}, "options rtol (none, now 0.001)"),
        ({"target": 0}, "target (none, now 0)"),
        ({"seed": 3}, "seed (0, now 3)"),
        ({"chunk": 5}, "chunk (10, now 5)"),
        ({"on_error": "skip"}, "on-error (raise, now skip)"),
        ({"id_column": "patient"}, "id (none, now patient)"),
        ({"opened": {"signature": "serve"}}, "artifact signature (none, now serve)"),
        ({"columns": COLUMNS[::-1]}, "columns (none, now"),
    ],
)
def test_a_changed_job_is_refused(change: dict[str, Any], sentence: str, toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv", "chunk": 10}
    with pytest.raises(Stop):
        Job(**options).run(after(1))
    with pytest.raises(InputError, match="since then changed: ") as caught:
        Job(**options | change).run()
    assert sentence in str(caught.value)
    assert Job(**options).run().resumed == 10
    with pytest.raises(Stop):
        Job(**options).run(after(1))
    assert Job(**options | change, restart=True).run().resumed == 0


def test_changed_files_are_refused(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)
    options: dict[str, Any] = {"rows": tmp_path / "r.csv", "out": tmp_path / "a.csv", "chunk": 10}
    with pytest.raises(Stop):
        Job(artifact=toy, **options).run(after(1))
    before = (tmp_path / "r.csv").read_text()
    (tmp_path / "r.csv").write_text(before.replace("p29,", "q29,"))
    with pytest.raises(InputError, match="the content of rows"):
        Job(artifact=toy, **options).run()
    (tmp_path / "r.csv").write_text(before)
    write_toy(tmp_path / "model.toy", weights=[1, 2, 3, 4])
    with pytest.raises(InputError, match="the content of artifact"):
        Job(artifact=toy, **options).run()
    write_toy(tmp_path / "model.toy")
    assert Job(artifact=toy, **options).run().resumed == 10


def test_other_packages_are_refused(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "r.csv", 30)
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv", "chunk": 10}
    with pytest.raises(Stop):
        Job(**options).run(after(1))
    explain = toy.explain

    def newer(*args: Any, **kwargs: Any) -> pyig.Explanation:
        found = explain(*args, **kwargs)
        found.meta["versions"]["torch"] = "99"
        return found

    with monkeypatch.context() as patch:
        patch.setattr(toy, "explain", newer)
        with pytest.raises(InputError, match=r"versions torch \(none, now 99\)"):
            Job(**options).run()
    assert Job(**options).run().resumed == 10


def test_an_interrupted_chunk_is_not_kept(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop turns Ctrl-C into a partial result; a job must not take it for a whole one."""
    write_rows(tmp_path / "r.csv", 30)
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "chunk": 10}
    Job(**options, out=tmp_path / "whole.csv").run()
    explain, turn = toy.explain, iter([False, True])

    def cut(rows: Any, **given: Any) -> pyig.Explanation:
        return explain(rows, **given, cancel=lambda: stop) if (stop := next(turn)) else explain(rows, **given)

    with monkeypatch.context() as patch:
        patch.setattr(toy, "explain", cut)
        with pytest.raises(KeyboardInterrupt):
            Job(**options, out=tmp_path / "a.csv").run()
    assert len(list((tmp_path / "a.csv.parts").glob("*.npz"))) == 1
    assert Job(**options, out=tmp_path / "a.csv").run().resumed == 10
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_damaged_part_is_named_and_can_be_made_again(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 40)
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv", "chunk": 10}
    Job(**options).run()
    whole = (tmp_path / "a.csv").read_bytes()
    with pytest.raises(Stop):
        Job(**options).run(after(3))
    part = tmp_path / "a.csv.parts" / "000001.npz"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 255
    part.write_bytes(bytes(data))
    with pytest.raises(SaveFileError, match=r"000001\.npz .*Delete it"):
        Job(**options).run()
    part.unlink()
    assert Job(**options).run().resumed == 30
    assert (tmp_path / "a.csv").read_bytes() == whole


def test_a_full_disk_loses_nothing(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "r.csv", 40)
    (tmp_path / "a.csv").write_text("of last week")
    options: dict[str, Any] = {"artifact": toy, "rows": tmp_path / "r.csv", "out": tmp_path / "a.csv", "chunk": 10}
    save, turn = np.savez, iter([False, False, True])

    def full(*args: Any, **kwargs: Any) -> None:
        if next(turn):
            raise OSError(28, "No space left on device")
        save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            Job(**options).run()
    assert (tmp_path / "a.csv").read_text() == "of last week"
    assert sorted(path.name for path in (tmp_path / "a.csv.parts").iterdir()) == [
        "000000.npz", "000001.npz", "job.json", "lock", "versions.json",
    ]  # fmt: skip
    assert Job(**options).run().resumed == 20
    assert len(read(tmp_path / "a.csv")) == 40


def test_two_jobs_on_one_output(toy: Toy, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    write_rows(tmp_path / "r.csv", 5)
    other = Parts(tmp_path / "a.csv")
    other.open({}, restart=False)
    job = Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", restart=True)
    with pytest.raises(InputError, match="another process has it open"):
        job.run()
    other.close()
    assert job.run().explained == 5


class Tokens:
    """Two classes and a sequence: several targets, and features that are lists."""

    kind, path, columns, outputs = "tokens", Path(__file__), ("ids", "age"), ("ham", "spam")

    def explain(self, rows: Any, target: Any = None, **options: Any) -> pyig.Explanation:
        del options
        n, k = len(rows["ids"]), 2 if target == "top2" else 1
        shape = (n, k) if k > 1 else (n,)
        ids = rows["ids"].astype(np.float32)
        leaves = {"ids": ids, "age": rows["age"].astype(float)}
        parts = {
            name: np.broadcast_to(leaf[:, None] if k > 1 else leaf, (*shape, *leaf.shape[1:])) / 7
            for name, leaf in leaves.items()
        }
        parts["ids"] = parts["ids"].astype(np.float32)
        return pyig.Explanation(
            attributions=parts, inputs=leaves, baselines={name: 0 * leaf[:1] for name, leaf in leaves.items()},
            values=np.ones(shape), baseline_values=np.zeros(shape), deltas=np.zeros(shape),
            error=np.full(shape, np.nan), n_evals=np.ones(shape), converged=np.ones(shape),
            path_offsets=np.zeros(n * k + 1), path_alphas=[], path_values=[], path_slopes=[], path_weights=[],
            targets=np.broadcast_to([1, 0][:k] if k > 1 else 1, shape), output_names=self.outputs,
        )  # fmt: skip


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("target", ["predicted", "top2"])
def test_lists_and_several_targets(kind: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"ids": [i, i + 1, 3], "age": i} for i in range(7)]))
    account = Job(artifact=Tokens(), rows=tmp_path / "r.json", out=tmp_path / f"a{kind}", target=target, chunk=3).run()  # type: ignore[arg-type]
    found = read(tmp_path / f"a{kind}")
    count = 2 if target == "top2" else 1
    assert (account.explained, account.results) == (7, 7 * count)
    assert [row["row"] for row in found] == [i for i in range(7) for _ in range(count)]
    assert [row["target"] for row in found[:count]] == ["spam", "ham"][:count]
    assert {row["error"] for row in found} == {None}
    for row in found:
        wanted = np.array([row["row"], row["row"] + 1, 3], dtype=np.float32) / np.float32(7)
        np.testing.assert_allclose(row["attribution.ids"], wanted, rtol=1e-6)
    if kind == ".parquet":
        schema = pq.read_schema(tmp_path / "a.parquet")
        assert str(schema.field("attribution.ids").type).startswith("list<")
        assert "float" in str(schema.field("attribution.ids").type)
        assert str(schema.field("attribution.age").type) == "double"


def test_chunks_follow_the_width_of_a_row(tmp_path: Path) -> None:
    sizes = {}
    for width in (4, 64, 5_000, 100_000):
        (tmp_path / "r.json").write_text(json.dumps([{"ids": [0] * width, "age": 1}] * 2))
        job = Job(artifact=Tokens(), rows=tmp_path / "r.json", out=tmp_path / "a.csv")  # type: ignore[arg-type]
        sizes[width] = job._size(job._open())
    assert sizes == {4: 4096, 64: 512, 5_000: 16, 100_000: 16}


def test_memory_does_not_grow_with_the_rows(toy: Toy, tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 40_000):
        write_rows(tmp_path / "r.csv", count)
        tracemalloc.start()
        account = Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.json", chunk=500).run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert account.explained == count
    assert toy.most_live == 500
    assert peaks[1] < 1.1 * peaks[0]


def test_progress_tells_of_parts_of_a_chunk_too(toy: Toy, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", 30)
    seen: list[float] = []
    Job(artifact=toy, rows=tmp_path / "r.csv", out=tmp_path / "a.csv", chunk=10, options={"batch_size": 16}).run(
        lambda done, account: seen.append(done)
    )
    assert seen == sorted(seen)
    assert {0, 10, 20, 30} <= set(seen)
    assert any(done % 10 for done in seen)
