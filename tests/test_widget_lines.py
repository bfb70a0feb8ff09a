"""The lines of the convergence panel without a browser: what is sent, what is asked, and what is kept."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
import samples
import torch
from test_widget import IG, Recorded, X, ask, made

import pyig
from pyig.errors import InputError
from pyig.jupyter.lines import MOST_NODES, TOP, by_path, costs
from pyig.jupyter.origin import Origin
from pyig.jupyter.page import page
from pyig.jupyter.widget import widget


def test_the_panel_gets_its_lines() -> None:
    w = made()
    ask(w, type="hello")
    cost = w.last("live")["live"]["along"]["1"]
    ask(w, type="along", n=1)
    lines = w.cumulative[1]
    assert cost["gradients"] == lines.n_evals
    sent = w.lines["1"]
    assert json.loads(json.dumps(sent)) == sent
    assert sent["names"] == list(lines.names)
    np.testing.assert_allclose(sent["cumulative"], lines.cumulative, rtol=1e-8)
    assert sent["told"].startswith(f"the lines took {lines.n_evals} gradients of their own")
    assert lines.cumulative[-1].sum() == pytest.approx(w.explanation.attributions[1].sum())
    ask(w, type="along", n=0)
    assert set(w.lines) == {"0", "1"}


def test_another_result_takes_them_away() -> None:
    w = made()
    ask(w, type="along")
    assert w.lines
    ask(w, type="explain", options={"target": "0"})
    assert w.lines == {}
    assert w.cumulative == {}
    ask(w, type="along")
    assert w.cumulative[0].title == "sample 0, target 0"


def test_edited_values_and_float64_are_those_that_were_asked() -> None:
    w = made()
    ask(w, type="edit", edits=[[1, 0.25]])
    ask(w, type="along")
    assert w.cumulative[0].reconciles
    ask(w, type="explain", options={"float64": "on"})
    ask(w, type="along")
    assert "error" not in w.lines["0"]


def test_newest_wins_and_a_question_goes_first() -> None:
    w = made()
    w._asked = object()  # type: ignore[assignment]
    ask(w, type="along")
    assert w.lines == {}
    w._asked = None
    ask(w, type="along")
    assert w.lines


def test_what_cannot_be_done_is_said_in_the_panel() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    e = pyig.IntegratedGradients(model).explain(X, target=1)
    w = Recorded(e, Origin(pyig.IntegratedGradients(torch.nn.Linear(3, 2).double()), X, {"target": 1}))
    ask(w, type="along")
    assert "expected the model" in w.lines["0"]["error"]
    assert w.cumulative == {}
    shown = Recorded(e)
    ask(shown, type="along")
    assert "exp.widget(model)" in shown.last("error")["text"]
    with pytest.raises(InputError):
        shown.along()


def test_options_of_every_kind_lead_there() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    ig, x = pyig.IntegratedGradients(model), torch.from_numpy(X)
    several = [np.zeros(3), np.ones(3)]
    options: list[dict[str, Any]] = [
        {"target": 1, "contrast": 0},
        {"target": 1, "value": "probability", "output_kind": "logits"},
        {"target": [0, 2], "baselines": several},
        {"target": "top2"},
        {"target": lambda out: out.square().sum(1)},
        {"target": 2, "layer": model[1], "output_names": ["a", "b", "c"]},
        {"target": 0, "n_steps": 9, "feature_names": ["p", "q", "r"]},
        {"target": 0, "baselines": np.ones((2, 3))},
        {"target": 0, "baselines": "noise", "rng": 3},
    ]
    for given in options:
        origin = Origin(ig, x, given)
        w = Recorded(origin.explain(), origin)
        ask(w, type="along", n=w.explanation.values.size - 1)
        (found,) = w.lines.values()
        assert "error" not in found, (given, found)
        assert w.cumulative[w.explanation.values.size - 1].reconciles, given


def test_a_budget_ends_it_with_what_is_known() -> None:
    w = made(n_steps=200)
    ask(w, type="along", budget=0)
    assert "stopped before" in w.lines["0"]["error"]

    def net(x: Any) -> Any:
        time.sleep(0.03)
        return IG.model(x)

    slow = Origin(pyig.IntegratedGradients(net, gradient=IG._gradient), X[:1], {"target": 1, "n_steps": 60})
    w = Recorded(slow.explain(), slow)
    w._batch = lambda: 8  # type: ignore[method-assign]
    w.along(budget=0.2)
    assert w.wait(20)
    assert w.lines["0"]["complete"] is False
    assert "partial" in w.lines["0"]["told"]
    w.along()
    assert w.wait(20)
    assert w.lines["0"]["complete"] is True


def test_costs_are_those_of_all_baselines_and_end_somewhere() -> None:
    e = IG.explain(X, [np.zeros(3), np.ones(3), -np.ones(3)], 1)
    assert costs(e, 0.01)["0"] == {"gradients": 99, "seconds": 0.99}
    many = IG.explain(X, target=1, n_steps=400)
    assert costs(many, 0.0)["1"]["gradients"] == MOST_NODES
    assert costs(IG.explain(X[:1], target=1, n_steps=3), 0.5)["0"]["seconds"] is None
    tunnel = samples.table(meta={**samples.META, "noise": {"kind": "smoothgrad", "draws": 3}})
    assert costs(tunnel, 0.1) == {}


def test_pages_carry_what_was_computed() -> None:
    e = IG.explain(X, target=1)
    lines = IG.along(e, 1, top=TOP)
    found = by_path(e, lines)
    assert list(found) == ["1"]
    assert by_path(e, None) == {}
    text = page(e, along=[lines])
    assert '"lines": {"1": {"names"' in text
    assert '"lines": {}' in page(e)
    assert '"lines": {"1"' in e.to_html(interactive=True, along=lines)
    assert "Cumulative attribution" in e.to_html(along=lines)
    w = widget(e, IG)
    w.along(1)
    assert w.wait(20)
    assert '"lines": {"1"' in w.page()
