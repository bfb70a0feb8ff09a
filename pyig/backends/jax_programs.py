"""When a step of the loop is traced, and when what was compiled before runs again.

XLA compiles for one number of rows, which takes longer than a thousand small calls. So rows are padded to the sizes
that are there, and new sizes stay few. A program shows the Python and the weights of the day it was traced: every call
of the explainer traces anew, which takes milliseconds, and what reads the same runs as it was compiled, with today's
weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pyig.backends.jax_ops import near, spec, x64
from pyig.backends.kept import Kept

Step = Callable[[Any, Any, Any], list[Any]]
Args = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]
_SMALL_ROWS, _SMALL_SIZE = 16, 4096  # below both, what is padded costs less than what a program costs to start
_SIZES = 12
_LARGE, _OFTEN = 1 << 16, 32  # a batch that is so large, or so frequent, is worth a program of its own size
_BY_VALUE = (  # Python that decides by the numbers themselves, which a trace does not have
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclass
class _Program:
    jaxpr: Any
    present: list[bool]  # which results there are: a gradient that cannot be is None
    text: str
    run: Any = None
    consts: list[Any] = field(default_factory=list)
    session: int = -1
    settled: Sequence[Any] | None = None
    live: list[int] = field(default_factory=list)  # which variable each constant is the value of; -1 for none

    def holds(self, settled: Sequence[Any] | None) -> bool:
        """Tell whether all that the trace depended on is as it was."""
        return settled is not None and self.settled is not None and _identical(settled, self.settled)

    def arrays(self, variables: Sequence[Any]) -> list[Any]:
        """Return the constants of today."""
        return [
            const if place < 0 else variables[place].value for const, place in zip(self.consts, self.live, strict=True)
        ]


@dataclass
class _Entry:
    keep: tuple[Any, ...]  # alive as long as the entry, so that an identity in the key is not given to another object
    programs: dict[int, _Program] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    eager: bool = False
    padded: bool = True

    def size(self, rows: int, floats: int) -> int:
        """Return the number of rows to run at: one that is compiled where that wastes little, and few new ones."""
        self.seen[rows] += 1
        if not self.padded or rows in self.programs or not self.programs:
            return rows
        small = min(_SMALL_ROWS, _SMALL_SIZE // max(1, floats))
        fitting = [size for size in self.programs if rows <= size <= max(2 * rows, small)]
        if rows >= 2 * max(self.programs):  # batches grow by doubling
            return rows
        often = 2 if rows * floats >= _LARGE else _OFTEN
        comes_back = self.seen[rows] > often and len(self.programs) < _SIZES
        if fitting and (4 * min(fitting) <= 5 * rows or max(fitting) <= small or not comes_back):
            return min(fitting)
        return rows if comes_back else 1 << (rows - 1).bit_length()


class Programs(Kept[_Entry]):
    """Compiled steps, by what they compute and by the dtypes and row shapes of their tensors; the oldest goes first.

    Attributes
    ----------
    traced, compiled : int
        How often so far.
    """

    def __init__(self) -> None:
        super().__init__(_Entry)
        self._session = 0
        self.traced = self.compiled = 0

    def begin(self) -> None:
        """Start a new call of the explainer: what was traced before is traced again before it is used."""
        self._session += 1

    def run(
        self,
        what: tuple[Any, ...],
        step: Step,
        args: Args,
        settled: Sequence[Any] | None = None,
        variables: Sequence[Any] = (),
    ) -> list[Any]:
        """Return ``step(*args)``, one row per row of the points; on the host as numpy.

        Parameters
        ----------
        settled : sequence, optional
            All that a trace depends on: while these are the same objects, what was traced before stays true.
        variables : sequence
            Objects whose ``value`` is an array that a program takes anew.
        """
        args = (list(args[0]), list(args[1]), list(args[2]))
        entry, rows = self._entry(what, args), int(args[0][0].shape[0])
        if entry.eager:
            return _eagerly(step, args)
        size = entry.size(rows, sum(int(np.prod(point.shape[1:])) for point in args[0]))
        try:
            program = self._program(entry, step, args, size, settled, variables)
        except _BY_VALUE:
            entry.eager = True
            return _eagerly(step, args)
        tensors = [_padded(tensor, program[1]) for part in args for tensor in part]
        found = program[0].run(program[0].arrays(variables), *tensors)
        jax.block_until_ready(found)  # type: ignore[no-untyped-call] # an error belongs to this call
        cut = [_own(tensor, tensors)[:rows] if program[1] != rows else _own(tensor, tensors) for tensor in found]
        left = iter(cut)
        return [next(left) if there else None for there in program[0].present]

    def _program(
        self,
        entry: _Entry,
        step: Step,
        args: Args,
        size: int,
        settled: Sequence[Any] | None,
        variables: Sequence[Any],
    ) -> tuple[_Program, int]:
        rows = int(args[0][0].shape[0])
        known = entry.programs.get(size)
        if known is not None and (known.session == self._session or known.holds(settled)):
            known.session = self._session
            return known, size
        try:
            new = self._trace(step, args, size)
            by_row = all(v.aval.shape[:1] == (size,) for v in new.jaxpr.jaxpr.outvars)
            entry.padded = entry.padded and by_row
            if size != rows and not by_row:
                raise ValueError("the output has no axis for the rows")
        except Exception:
            if size == rows:
                raise
            entry.padded = False  # it takes this number of rows alone, or says itself what is wrong
            return self._program(entry, step, args, rows, settled, variables)
        new.consts = [const if isinstance(const, jax.Array) else jnp.asarray(const) for const in new.jaxpr.consts]
        new.session, new.settled = self._session, settled
        values = {id(variable.value): place for place, variable in enumerate(variables)}
        new.live = [values.get(id(const), -1) for const in new.jaxpr.consts]
        if known is None or not _alike(known, new):
            self.compiled += 1
            jaxpr = new.jaxpr.jaxpr
            new.run = jax.jit(lambda consts, *tensors: jax.core.eval_jaxpr(jaxpr, consts, *tensors))
        else:
            new.run = known.run
            # The Python is the same as then, so what it does with another number of rows is so too.
            for other in [p for p in entry.programs.values() if p is not known and p.session == known.session]:
                if _identical(other.jaxpr.consts, known.jaxpr.consts):
                    other.jaxpr = other.jaxpr.replace(consts=list(new.jaxpr.consts))
                    other.consts, other.live = new.consts, new.live
                    other.session, other.settled = new.session, new.settled
        entry.programs[size] = new
        return new, size

    def _trace(self, step: Step, args: Args, size: int) -> _Program:
        self.traced += 1
        present: list[bool] = []
        cuts = np.cumsum([len(part) for part in args])[:-1]

        def flat(*tensors: Any) -> list[Any]:
            found = step(*(tensors[a:b] for a, b in zip((0, *cuts), (*cuts, len(tensors)), strict=True)))
            present[:] = [tensor is not None for tensor in found]
            return [tensor for tensor in found if tensor is not None]

        outline = [spec((size, *t.shape[1:]), _dtype(t)) for part in args for t in part]
        jaxpr = jax.make_jaxpr(flat)(*outline)
        return _Program(jaxpr, present, str(jaxpr.jaxpr))

    def _entry(self, what: tuple[Any, ...], args: Args) -> _Entry:
        shapes = tuple(tuple((str(t.dtype), tuple(t.shape[1:])) for t in part) for part in args)
        return self._kept(what, shapes, x64())


def _eagerly(step: Step, args: Args) -> list[Any]:
    found = step(*([jnp.asarray(tensor) for tensor in part] for part in args))
    return [tensor if tensor is None or not near(tensor) else np.asarray(tensor) for tensor in found]


def _dtype(tensor: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(tensor.dtype)


def _padded(tensor: Any, size: int) -> Any:
    """Repeat the last row: any other value might be one where the model is not defined."""
    rows = int(tensor.shape[0])
    if not near(tensor):
        return tensor if rows == size else jnp.concatenate([tensor, jnp.repeat(tensor[-1:], size - rows, axis=0)])
    array = np.asarray(tensor)
    if rows == size:
        return array
    out = np.empty((size, *array.shape[1:]), array.dtype)
    out[:rows], out[rows:] = array, array[-1:]
    return out


def _own(found: Any, tensors: Sequence[Any]) -> Any:
    """Return numpy on the host: a copy where the program handed an argument through, whose buffer is written again."""
    if not near(found):
        return found
    array = np.asarray(found)
    shared = any(isinstance(tensor, np.ndarray) and np.may_share_memory(array, tensor) for tensor in tensors)
    return array.copy() if shared else array


def _alike(a: _Program, b: _Program) -> bool:
    """Tell whether two traces are the same program, up to the values of the outermost constants."""
    if a.text != b.text or a.present != b.present:
        return False
    mine, theirs = list(_constants(a.jaxpr.jaxpr)), list(_constants(b.jaxpr.jaxpr))
    return len(mine) == len(theirs) and all(map(_same, mine, theirs))


def _identical(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))


def _constants(jaxpr: Any) -> Iterator[Any]:
    """Give the numbers that are written into a trace: in its steps, and closed over by the functions that it calls."""
    for equation in jaxpr.eqns:
        yield from (atom.val for atom in equation.invars if hasattr(atom, "val"))
        for value in equation.params.values():
            for part in value if isinstance(value, (list, tuple)) else (value,):
                if hasattr(part, "consts") and hasattr(part, "jaxpr"):
                    yield from part.consts
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from _constants(inner)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):  # these never change, and may be large and far away
        return False
    return bool(np.asarray(a).tobytes() == np.asarray(b).tobytes())
