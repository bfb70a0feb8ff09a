"""The live view of an Explanation: an ipywidgets widget, so it composes in boxes, and its traits can be observed."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anywidget
import numpy as np
import traitlets

from pyig.errors import InputError, InputTypeError
from pyig.explainer import IntegratedGradients
from pyig.explainer.again import remembered
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.table import feature_labels, targets_each
from pyig.jupyter.esm import css, packed
from pyig.jupyter.lines import LinesQuestion, costs, shown
from pyig.jupyter.origin import Edit, Origin, origin_of, remember
from pyig.jupyter.page import page
from pyig.jupyter.worker import Worker
from pyig.views.payload import payload

CALL = 0.2  # seconds of one model call
LEAST_ROWS, MOST_ROWS = 8, 4096
_NO_MODEL = "expected a widget with its model: exp.widget(model), or %ig_explain"
UNSET = {"n_steps": "auto", "rtol": "0.01", "float64": "off"}
ACCURACY = ("n_steps", "rtol", "method", "max_evals", "confidence", "float64")  # change how well, not what


@dataclass(frozen=True, eq=False)
class _Question:
    """What the model is asked: a job for the worker."""

    origin: Origin
    edits: list[Edit]
    unedited: Explanation | None
    names: Mapping[str, Any]
    era: int = 0  # how often the original had been asked for before

    def __call__(self, *, progress: Callable[[int, int], None], cancel: threading.Event) -> Explanation:
        return self.origin.explain(progress=progress, cancel=cancel, **self.names)


class ExplanationWidget(anywidget.AnyWidget):
    """Shows an explanation; with its origin, also asks the model again.

    Parameters
    ----------
    explanation : Explanation
        What to show.
    origin : Origin, optional
        Model, input and options. Without it, the controls that need the model are absent.
    view : dict, optional
        Settings to start with: ``{"image": {"mode": "heat"}, "table": {"top": 5}}``.
    pins : dict of str to (Explanation, str), optional
        Explanations pinned as ``"A"`` and ``"B"``, with a label for each.

    Attributes
    ----------
    explanation : Explanation
        What is shown now; observable.
    view : dict
        Settings of the views, both ways.
    cumulative : dict of int to CumulativeAttributions
        What `along` has found, by the number of the path: sample times targets plus target.
    """

    _esm = packed()
    _css = css()
    explanation = traitlets.Any()
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    pins = traitlets.Dict().tag(sync=True)
    data_a = traitlets.Bytes().tag(sync=True)
    data_b = traitlets.Bytes().tag(sync=True)
    static_class = traitlets.Unicode().tag(sync=True)
    lines = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        explanation: Explanation,
        origin: Origin | None = None,
        view: Mapping[str, Any] | None = None,
        pins: Mapping[str, tuple[Explanation, str]] | None = None,
        **traits: Any,
    ) -> None:
        self._origin = origin
        self._original = (explanation, origin)
        self._unedited: Explanation | None = None
        self._asked: _Question | None = None  # not answered yet
        self._edits: list[Edit] = []
        self._era = 0
        self._pace = 1.0  # seconds of one gradient, the best seen
        self.cumulative: dict[int, CumulativeAttributions] = {}
        self.on_lines: Callable[[], object] | None = None
        self._runs: list[dict[str, Any]] = []
        self._runs_of: Any = None
        self._lock = threading.RLock()
        self._worker = Worker(self._report, self._finish)
        self.pinned = dict(pins or {})
        pinned, bytes_of = {}, {"data_a": b"", "data_b": b""}
        for key, (one, label) in (pins or {}).items():
            spec, bytes_of[f"data_{key.lower()}"] = payload(one, [0])
            pinned[key] = {"spec": spec, "label": label}
        state = self._state(explanation, origin)
        super().__init__(explanation=explanation, view=dict(view or {}), pins=pinned, **state, **bytes_of, **traits)
        self.on_msg(self._heard)

    @traitlets.observe("explanation")
    def _replaced(self, change: Any) -> None:
        if change["old"] is traitlets.Undefined or change["old"] is None:
            return
        with self._lock:
            self.cumulative = {}
            state = {"lines": {}, **self._state(self.explanation, self._origin)}
            with self.hold_sync():
                for name, value in state.items():
                    setattr(self, name, value)
            self._send_live()
            self._send_full([0])

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for what was asked for to be there; tell whether it is."""
        return self._worker.join(timeout)

    def close(self) -> None:
        """Stop what is running, and take the widget away."""
        self._worker.cancel()
        super().close()

    def _ipython_display_(self) -> None:
        """Show the static copy first, as an Explanation does; IPython goes on by itself where no kernel is."""
        from pyig.jupyter.display import display_widget, live

        if not live():
            raise NotImplementedError
        display_widget(self)

    def explain(self, **changes: Any) -> None:
        """Explain the shown sample again with changed options, in the background; see `wait`.

        Parameters
        ----------
        **changes
            Options of `IntegratedGradients.explain`; None leaves one out.
        """
        self._ask(0, changes, [])

    def along(self, n: int = 0, budget: float | None = None) -> None:
        """Find out how the top features of path `n` build up, in the background, as the open panel does; see `wait`.

        Left out while something is being explained: the lines would be those of the last result. A `budget` in seconds
        ends it with what is known by then.
        """
        with self._lock:
            if self._origin is None:
                raise InputError(_NO_MODEL)
            if self._asked is None:
                self._worker.submit(LinesQuestion(self._origin, self.explanation, n, self._batch(), budget))

    def edit(self, edits: Mapping[int, Any]) -> None:
        """Explain again with other values of scalar features, given by their position; see `wait`."""
        self._ask(0, {}, list(edits.items()))

    def cancel(self) -> None:
        """Stop the running explanation; its partial result is shown as such."""
        self._asked = None
        self._worker.cancel()

    def reset(self) -> None:
        """Show the original again."""
        with self._lock:
            self._era += 1
            self._worker.cancel()
            self._edits, self._unedited, self._asked = [], None, None
            explanation, self._origin = self._original
            self.explanation = explanation

    # --- from the browser

    def _heard(self, _widget: Any, message: Any, _buffers: Any) -> None:
        try:
            self._answer(message if isinstance(message, dict) else {})
        except Exception as error:  # a mistake in a message must not end the comm, and the user has to see it
            self.send({"type": "error", "text": _sentence(error)})

    def _answer(self, message: dict[str, Any]) -> None:
        kind, n = message.get("type"), int(message.get("n") or 0)
        if kind == "hello":
            self._send_live()
            self._send_full([0])
        elif kind == "want":
            self._send_full([int(number) for number in message["paths"]])
        elif kind == "explain":
            self._ask(n, message["options"], [])
        elif kind == "edit":
            self._ask(n, {}, [(int(place), value) for place, value in message["edits"]])
        elif kind == "text":
            self._ask(n, {}, [], (str(message["leaf"]), str(message["text"])))
        elif kind == "along":
            self.along(n, None if message.get("budget") is None else float(message["budget"]))
        elif kind == "cancel":
            self.cancel()
        elif kind == "reset":
            self.reset()
        elif kind == "page":
            self.send({"type": "file", "name": "explanation.html", "mime": "text/html", "text": self.page()})

    def page(self) -> str:
        """Return what is shown as one page that works offline."""
        return page(self.explanation, self.spec.get("code", ""), dict(self.view), along=self.cumulative.values())

    # --- to the browser

    def _state(self, explanation: Explanation, origin: Origin | None) -> dict[str, Any]:
        spec, content = payload(explanation, before=self._unedited)
        spec["id"] = secrets.token_hex(8)
        spec["runs"] = self._noted(explanation)
        spec["changed"] = self._changed(explanation, origin)
        spec["original"] = explanation is self._original[0]
        if origin is not None:
            spec["code"] = origin.code()
        return {"spec": spec, "data": content}

    def _noted(self, e: Explanation) -> list[dict[str, Any]]:
        """Add this run to those of the same question: what was really evaluated, and how well."""
        known = {} if self._origin is None else self._origin.options
        question = repr([self._edits, len(e), [(k, str(v)) for k, v in known.items() if k not in ACCURACY]])
        if question != self._runs_of:
            self._runs, self._runs_of = [], question
        names = ("n_evals", "deltas", "error")
        rows = [
            {"n": n, "evals": int(spent), "gap": float(gap), "error": float(error)}
            for n, (spent, gap, error) in enumerate(
                zip(*(getattr(e, name).ravel()[:50] for name in names), strict=True)
            )
            if np.isfinite(gap) and np.isfinite(error)
        ]
        self._runs = [row for row in self._runs if row not in rows] + rows
        return list(self._runs)

    def _changed(self, e: Explanation, origin: Origin | None) -> str:
        """Say in words what differs from the original."""
        parts = [f"{_feature(e, place)} = {value}" for place, value in self._edits]
        first = self._original[1]
        if origin is not None and first is not None:
            now, then = origin.shown(), first.shown()
            # The target stands in the heading.
            parts += [f"{n} {now[n] or UNSET.get(n, 'none')}" for n in now if now[n] != then[n] and n != "target"]
        return f"what if: {', '.join(parts)}" if self._edits else ", ".join(parts)

    def _send_live(self) -> None:
        live: dict[str, Any] = {"model": False, "edit": False, "texts": []}
        if self._origin is not None:
            names = self.explanation.output_names
            live |= {"model": True, "edit": True, "options": self._origin.shown(), **self._origin.choices(names)}
            live["texts"] = (
                [] if self._origin.edit_text is None else [leaf.name or "text" for leaf in self.explanation.leaves()]
            )
            self._batch()  # learns the pace
            live["along"] = costs(self.explanation, self._pace)
        self.send({"type": "live", "live": live})

    def _send_full(self, paths: list[int]) -> None:
        spec, content = payload(self.explanation, paths, full=True, before=self._unedited)
        self.send({"type": "full", "id": self.spec["id"], "paths": spec["paths"]}, buffers=[content])

    # --- asking the model

    def _ask(self, n: int, changes: Mapping[str, Any], edits: list[Edit], text: tuple[str, str] | None = None) -> None:
        with self._lock:
            self._asked = self._question(n, changes, edits, text)
            self.send({"type": "error", "text": ""})
            self._worker.submit(self._asked)

    def _question(
        self, n: int, changes: Mapping[str, Any], edits: list[Edit], text: tuple[str, str] | None
    ) -> _Question:
        if self._origin is None:
            raise InputError(_NO_MODEL)
        e: Explanation = self.explanation
        i = n // targets_each(e)
        # What was asked before this counts, also where its answer will never be shown.
        asked = self._asked or _Question(self._origin.of_sample(i, len(e)), self._edits, self._unedited, {})
        origin = asked.origin.with_options(changes, e.output_names).edited(edits)
        if text is not None and origin.edit_text is not None:
            origin = replace(origin, x=origin.edit_text(origin.x, *text))
        names: dict[str, Any] = {"output_names": e.output_names, "feature_names": e.feature_names}
        if text is not None or "layer" in changes:  # other features
            names.pop("feature_names")
        names["batch_size"] = self._batch()
        names = {name: given for name, given in names.items() if given is not None and name not in origin.options}
        kept = [edit for edit in asked.edits if edit[0] not in dict(edits)] + edits
        outline = (asked.unedited if asked.edits else e[i]) if kept and not changes and text is None else None
        return _Question(origin, kept, outline, names, self._era)

    def _batch(self) -> int:
        """Return so many rows of one model call that a cancel is heard in time: a call is never cut short."""
        e = self.explanation
        spent, seconds = int(e.n_evals.sum()), float(e.meta.get("seconds") or 0)
        if spent and seconds:
            self._pace = min(self._pace, seconds / spent)
        return int(np.clip(CALL / self._pace, LEAST_ROWS, MOST_ROWS))

    def _report(self, running: bool, done: int, total: int, calls: int, seconds: float) -> None:
        message = {"running": running, "done": int(done), "total": int(total), "calls": calls, "seconds": seconds}
        self.send({"type": "progress", **message})

    def _finish(self, result: Any, error: BaseException | None, question: Any) -> None:
        # In one step: between an answer and its origin, the next question would start from the wrong one.
        with self._lock:
            if isinstance(question, LinesQuestion):
                return self._keep_lines(result, error, question)
            if question.era != self._era:
                return None  # the original is shown again, and stays
            if self._asked is question:  # else a newer one is on its way, and counts
                self._asked = None
            if error is not None:
                self._refuse(_sentence(error))
            elif not any(np.isfinite(leaf.attributions).any() for leaf in result.leaves()):
                self._refuse("stopped before anything was known; the last result stays")
            else:
                self._origin, self._edits, self._unedited = question.origin, question.edits, question.unedited
                remember(result, question.origin)
                self.explanation = result

    def _keep_lines(self, result: Any, error: BaseException | None, question: LinesQuestion) -> None:
        if question.explanation is not self.explanation:
            return
        if error is None:
            self.cumulative[question.number] = result
        told = {"error": _sentence(error)} if error is not None else shown(result)
        self.lines = {**self.lines, str(question.number): told}
        if self.on_lines is not None and error is None:
            self.on_lines()

    def _refuse(self, text: str) -> None:
        """Say why, and set the controls back to what is shown."""
        self._send_live()
        self.send({"type": "error", "text": text})


