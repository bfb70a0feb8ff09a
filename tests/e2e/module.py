"""Helpers for the widget's module in a bare page: the page itself, what is shown in it, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pyig
from e2e import browser as browsers
from e2e.stub import Bridge
from pyig.explanation import Explanation
from pyig.jupyter.origin import Origin
from pyig.jupyter.widget import ExplanationWidget

W = np.array([[1.0, -2.0, 0.3], [0.5, 1.0, -1.0], [0.0, 3.0, 0.2], [0.1, 0.2, 0.3]])
IG = pyig.IntegratedGradients(
    lambda x: np.tanh(x) @ W, gradient=lambda x, cotangent: (1 - np.tanh(x) ** 2) * (cotangent @ W.T)
)
X = np.array([[1.0, 2.0, 3.0, -1.0], [0.5, 0.0, -1.0, 2.0]])
NAMES = ["age", "income", "debts", "years"]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, accept_downloads=True)
    opened, seen = browsers.watched(context, ("http://localhost/",))
    yield opened
    assert opened.evaluate("window.__xss") is None
    context.close()
    seen.check()


def shown(page: Any, explanation: Explanation, **options: Any) -> Bridge:
    return Bridge(page, ExplanationWidget(explanation, **options))


def live(page: Any, **options: Any) -> Bridge:
    options = {"target": 1, "feature_names": NAMES, "output_names": ["ant", "bee", "cow"], **options}
    origin = Origin(IG, X[:1], options, {"model": "net", "input": "x"})
    return Bridge(page, ExplanationWidget(origin.explain(), origin))


def rows(page: Any, part: str = "tbody") -> list[list[str]]:
    script = """(t, part) => [...t.querySelectorAll(`${part} tr`)].map(
        (r) => [...r.children].map((c) => c.querySelector("input")?.value ?? c.innerText))"""
    found: list[list[str]] = page.locator(".features table").evaluate(script, part)
    return found


def pixels(page: Any) -> str:
    return str(page.locator(".main canvas").first.evaluate("c => c.toDataURL()"))
