"""One trained network under every method: how many gradients, how large the error is, and what is claimed of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import pyig
from accuracy_parts.data import baseline, data
from accuracy_parts.families import Family, train
from accuracy_parts.memory import peak_of

REFERENCE = 4096
FIXED = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
RULES = {"Gauss-Legendre": "gausslegendre", "midpoint": "riemann_middle", "trapezoid": "riemann_trapezoid"}
CAPTUM = (8, 16, 32, 64, 128, 256)
BATCH = 64
VISIBLE = 1e-5  # attributions to a float32 probability that add up to less are its rounding


@dataclass
class Run:
    """One method on every sample: gradients, true and claimed relative L1 errors, and whether it converged."""

    evals: np.ndarray
    error: np.ndarray
    claimed: np.ndarray
    converged: np.ndarray
    meta: dict[str, Any]
    seconds: float
    peak: int | None

    def p95(self) -> float:
        return float(np.quantile(self.error, 0.95))

    def silent(self, rtol: float) -> float:
        """Share that claims to have converged and has a larger error."""
        return float(np.mean(self.converged & (self.error > rtol)))


@dataclass
class Case:
    """A family, a seed, and what F is: None for the output as it is."""

    family: Family
    seed: int
    value: str | None
    reference: str
    runs: dict[tuple[str, float], Run] = field(default_factory=dict)  # by confidence or method, and tolerance
    curves: dict[str, dict[int, float]] = field(default_factory=dict)  # P95 errors of fixed rules by number of nodes
    fill: dict[int, float] = field(default_factory=dict)  # of the calls, by their rows

    @property
    def what(self) -> str:
        return self.value or ("output" if data(self.family.source).y.is_floating_point() else "logit")

    def needed(self, rule: str, rtol: float) -> float:
        """Smallest number of nodes whose P95 meets the tolerance, log-interpolated; infinite where none does."""
        points = sorted(self.curves[rule].items())
        for (n0, e0), (n1, e1) in zip([(1, np.inf), *points], points, strict=False):
            if e1 <= rtol:
                if not np.isfinite(e0):
                    return n1
                share = np.log(e0 / rtol) / np.log(e0 / e1)
                return float(n0 * (n1 / n0) ** share)
        return np.inf

    def best_fixed(self, rtol: float) -> tuple[str, float]:
        """The fixed rule that needs least, which nobody knows beforehand."""
        found = {rule: self.needed(rule, rtol) for rule in RULES}
        rule = min(found, key=found.__getitem__)
        return rule, found[rule]


@dataclass(frozen=True)
class Problem:
    """What is explained."""

    model: nn.Module
    x: torch.Tensor
    start: torch.Tensor
    target: torch.Tensor | None
    value: str | None

    def explain(self, **options: Any) -> pyig.Explanation:
        return pyig.IntegratedGradients(self.model).explain(
            self.x, baselines=self.start, target=self.target, value=self.value, progress=False, **options
        )

    def only(self, rows: np.ndarray) -> Problem:
        """Some of the samples."""
        target = None if self.target is None else self.target[rows]
        return replace(self, x=self.x[rows], start=self.start[rows], target=target)


def fill(problem: Problem, rtol: float, batch: int) -> float:
    """How full the calls are for a hundred samples."""
    rows = np.arange(100) % len(problem.x)
    shifts = torch.linspace(0.9, 1.1, 100, dtype=problem.x.dtype).reshape(-1, *[1] * (problem.x.dim() - 1))
    hundred = problem.only(rows)  # of the same samples, none twice
    found = replace(hundred, x=hundred.x * shifts).explain(method="adaptive", rtol=rtol, batch_size=batch)
    return float(found.meta["batch_fill"])


def problems(family: Family, seed: int, samples: int | None = None, steps: int | None = None) -> Iterator[Problem]:
    """Train once; give the logit and the probability, or the one output of a regression."""
    source, model = data(family.source), train(family, seed, steps)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x = source.held_out[: samples or family.samples]
    kinds = ("zero", "mean", "noise")
    start = torch.cat([baseline(kinds[i % 3], source, x[i : i + 1], 1000 * seed + i) for i in range(len(x))])
    regression = source.y.is_floating_point()
    for value in (None,) if regression else (None, "probability"):
        yield Problem(model, x, start, None if regression else model(x).argmax(1), value)


def study(
    family: Family, seed: int, problem: Problem, rtols: tuple[float, ...], fixed: tuple[int, ...], captum: bool
) -> Case:
    """Run everything on one problem."""
    wanted, how = reference(problem)
    seen = np.abs(wanted).reshape(len(wanted), -1).sum(1) > VISIBLE
    problem, wanted = problem.only(seen), wanted[seen]
    case = Case(family, seed, problem.value, how)
    for rtol in rtols:
        for confidence in ("typical", "p95", "strict"):
            call = partial(problem.explain, method="adaptive", rtol=rtol, confidence=confidence, batch_size=BATCH)
            case.runs[confidence, rtol] = timed(call, wanted)
    case.runs["auto", rtols[0]] = timed(partial(problem.explain, rtol=rtols[0], batch_size=BATCH), wanted)
    case.fill = {batch: fill(problem, rtols[0], batch) for batch in (32, 64, 128)}
    for name, method in RULES.items():
        case.curves[name] = {}
        for n in fixed:
            found = textbook(problem).explain(method=method, n_steps=n).attributions
            case.curves[name][n] = float(np.quantile(relative(found, wanted), 0.95))
    if captum:
        for name, method in (("captum", "gausslegendre"), ("captum trapezoid", "riemann_trapezoid")):
            case.curves[name] = {}
            for n in CAPTUM:
                found = peer(problem, n, method)()
                case.curves[name][n] = float(np.quantile(relative(found, wanted), 0.95))
    return case


def textbook(problem: Problem) -> Problem:
    """The same F as the output of a model: a fixed rule on a probability asked for by name would use its log-odds."""
    if problem.value is None:
        return problem
    return replace(problem, model=nn.Sequential(problem.model, nn.Softmax(-1)), value=None)


def reference(problem: Problem) -> tuple[np.ndarray, str]:
    """Exact in float64 where pyig can be for every sample, else by `midpoint_4096`."""
    model = copy.deepcopy(problem.model).double()
    wide = replace(problem, model=model, x=problem.x.double(), start=problem.start.double())
    try:
        found = wide.explain(method="exact")
    except pyig.PyigError:
        return midpoint_4096(wide), f"{REFERENCE} nodes"
    if found.meta["notes"] or found.relative_error.max() > 1e-9:  # some samples were integrated adaptively
        return midpoint_4096(wide), f"{REFERENCE} nodes"
    return found.attributions, "exact"


def midpoint_4096(problem: Problem) -> np.ndarray:
    """A midpoint rule without pyig; a probability by its log-odds, which keep their digits where it saturates."""
    alphas = (torch.arange(REFERENCE, dtype=torch.float64) + 0.5) / REFERENCE
    out = []
    for i in range(len(problem.x)):
        step, total = problem.x[i] - problem.start[i], torch.zeros_like(problem.x[i])
        for part in alphas.split(256):
            points = problem.start[i] + part.reshape(-1, *[1] * step.dim()) * step
            points.requires_grad_()
            found = problem.model(points)
            value = found[:, 0 if problem.target is None else problem.target[i]]
            weight = torch.full_like(part, 1 / REFERENCE)
            if problem.value == "probability":
                others = torch.cat([found[:, : problem.target[i]], found[:, problem.target[i] + 1 :]], dim=1)
                value = value - others.logsumexp(1)
                weight = weight * value.detach().sigmoid() * (-value.detach()).sigmoid()
            (grads,) = torch.autograd.grad((value * weight).sum(), points)
            total += grads.sum(0)
        out.append((total * step).numpy())
    return np.stack(out)


def timed(call: Callable[[], pyig.Explanation], wanted: np.ndarray) -> Run:
    """Run twice: for the time, then for the memory."""
    begin = time.perf_counter()
    found = call()
    seconds = time.perf_counter() - begin
    _, peak = peak_of(call)
    return Run(
        found.n_evals, relative(found.attributions, wanted), found.relative_error, found.converged, found.meta,
        seconds, peak,
    )  # fmt: skip


def peer(problem: Problem, n: int, method: str) -> Callable[[], np.ndarray]:
    """captum, as its documentation shows it; the probability is a softmax behind the model."""
    from captum.attr import IntegratedGradients

    explainer = IntegratedGradients(textbook(problem).model)
    target = problem.target if problem.target is not None else 0
    return lambda: explainer.attribute(
        problem.x, problem.start, target=target, n_steps=n, method=method, internal_batch_size=BATCH * 4
    ).numpy()


def relative(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Per sample: the L1 distance, over the L1 norm of what was wanted."""
    rest = tuple(range(1, found.ndim))
    return np.abs(found.astype(float) - wanted).sum(rest) / np.abs(wanted.astype(float)).sum(rest)