def widget(explanation: Explanation, model: Any = None, x: Any = None, **options: Any) -> ExplanationWidget:
    """See `Explanation.widget`."""
    origin = origin_of(explanation)
    if model is not None:
        ids = explanation.meta.get("summed")  # an explanation of ids holds them
        if explanation.meta.get("layer") is not None and x is None and not ids:
            raise InputError("expected x= as well: the explanation is of a layer, and does not hold the model's input")
        explainer = model if isinstance(model, IntegratedGradients) else IntegratedGradients(model)
        origin = Origin(explainer, explanation.inputs if x is None else x, {**remembered(explanation), **options})
    elif options:
        raise InputTypeError(f"expected model= with the options {', '.join(options)}: they are for asking it again")
    return ExplanationWidget(explanation, origin)


def compare(one: Explanation, other: Explanation, labels: tuple[str, str] = ("A", "B")) -> ExplanationWidget:
    """See `Explanation.compare`."""
    if not isinstance(other, Explanation):
        raise InputTypeError(f"expected another Explanation to compare with; got {type(other).__name__}")
    if not len(one) or not len(other):
        raise InputError("expected two explanations of at least one sample each")
    return ExplanationWidget(one, origin_of(one), pins={"A": (one, labels[0]), "B": (other, labels[1])})


def _feature(explanation: Explanation, place: int) -> str:
    return feature_labels(explanation, [place])[0]


def _sentence(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, (InputError, InputTypeError)) else f"{type(error).__name__}: {text}"
