"""Pictures and texts of an Explanation, and nothing but an Explanation.

A view is one file with one function ``view(explanation, **options)`` and one row below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pyig.errors import unknown
from pyig.explanation import Explanation
from pyig.registry import Registry
from pyig.views.shapes import kind_of

VIEWS = Registry(
    "view",
    {
        "text": "pyig.views.text:text",
        "bars": "pyig.views.bars:bars",
        "image": "pyig.views.image:image",
        "pieces": "pyig.views.pieces:pieces",
        "series": "pyig.views.series:series",
        "convergence": "pyig.views.convergence:convergence",
        "html": "pyig.views.html:html",
        "matrix": "pyig.views.matrix:matrix",
    },
    group="pyig.views",
)


def show(explanation: Explanation, kind: str | Callable[..., Any] = "auto", **options: Any) -> Any:
    r"""Draw an explanation.

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    kind : str or callable
        ``"auto"`` chooses by the shape of the input: ``"bars"`` for a table, ``"image"`` for a picture, else
        ``"text"``. Also ``"convergence"`` (F along the path), ``"pieces"`` (a text as a picture), ``"series"``,
        ``"matrix"`` and ``"html"``. A callable is a view of your own.
    **options
        Passed to the view. All know ``sample`` and ``target`` (positions, default 0), except text and html, which
        show several samples.

    Returns
    -------
    matplotlib.figure.Figure, or str for text and html
        Both display themselves at the end of a notebook cell.

    Raises
    ------
    InputError
        For an unknown kind or option, or a sample that is not there.
    MissingPackageError
        When a picture is asked for and matplotlib is absent.

    Examples
    --------
    >>> import numpy as np, pyig
    >>> ig = pyig.IntegratedGradients(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x)
    >>> print(show(ig.explain(np.array([[1.0, 3.0]]), n_steps=2), "text").partition("\n\n")[0])
    sample 0: F(x) = 10, F(x') = 0, difference +10
      feature  value  baseline  attribution
      x[1]         3         0        +9.00  ++++++++++++++++++++
      x[0]         1         0        +1.00  ++
    """
    if kind == "auto":
        kind = kind_of(explanation)
    view = VIEWS.resolve(kind)
    known = inspect.signature(view).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        names = [name for name in known if name != "explanation"]
        for name in options:
            if name not in names:
                raise unknown(f"option of the view {kind if isinstance(kind, str) else view.__name__}", name, names)
    return view(explanation, **options)
