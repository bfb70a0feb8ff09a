"""A job: explain every row of a file, keep what is finished, and go on there after whatever stopped it.

The output is the same to the last byte whether the job ran through or in pieces. So a chunk depends on its rows and on
the options alone: the explainer learns nothing from one chunk for the next, batch sizes follow the width of a row and
not the clock, and every chunk has a random stream of its own.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pyig import _core
from pyig.baselines import several
from pyig.errors import InputError, unknown
from pyig.explanation import Explanation
from pyig.scale.account import Account, Progress, summary_of
from pyig.scale.attempt import ON_ERROR, Attempt, joined
from pyig.scale.columns import Column, Fault
from pyig.scale.fingerprint import content
from pyig.scale.parts import Part, Parts
from pyig.scale.records import columns_of
from pyig.scale.results import WRITERS, layout_of, write_results
from pyig.scale.rows import Chunk, Rows

_VALUES = 1 << 16  # of a chunk: some seconds of work for a small model
_TEXT = 256  # values that a text counts for: its tokens become vectors
_LEAST, _MOST = 16, 4096  # rows of a chunk
_SHOWN = 5  # faults in one error message


class Explains(Protocol):
    """The part of `pyig.artifacts.Artifact` that a job needs."""

    path: Path
    columns: tuple[str, ...]

    def explain(self, rows: Any, target: Any = None, **options: Any) -> Explanation:
        """Explain a table."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """Explain the rows of a file.

    Parameters
    ----------
    artifact : Artifact
        The model with the meaning of its columns, from `pyig.artifacts.load`.
    rows, out : path
        What to explain (.csv, .tsv, .json, .jsonl, .parquet), and where the attributions go (the same kinds).
    target : int, str, optional
        As for `IntegratedGradients.explain`.
    options : dict
        Further options of the artifact's `explain`.
    opened : dict
        How the artifact was opened, such as ``{"signature": "serving_default"}``: part of what the job is.
    chunk : int or "auto"
        Rows that are kept together; ``"auto"`` follows from the columns alone.
    on_error : {"raise", "skip", "mark"}
        What becomes of a row that cannot be explained: an error that names it, a row less, or a row of the output with
        its problem and no numbers.
    id_column : str, optional
        Column whose cells name the rows in the output.
    columns : sequence of str, optional
        Columns to explain, in this order. Default: those that the artifact asks for, or all where they are not there.
    text : collection of str
        Columns to read as text whatever they look like.
    seed : int
        Of whatever is drawn at random.
    restart : bool
        Throw away what an earlier run has kept.

    Examples
    --------
    ``Job(artifact=pyig.artifacts.load("heart.keras"), rows="rows.csv", out="attributions.parquet").run()``
    """

    artifact: Explains
    rows: str | os.PathLike[str]
    out: str | os.PathLike[str]
    target: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    opened: Mapping[str, Any] = field(default_factory=dict)
    chunk: int | str = "auto"
    on_error: str = "raise"
    id_column: str | None = None
    columns: Sequence[str] | None = None
    text: Collection[str] = ()
    seed: int = 0
    restart: bool = False

    def run(self, progress: Progress | None = None) -> Account:
        """Do what is left to do, and write the output.

        Parameters
        ----------
        progress : callable, optional
            Called with the rows done so far and the `Account`.

        Raises
        ------
        InputError
            For options, files or rows that do not fit, and where what was kept belongs to another job.
        KeyboardInterrupt
            When it was interrupted: what is finished is kept, and the same job goes on with it.
        """
        out, rows = self._check(), self._open()
        size = self._size(rows)
        parts = Parts(out)
        try:
            done = parts.open(self._fingerprint(size), self.restart)
            if not done and self.on_error == "raise" and not rows.clean:
                _look_for_faults(rows)
            account = Account(rows=rows.count)
            self._chunks(rows, size, parts, done, account, progress)
            if not rows.unchanged():
                raise InputError(f"expected {rows.path.name} to stay as it is while it is read; run the job again")
            self._write(out, parts, -(-rows.count // size))
            parts.remove()
        except BaseException:
            if parts.begun and parts.empty:
                parts.remove()
            raise
        finally:
            parts.close()
        return account

    def _chunks(
        self, rows: Rows, size: int, parts: Parts, done: set[int], account: Account, progress: Progress | None
    ) -> None:
        chunks = range(-(-rows.count // size))
        for number in sorted(done & set(chunks)):
            account.add(parts.header(number)["summary"])
            account.done += min(size, rows.count - number * size)
        account.resumed = account.done
        left = [number for number in chunks if number not in done]
        if not left:
            return
        if progress is not None:
            progress(account.done, account)
        for number, chunk in enumerate(rows.chunks(size, left[0] * size), left[0]):
            if number in done:
                continue
            part = self._part(chunk, number, parts, account, progress)
            parts.put(number, part)
            account.add(part.summary)
            account.done += len(chunk)
            if progress is not None:
                progress(account.done, account)

    def _part(self, chunk: Chunk, number: int, parts: Parts, account: Account, progress: Progress | None) -> Part:
        options = {"repeatable": True, "rng": _seed(self.seed, number), **self.options, "progress": False}
        if progress is not None:
            options["progress"] = partial(_within, progress, account, account.done, len(chunk))
        explain = partial(self.artifact.explain, target=self.target, **options)
        attempt = Attempt(explain, {name: chunk.table[name] for name in self._used(chunk.table)}, chunk.first)
        whole = chunk.whole
        if self.on_error == "raise":
            _refuse(chunk.faults)
            pieces, faults = [(whole, attempt.all(whole))], []
        else:
            pieces, found = attempt.each(whole, all_may_fail=account.explained > 0)
            faults = [*chunk.faults, *found]
        for _, piece in pieces:
            parts.agree(piece.meta.get("versions", {}))
        return self._joined(chunk, pieces, faults)

    def _joined(self, chunk: Chunk, pieces: list[tuple[Any, Explanation]], faults: list[Fault]) -> Part:
        """Put explained rows and marked ones together, by row number."""
        rows = [np.repeat(at, piece.values[0].size if len(piece) else 1) for at, piece in pieces]
        problems: dict[int, str] = {}
        for fault in faults:
            said = fault.what if fault.column is None else f"column {fault.column!r}: {fault.what}"
            at = fault.row - chunk.first
            problems[at] = f"{problems[at]}; {said}" if at in problems else said
        marked = sorted(problems) if self.on_error == "mark" else []
        row = np.concatenate([*rows, np.array(marked, dtype=np.int64)])
        order = np.argsort(row, kind="stable")
        explained = np.arange(len(row)) < len(row) - len(marked)
        texts = np.array([problems.get(int(at), "") if not ok else "" for at, ok in zip(row, explained, strict=True)])
        summary = summary_of((piece for _, piece in pieces), len(problems))
        ids = None if self.id_column is None else chunk.table[self.id_column][row[order]]
        columns = joined([columns_of(piece) for _, piece in pieces])
        return Part(row[order] + chunk.first, explained[order], columns, texts[order].astype(np.str_), ids, summary)

    def _write(self, out: Path, parts: Parts, count: int) -> None:
        def every() -> Iterator[Part]:
            return (parts.get(number) for number in range(count))

        headers = (parts.header(number) for number in range(count))
        write_results(out, layout_of(headers, self.id_column, self.on_error == "mark"), every)

    def _check(self) -> Path:
        out = Path(self.out)
        if out.suffix.lower() not in WRITERS:
            raise InputError(f"expected an output that ends in {', '.join(WRITERS)}; got {out.name!r}")
        WRITERS[out.suffix.lower()]  # a package that is missing is better known now than at the end
        if not out.parent.is_dir():
            raise InputError(f"expected an output in a folder that is there; {str(out.parent)!r} is not")
        if out.is_dir() or out.resolve() == Path(self.rows).resolve():
            raise InputError(f"expected an output of its own; {str(out)!r} is the rows, or a directory")
        if self.on_error not in ON_ERROR:
            raise unknown("on_error", self.on_error, ON_ERROR)
        if self.chunk != "auto" and (isinstance(self.chunk, (bool, str)) or self.chunk < 1):
            raise InputError(f'expected chunk="auto" or a whole number of at least 1; got {self.chunk!r}')
        if self.options.get("baselines") == "mean":
            raise InputError(
                'expected a baseline that does not depend on which rows are read together; "mean" is the mean of the '
                "rows of one call. Compute the mean and give it as numbers"
            )
        return out

    def _open(self) -> Rows:
        """Open the rows with the columns that are needed: the user's choice, the artifact's, or all of them."""
        named = [self.id_column] if self.id_column is not None else []
        wanted = self.columns or self.artifact.columns
        rows = Rows(
            self.rows, list(dict.fromkeys([*wanted, *named])) if wanted else None, self.text, or_all=not self.columns
        )
        if named and self.id_column not in rows.columns:
            raise unknown("id column", self.id_column, rows.columns)
        return rows

    def _used(self, names: Iterable[str]) -> list[str]:
        """Return the columns that are explained: the names of the rows are none, unless the artifact asks for them."""
        asked = self.columns or self.artifact.columns
        return [name for name in names if name != self.id_column or name in asked]

    def _size(self, rows: Rows) -> int:
        if self.chunk != "auto":
            return int(self.chunk)
        width = sum(_width(rows.columns[name]) for name in self._used(rows.columns))
        return max(_LEAST, min(_MOST, 1 << (_VALUES // max(1, width) | 1).bit_length() - 1))

    def _fingerprint(self, size: int) -> dict[str, Any]:
        job: dict[str, Any] = {
            "pyig": _core.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "artifact": {"path": str(self.artifact.path), "sha256": content(Path(self.artifact.path)), **self.opened},
            "rows": {"path": str(self.rows), "sha256": content(Path(self.rows)), "text": sorted(self.text)},
            "target": self.target,
            "options": dict(self.options),
            "chunk": size,
            "on-error": self.on_error,
            "id": self.id_column,
            "columns": self.columns,
            "seed": self.seed,
        }
        plain: dict[str, Any] = _plain(job)
        return plain


def _look_for_faults(rows: Rows) -> None:
    """Read all rows before the first is explained: the last one's mistake is not to show after hours."""
    faults: list[Fault] = []
    for chunk in rows.chunks(_MOST):
        faults += chunk.faults
    _refuse(faults)


def _refuse(faults: list[Fault]) -> None:
    if not faults:
        return
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    raise InputError(
        f"{'; '.join(map(str, faults[:_SHOWN]))}{more}. Correct the rows, or choose on_error (--on-error): 'skip' "
        "leaves such rows out, 'mark' keeps them without numbers"
    )


def _within(progress: Progress, account: Account, before: int, rows: int, done: int, total: int) -> None:
    progress(before + rows * min(1.0, done / max(1, total)), account)


def _seed(seed: int, number: int) -> int:
    """Return a seed for a chunk: what it draws is the same whichever chunks came before."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0])


def _width(column: Column) -> int:
    return (_TEXT if column.kind == "text" else 1) * int(np.prod(column.shape, dtype=np.int64))


def _plain(value: Any) -> Any:
    """Return JSON data that compares equal after it was written and read."""
    if isinstance(value, several):
        return _plain(list(value.items))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
