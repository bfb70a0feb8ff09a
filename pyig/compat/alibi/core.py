"""IntegratedGradients with the peer's arguments and results: translate, call the engine, translate back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pyig import _core, tree
from pyig.compat.alibi import layers
from pyig.compat.alibi.defaults import BATCH, DEFAULT_DATA_INTGRAD, DEFAULT_META_INTGRAD, Unchosen
from pyig.compat.alibi.door import Door, open_door, predict
from pyig.compat.alibi.failures import StepsError, both_kinds
from pyig.compat.alibi.record import Explanation
from pyig.compat.alibi.targets import Asked, read_target
from pyig.errors import unknown
from pyig.explainer import IntegratedGradients as Engine
from pyig.quadrature import Rule, make_rule, rule_names

_OWN_WAYS = ("auto", "adaptive", "exact")


class IntegratedGradients:
    """Integrated Gradients of a Keras model, called and answered as in alibi 0.9.

    Parameters
    ----------
    model : Keras model
        Sequential, Functional or subclassed; `tf.function`s and functions of tensors too.
    layer : Keras layer, callable or str, optional
        Attribute to this layer; ``callable(model)`` returns it, a name finds it.
    target_fn : callable, optional
        Gives the target of every sample from the model's predictions, a tensor.
    method : str, default "gausslegendre"
        ``"gausslegendre"``, ``"riemann_left"``, ``"riemann_right"``, ``"riemann_middle"``, ``"riemann_trapezoid"``, or
        ``"simpson"``.
    n_steps : int or "auto", default 50
        Number of nodes. ``"auto"``: as many for each sample as `rtol` takes; `method` then does not matter, unless it
        is ``"adaptive"`` or ``"exact"``.
    internal_batch_size : int or "auto", default 100
        Most rows of one model call. Left out, the engine finds the size that pays, as for ``"auto"``.
    quirks : {None, "alibi"}, default None
        ``"alibi"``: the trapezoid's weights add up to (n - 1)/n, as the peer's do, to compare with old results.
    rtol : float, default 0.01
        The tolerance of ``n_steps="auto"``, of each sample's estimated L1 error.
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> found = IntegratedGradients(model, n_steps=5).explain(np.array([[1.0, 2.0]], np.float32))
    >>> found.attributions[0].round(3), found.meta["params"]["n_steps"]
    (array([[1., 2.]], dtype=float32), 5)
    """

    def __init__(
        self,
        model: Any,
        layer: Any = None,
        target_fn: Callable[[Any], Any] | None = None,
        method: str = "gausslegendre",
        n_steps: int | str = 50,
        internal_batch_size: int | str = BATCH,
        *,
        quirks: str | None = None,
        rtol: float = 0.01,
        output: str | int | None = None,
    ) -> None:
        if quirks not in (None, "alibi"):
            raise unknown("quirks", quirks, ["alibi"])
        self.target_fn = target_fn
        self.method = method
        self.n_steps = n_steps
        self.internal_batch_size = internal_batch_size
        self.quirks = quirks
        self.rtol = rtol
        self.output = output
        self.asked_layer: Any = None
        self._use(model, layer)

    @property
    def meta(self) -> dict[str, Any]:
        """How explanations are made: name, type, params, version."""
        params = {
            "target_fn": self.target_fn,
            "method": self.method,
            "n_steps": self.n_steps,
            "internal_batch_size": self.internal_batch_size,
            "layer": layers.state(self.model, self.asked_layer),
        }
        own = {"quirks": (self.quirks, None), "rtol": (self.rtol, 0.01), "output": (self.output, None)}
        params |= {name: value for name, (value, usual) in own.items() if value != usual}
        name, version = type(self).__name__, _core.__version__
        return DEFAULT_META_INTGRAD | {
            "name": name,
            "type": ["whitebox"],
            "explanations": ["local"],
            "params": params,
            "version": version,
        }

    def explain(
        self,
        X: Any,
        forward_kwargs: dict[str, Any] | None = None,
        baselines: Any = None,
        target: Any = None,
        attribute_to_layer_inputs: bool = False,
    ) -> Explanation:
        """Explain the model's output for each sample.

        Parameters
        ----------
        X : array, tensor, DataFrame, or list or dict of them
            N samples. Among several inputs those of integers are held fixed.
        forward_kwargs : dict, optional
            Passed to the model. Arrays with N rows follow their samples.
        baselines : None, number, array, or one of them per input, optional
            Where the paths start, in the space of X; arrays with or without the first axis. None: zero.
        target : int, list, array or tuple, optional
            The class of every sample; for outputs of higher rank one row of indices per sample, (N, rank - 1). Of a
            model with one output column: 1 explains p, 0 explains 1 - p, None the column as it is.
        attribute_to_layer_inputs : bool, default False
            Attribute to the layer's inputs instead of its outputs.

        Returns
        -------
        Explanation
            ``attributions`` is a list, one array per input or per tensor of the layer, in the input's dtype; for a dict
            of inputs a dict. ``deltas`` is sum(attributions) - (F(x) - F(x')), (N,) float64. With ``n_steps="auto"``
            also ``error``, ``n_evals`` and ``converged``.

        Raises
        ------
        InputError, InputTypeError, ModelError
            Each is also of the kind that the peer raises.
        """
        options = self._options()
        with both_kinds():
            backend = self._engine.backend_for(X)
            door = open_door(backend, self.model, X, forward_kwargs, baselines, self.layer is not None)
            call = {
                "layer": self.layer,
                "attribute_to_layer_inputs": attribute_to_layer_inputs,
                "forward_kwargs": forward_kwargs,
                "allow_unused": True,
                "progress": False,
                **options,
            }
            with backend.session():  # around the engine's own: what one has called eagerly, the other need not again
                outputs, predictions = predict(backend, door.inputs, self.output, options["batch_size"])
                asked = read_target(target, self.target_fn, outputs, predictions)
                found = self._integrate(door, asked, call)
        return Explanation(self.meta, self._data(X, forward_kwargs, door, predictions, asked, found))

    def reset_predictor(self, predictor: Any) -> None:
        """Explain another model from now on; a layer is the one at the same place in it."""
        self._use(predictor, layers.moved(self.model, self.asked_layer, predictor))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the explainer to a folder, without its model; see `save_explainer`."""
        from pyig.compat.alibi.saving import save_explainer

        save_explainer(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], predictor: Any, *, layer: Any = None, target_fn: Any = None
    ) -> IntegratedGradients:
        """Read an explainer and give it a model; see `load_explainer`."""
        from pyig.compat.alibi.saving import load_explainer

        return load_explainer(path, predictor, layer=layer, target_fn=target_fn)

    def _use(self, model: Any, layer: Any) -> None:
        with both_kinds():
            # A Keras model knows its framework; a function of arrays is taken to be one of TensorFlow's.
            framework = None if hasattr(model, "compute_output_shape") else "tensorflow"
            self._engine = Engine(model, output=self.output, backend=framework)
            self.model, self.asked_layer, self.layer = model, layer, layers.resolve(model, layer)

    def _options(self) -> dict[str, Any]:
        """Return the engine's options; the attributes may have changed since the last call."""
        batch = "auto" if isinstance(self.internal_batch_size, Unchosen) else self.internal_batch_size
        options = {"batch_size": batch, "rtol": self.rtol}
        if self.method not in (*rule_names(), *_OWN_WAYS):
            raise unknown("method", self.method, [*rule_names(), *_OWN_WAYS])
        if self.n_steps == "auto":
            return options | {"method": self.method if self.method in _OWN_WAYS else "auto"}
        whole = isinstance(self.n_steps, (int, np.integer)) and not isinstance(self.n_steps, bool)
        if not whole or int(self.n_steps) < 1:
            raise StepsError(f'expected n_steps= as a whole number of at least 1, or "auto"; got {self.n_steps!r}')
        if self.quirks == "alibi" and self.method == "riemann_trapezoid":
            return options | {"method": _short_trapezoid(int(self.n_steps))}
        return options | {"method": self.method, "n_steps": int(self.n_steps)}

    def _integrate(self, door: Door, asked: Asked, call: dict[str, Any]) -> dict[str, Any]:
        """Ask the engine; without the record of the paths, which grows with the steps, where nobody reads it."""
        if self.n_steps != "auto":
            attributions, deltas = self._engine.attribute(
                door.x, door.baselines, asked.engine, return_convergence_delta=True, **call
            )
            return {"attributions": attributions, "deltas": deltas}
        found = self._engine.explain(door.x, door.baselines, asked.engine, **call)
        names = ("attributions", "deltas", "error", "n_evals", "converged")
        return {name: getattr(found, name) for name in names}

    def _data(
        self, X: Any, forward_kwargs: Any, door: Door, predictions: Any, asked: Asked, found: dict[str, Any]
    ) -> dict[str, Any]:
        """Put the result into the peer's words."""
        leaves, spec = tree.flatten(found["attributions"])
        dtypes = door.dtypes if self.layer is None else [None] * len(leaves)
        signs = np.ones(len(predictions)) if asked.signs is None else asked.signs
        attributions = [
            (leaf * signs.reshape(-1, *[1] * (leaf.ndim - 1))).astype(dtype or leaf.dtype)
            for leaf, dtype in zip(leaves, dtypes, strict=True)
        ]
        by_name = spec.kind == "dict"
        return DEFAULT_DATA_INTGRAD | {
            **found,
            "attributions": tree.unflatten(spec, attributions) if by_name else attributions,
            "X": X,
            "forward_kwargs": dict(forward_kwargs or {}),
            "baselines": door.shown,
            "predictions": predictions,
            "deltas": found["deltas"] * signs,
            "target": asked.index,
        }


def _short_trapezoid(n: int) -> Rule:
    """Return the peer's trapezoid: n - 1 intervals of length 1/n."""
    rule = make_rule("riemann_trapezoid", n)
    share = (n - 1) / n
    return replace(rule, weights=rule.weights * share, half_weights=rule.half_weights * share, degree=-1)
