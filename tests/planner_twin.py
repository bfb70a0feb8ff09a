"""The adaptive planner in plain Python: the oracle of the compiled one, written for reading and not for speed.

A path is a binary tree of dyadic cells on [0, 1]. A leaf [a, b] with midpoint m has the nodes a, m and b; its value is
the trapezoid on the two halves, or Simpson's where the differences shrink as a smooth integrand's do. The
planner sees scalars only (F or the log-odds s, and the slope along the path) and asks for the L1 norms of linear
combinations of gradient rows.
"""

from __future__ import annotations

import heapq
import math
from collections import deque

import numpy as np
from cell_twin import Node, cell_weights, rise, simpson_weights
from path_twin import Cell, Errors, Path, add, plain_sum
from spline_twin import Curve, curve

BATCHES_AHEAD = 4
START = (0.0, 0.25, 0.5, 0.75, 1.0)
AIM, NEGLIGIBLE = 0.9, 0.05


class Planner:
    def __init__(
        self,
        paths: int,
        *,
        rtol: float,
        max_evals: int,
        log_odds: bool = False,
        caution: float = 1.0,
        max_rows: int = 1 << 20,
        min_width: float = 2.0**-20,
        noise: float = 0.0,
    ) -> None:
        self.rtol, self.max_evals, self.log_odds = rtol, max_evals, log_odds
        self._errors = Errors(log_odds, caution, noise)
        self.min_width = min_width
        self.most_rows = max(max_rows, max_evals)
        self._total = paths
        self._admitted = 0
        self._open: dict[int, Path] = {}
        self._waiting: deque[tuple[Path, list[Node]]] = deque()
        self._next: deque[tuple[Path, Node]] = deque()
        self._first: deque[tuple[Path, Node]] = deque()
        self._later: list[tuple[float, int, Path, Node]] = []
        self._granted = 0
        self._free: list[int] = []
        self.rows = 0  # rows in use
        self.peak_rows = 0
        self._capacity = 0
        self._requests: list[tuple[Path, bool, dict[Node, float]]] = []
        self._folds: list[tuple[int, dict[Node, float]]] = []
        self._released: list[int] = []
        self._finished: list[int] = []
        self.error = np.full(paths, np.nan)
        self.size = np.full(paths, np.nan)
        self.n_evals = np.zeros(paths, dtype=np.int64)
        self.converged = np.zeros(paths, dtype=bool)
        self._records: dict[int, np.ndarray] = {}

    # --- evaluations -------------------------------------------------------------------------------------------
    def ask(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """The next pairs of (path, alpha), the same ones again until told."""
        self._grant()
        while self._pending() < BATCHES_AHEAD * rows and self._admitted < self._total and not self._waiting:
            if not self._fits(self._admitted, len(START) + (self.most_rows - self.max_evals) // 2):
                break
            path = Path(self._admitted)
            self._open[path.index] = path
            self._admitted += 1
            path.nodes = [Node(alpha) for alpha in START]
            self._enqueue(path, path.nodes)
            self._grant()
        while len(self._next) < rows and self._first:
            self._next.append(self._first.popleft())
        while len(self._next) < rows and self._later:
            self._next.append(heapq.heappop(self._later)[2:])
        batch = list(self._next)[:rows]
        return np.array([p.index for p, _ in batch], dtype=np.int64), np.array([n.alpha for _, n in batch])

    def tell(self, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Values and slopes of the pairs last asked; returns the slots where their gradient rows go."""
        slots = []
        ready: dict[Path, None] = {}
        for value, slope in zip(values, slopes, strict=True):
            path, node = self._next.popleft()
            node.value, node.slope, node.slot, node.held = float(value), float(slope), self._take_slot(), True
            slots.append(node.slot)
            path.waiting -= 1
            path.used += 1
            if path.waiting == 0:
                ready[path] = None
        for path in ready:
            self._grow(path)
        return np.array(slots, dtype=np.int64)

    # --- norms -------------------------------------------------------------------------------------------------
    def combinations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(paths, with_total, indptr, slots, coefficients) of the combinations whose L1 norms are needed."""
        return csr([(p.index, total, c) for p, total, c in self._requests])

    def tell_norms(self, norms: np.ndarray) -> None:
        given = iter(norms.tolist())
        rounds: dict[Path, list[float]] = {}
        for path, _, _ in self._requests:
            rounds.setdefault(path, []).append(next(given))
        self._requests = []
        for path, found in rounds.items():
            self._judge(path, found)

    # --- results -----------------------------------------------------------------------------------------------
    def folds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(paths, with_total, indptr, slots, coefficients) to add to the totals of the paths; then slots are free."""
        out = csr([(index, False, c) for index, c in self._folds])
        self._folds = []
        self._free.extend(self._released)
        self.rows -= len(self._released)
        self._released = []
        return out

    def finished(self) -> np.ndarray:
        out, self._finished = np.array(self._finished, dtype=np.int64), []
        return out

    def record(self, path: int) -> np.ndarray:
        """(n, 4): alpha, value, slope, weight of every node, by rising alpha."""
        return self._records[path]

    def stop(self) -> None:
        """Finish every open path with what it has; a path whose first round is incomplete gets no result."""
        self._waiting.clear()
        self._next.clear()
        self._first.clear()
        self._later.clear()
        self._requests = []
        for path in list(self._open.values()):
            self._finish(path, converged=False)

    # --- inside ------------------------------------------------------------------------------------------------
    def _enqueue(self, path: Path, nodes: list[Node]) -> None:
        path.waiting += len(nodes)
        self._waiting.append((path, nodes))

    def _grant(self) -> None:
        """Rows for the rounds that wait: in their order while they fit, and for the oldest path out of turn."""
        while self._waiting and self._fits(self._waiting[0][0].index, len(self._waiting[0][1])):
            self._queue(*self._waiting.popleft())
        for path, nodes in list(self._waiting):
            if path.index == min(self._open) and self._fits(path.index, len(nodes)):
                self._waiting.remove((path, nodes))
                self._queue(path, nodes)

    def _fits(self, path: int, rows: int) -> bool:
        everything = self.rows + self._pending()
        oldest = min(self._open, default=path)
        if path == oldest:
            return everything + rows <= self.most_rows
        return everything - self._open[oldest].rows + rows + self.max_evals <= self.most_rows

    def _pending(self) -> int:
        return len(self._next) + len(self._first) + len(self._later)

    def _queue(self, path: Path, nodes: list[Node]) -> None:
        """First rounds in their order; of later ones the path that is furthest from its tolerance."""
        path.rows += len(nodes)
        for node in nodes:
            if path.used:
                size = float(self.size[path.index])
                distance = float(self.error[path.index]) / size if size else math.inf
                heapq.heappush(self._later, (-distance, self._granted, path, node))
                self._granted += 1
            else:
                self._first.append((path, node))

    def _take_slot(self) -> int:
        self.rows += 1
        self.peak_rows = max(self.peak_rows, self.rows)
        if self._free:
            return self._free.pop()
        self._capacity += 1
        return self._capacity - 1

    def _halves(self, a: Node, m: Node, b: Node) -> dict[Node, float]:
        return add(self._ends(a, m), self._ends(m, b), 1.0)

    def _ends(self, a: Node, b: Node) -> dict[Node, float]:
        return dict(zip((a, b), cell_weights(self.log_odds, a, b), strict=True))

    def _cell(self, a: Node, m: Node, b: Node) -> Cell:
        two = self._halves(a, m, b)
        for node in (a, m, b):
            node.users += 1
        simpson = dict(zip((a, m, b), simpson_weights(self.log_odds, a, m, b), strict=True))
        cell = Cell(a, m, b, two, add(two, self._ends(a, b), -1.0), simpson)
        left, right = ((cell_weights(self.log_odds, x, y), x, y) for x, y in ((a, m), (m, b)))
        cell.missed_by_halves = tuple(
            w[0] * x.slope + w[1] * y.slope - rise(self.log_odds, x.value, y.value) for w, x, y in (left, right)
        )  # type: ignore[assignment]
        return cell

    def _grow(self, path: Path) -> None:
        """All nodes of the round are there: make the new cells and ask for their norms."""
        if not all(math.isfinite(n.value) and math.isfinite(n.slope) for n in path.nodes):
            self._finish(path, converged=False)
            return
        if path.first:
            n0, n1, n2, n3, n4 = path.nodes
            root = self._cell(n0, n2, n4)
            path.refining = [(root, n1, n3)]
            self._requests.append((path, False, root.difference))
        for cell, left, right in path.refining:
            path.fresh.append((self._cell(cell.a, left, cell.m), self._cell(cell.m, right, cell.b), cell))
        for cell, _, _ in path.refining:
            self._drop(path, cell)
        path.refining = []
        path.asked = curve(self.log_odds, path.nodes, self._errors.floor(path), path.whole_rows)
        total: dict[Node, float] = {}
        for cell in path.leaves:
            total = add(total, cell.combination(), 1.0)
        for left, right, parent in path.fresh:
            both = add(left.difference, right.difference, 1.0)
            change = add(add(left.simpson, right.simpson, 1.0), parent.simpson, -1.0)
            for wanted in (left.difference, right.difference, both, change):
                self._requests.append((path, False, wanted))
            total = add(add(total, left.two, 1.0), right.two, 1.0)
        if path.asked.weights:
            self._requests.append((path, False, path.asked.changed))
        self._requests.append((path, True, total))

    def _judge(self, path: Path, norms: list[float]) -> None:
        if path.first:
            self._errors.note(path, path.fresh[0][2], norms.pop(0))
            path.first = False
        for k, (left, right, _) in enumerate(path.fresh):
            self._errors.note(path, left, norms[4 * k])
            self._errors.note(path, right, norms[4 * k + 1])
        for k, pair in enumerate(path.fresh):
            both, change = norms[4 * k + 2 : 4 * k + 4]
            with np.errstate(all="ignore"):
                look = self._errors.look(path, pair, np.float64(both), np.float64(change))
                unevenness = self._errors.unevenness(*pair[:2])
                for cell in pair[:2]:
                    self._errors.judge(path, cell, look)
                    cell.unevenness = unevenness
                    path.leaves.append(cell)
        path.fresh = []
        size = norms[-1]
        self.size[path.index] = size
        gap = path.closed_defect + plain_sum(c.defect for c in path.leaves)
        path.squares = path.closed_squares + plain_sum(c.error * c.error for c in path.leaves)
        path.errors = path.closed_errors + plain_sum(c.error for c in path.leaves)
        excess = max(abs(gap) - self._errors.floor(path), 0.0)
        spread = self._errors.spread(path)
        self.error[path.index] = math.sqrt(spread * spread * path.squares + excess * excess)
        path.curve, path.asked = path.asked, Curve()
        path.by_spline, path.ratio = False, 1.0
        if path.curve.weights and math.isfinite(self.error[path.index]):
            with np.errstate(all="ignore"):
                self.error[path.index] = self._errors.try_spline(path, norms[-2], float(self.error[path.index]))
        if not (math.isfinite(self.error[path.index]) and math.isfinite(size)):
            self._finish(path, converged=False)
        elif self.error[path.index] <= self.rtol * size:
            self._finish(path, converged=True)
        else:
            self._refine(path, size)

    def _refine(self, path: Path, size: float) -> None:
        squares = path.squares
        aim = AIM * self.rtol * size / (self._errors.spread(path) * path.ratio)
        goal = aim * aim
        able = [c for c in path.leaves if c.b.alpha - c.a.alpha > 2 * self.min_width]
        able.sort(key=lambda c: (-c.error, c.a.alpha))
        chosen: list[Cell] = []
        for cell in able:
            if chosen and squares <= goal:
                break
            chosen.append(cell)
            squares -= cell.error * cell.error
        room = (self.max_evals - path.used) // 2
        if not chosen or room < 1:
            self._finish(path, converged=False)
            return
        chosen = chosen[:room]
        if not self._errors.may_take_spline(path, len(path.nodes) + 2 * len(chosen)):
            self._close_negligible(path, chosen, size)
        taken = {id(c) for c in chosen}
        path.leaves = [c for c in path.leaves if id(c) not in taken]
        for cell in chosen:
            left, right = Node((cell.a.alpha + cell.m.alpha) / 2), Node((cell.m.alpha + cell.b.alpha) / 2)
            path.nodes += [left, right]
            path.refining.append((cell, left, right))
        self._enqueue(path, path.nodes[-2 * len(chosen) :])

    def _close_negligible(self, path: Path, chosen: list[Cell], size: float) -> None:
        """Fold cells whose error is far below their share: their rows need not stay."""
        limit = NEGLIGIBLE * self.rtol * size / math.sqrt(len(path.leaves))
        taken = {id(c) for c in chosen}
        closing = [c for c in path.leaves if id(c) not in taken and c.error <= limit]
        if not closing:
            return
        total: dict[Node, float] = {}
        for cell in closing:
            total = add(total, cell.combination(), 1.0)
            path.closed_squares += cell.error * cell.error
            path.closed_errors += cell.error
            path.closed_defect += cell.defect
        self._fold(path, total)
        path.whole_rows = False
        gone = {id(c) for c in closing}
        path.leaves = [c for c in path.leaves if id(c) not in gone]
        for cell in closing:
            self._drop(path, cell)

    def _fold(self, path: Path, total: dict[Node, float]) -> None:
        for node, c in total.items():
            node.weight += c
        self._folds.append((path.index, total))

    def _drop(self, path: Path, cell: Cell) -> None:
        for node in (cell.a, cell.m, cell.b):
            node.users -= 1
            if node.users == 0:
                self._release(path, node)

    def _release(self, path: Path, node: Node) -> None:
        if node.held:
            node.held = False
            self._released.append(node.slot)
            path.rows -= 1

    def _finish(self, path: Path, converged: bool) -> None:
        # A round that was cut short falls back on the cells that it was to refine.
        fresh = [pair[:2] if path.first else pair[2:] for pair in path.fresh]
        cells = [*path.leaves, *(c for c, _, _ in path.refining), *(c for pair in fresh for c in pair)]
        total: dict[Node, float] = {}
        for combination in self._errors.place_kinks(cells):
            total = add(total, combination, 1.0)
        if path.by_spline:
            total = path.curve.weights
        if total:
            self._fold(path, total)
        for node in path.nodes:
            self._release(path, node)
        self.n_evals[path.index] = path.used
        self.converged[path.index] = converged
        told = sorted((n for n in path.nodes if n.slot >= 0), key=lambda n: n.alpha)
        self._records[path.index] = np.array([(n.alpha, n.value, n.slope, n.weight) for n in told]).reshape(-1, 4)
        self._finished.append(path.index)
        del self._open[path.index]


def csr(rows):  # type: ignore[no-untyped-def]
    paths = np.array([index for index, _, _ in rows], dtype=np.int64)
    total = np.array([flag for _, flag, _ in rows], dtype=bool)
    counts = [len(c) for _, _, c in rows]
    slots = np.array([n.slot for _, _, c in rows for n in c], dtype=np.int64)
    coefficients = np.array([v for _, _, c in rows for v in c.values()], dtype=np.float64)
    return paths, total, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), slots, coefficients
