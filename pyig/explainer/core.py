"""IntegratedGradients: the straight line from a call to its Explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyig import backends, tree
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError, InputTypeError
from pyig.explainer.along import along
from pyig.explainer.assemble import assemble, check_names, native
from pyig.explainer.options import Options
from pyig.explainer.session import Outcome, Session
from pyig.explainer.tokens import route
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.integrate.inputs import Inputs, read_baselines, read_inputs
from pyig.rows import row_floats


class IntegratedGradients:
    """Integrated Gradients of any differentiable model (Sundararajan, Taly, Yan 2017, arXiv:1703.01365).

    The attribution of feature i is ``(x_i - x'_i)`` times the integral over alpha in [0, 1] of
    ``dF/dx_i(x' + alpha (x - x'))``, where x' is the baseline and F one scalar of the model's output.

    Parameters
    ----------
    model : callable
        A `torch.nn.Module`, a Keras or tf-keras model, a `tf.function`, a function of torch, TensorFlow or JAX tensors,
        or a numpy function together with `gradient`.
    backend : str, optional
        Name of the backend, where it cannot be seen from the model or the input: ``"torch"``, ``"tensorflow"``,
        ``"jax"``.
    gradient : callable, optional
        For a numpy function: ``gradient(x)`` for outputs (N,), or ``gradient(x, cotangent=c)`` for (N, C).
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> import numpy as np
    >>> ig = IntegratedGradients(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x)
    >>> ig.explain(np.array([[1.0, 2.0]]), n_steps=2).attributions
    array([[1., 4.]])
    """

    def __init__(
        self,
        model: Any,
        *,
        backend: str | None = None,
        gradient: Callable[..., Any] | None = None,
        output: str | int | None = None,
    ) -> None:
        if isinstance(model, type):
            raise InputTypeError(f"expected a model; got the class {model.__qualname__}. Pass an instance of it")
        if not callable(model):
            raise InputTypeError(
                f"expected a model that can be called; got {type(model).__module__}.{type(model).__qualname__}"
            )
        self.model = model
        self.output = output
        self._backend_name = backend
        self._gradient = gradient
        self._backend: Backend | None = None
        self._memory: dict[Any, Any] = {}

    def explain(
        self,
        x: Any,
        baselines: Any = None,
        target: Any = None,
        *,
        feature_names: Any = None,
        output_names: Any = None,
        **options: Any,
    ) -> Explanation:
        """Explain the model's output for each sample.

        Parameters
        ----------
        x : array, tensor, DataFrame, or list, tuple or dict of them
            N samples, batch axis first. Whole numbers that the model looks up in embeddings move behind these, together
            with the floats on one path, and each id gets the sum over its own; other integer and boolean arrays are
            held fixed.
        baselines : None, number, str, callable, array, several, optional
            Where the path starts. None: zero; for ids the padding that their embedding names, or 0. A name: ``zero``,
            ``mean``, ``blur``, ``noise``, ``uniform``, ``max_distance``, ``pad_token``. An
            array with or without the batch axis; several of them (a list beside one array, an array of M rows, or
            `pyig.several`) are averaged. `pyig.at_layer` gives one in the space of the layer, such as the zero
            embedding.
        target : int, tuple, array, str or callable, optional
            Which output: a class number, a tuple for outputs of higher rank, one entry per sample, ``"predicted"``
            (the default where there are several), ``"top3"`` for three results per sample, or a function from the
            outputs to one number per row.
        feature_names, output_names : sequence of str, optional
            Names for the report; a DataFrame brings its own.
        contrast : int, tuple or array, optional
            Explain ``F_target - F_contrast``.
        value : str, optional
            What F is: the output as it is (default), ``"probability"``, ``"log_probability"`` or ``"log_odds"`` of
            the target.
        output_kind : str, optional
            ``"logits"`` or ``"probabilities"``, where it cannot be recognised.
        method : str, default "auto"
            ``"auto"``: Gauss-Legendre where `n_steps` is given. Else an exact integral where the model's structure
            gives one that costs no more than the tolerance, and adaptive otherwise; behind an affine part that is
            nearly all of the model, rules of rising size (``meta["method"]`` is then ``"nested"``). ``"adaptive"``.
            ``"exact"``: an error where there is no exact integral. Or a fixed rule:
            ``"gausslegendre"``, ``"riemann_left"``, ``"riemann_right"``, ``"riemann_middle"``,
            ``"riemann_trapezoid"`` or ``"simpson"``. ``"expected"``: the mean over many baselines from a few gradients
            on each path, at random places (expected gradients), with a standard error for each feature. For
            probabilities, or with five gradients for each baseline and more, ``"auto"`` does better.
            A `pyig.quadrature.Rule` is taken as it is.
        n_steps : int, default 50
            Gradients per path of a fixed rule. Of ``"expected"``: gradients per sample, spread over all baselines (four
            for each and at least 50, where none is given); fewer than there are baselines use a part of them.
        rtol : float, default 0.01
            A sample counts as converged when its estimated L1 error is below ``rtol`` times its L1 norm; without a
            fixed rule each sample is refined until it is.
        max_evals : int, default 512
            Most gradients that are spent on one path to meet `rtol`.
        confidence : {"typical", "p95", "strict"}, default "p95"
            How cautious the error estimate is by which samples are refined.
        prefix : module, Keras layer, str or callable, optional
            The layer whose output is the end of the model's affine part: with a fixed rule, that part then runs once
            per sample. It is found by itself where it pays; whether it is affine is checked either way.
        layer : module, Keras layer, str or callable, optional
            Attribute to this layer's outputs; the path is straight between its values at x' and at x. False: at the
            input alone, where whole numbers are held fixed.
        attribute_to_layer_inputs : bool, default False
            Attribute to the layer's inputs instead.
        forward_kwargs : dict, optional
            Passed to the model. Tensors with N rows follow their samples; `pyig.static` marks one that does not.
        batch_size : int or "auto", default "auto"
            Most rows of one model call; halves when memory runs out.
        rng : int or numpy.random.Generator, optional
            Seeds the baselines that draw, and ``"expected"``. Neither depends on the batch size.
        progress : bool or callable, default True
            A bar for work of more than two seconds, or a function called with ``(done, total)``.
        cancel : threading.Event or callable, optional
            Asked before every model call. A cancelled or interrupted run returns what it has, not converged.
        nan_policy : {"raise", "mark"}, default "raise"
            Whether NaN or infinity on the path is an error, or stays in the result.
        allow_unused : bool, default False
            Give zeros for an input that the output does not depend on, instead of an error.
        repeatable : bool, default False
            The result depends on the arguments alone, to the last bit: not on how fast the machine is just now, nor on
            what earlier calls have learnt of the model, which this call looks at anew. Calls cost more for it.

        Returns
        -------
        Explanation
            Attributions as numpy in the structure and dtype of x; with several targets the target axis follows the
            batch axis. Per sample (N,): ``deltas``, ``error``, ``n_evals``, ``converged``.

        Raises
        ------
        InputError, InputTypeError, ModelError, NonFiniteError
            Each says what was expected, what came, and what to do.
        """
        settings = Options.read(options)
        if not settings.multiply_by_inputs:
            raise InputError(
                "expected multiply_by_inputs=False in attribute only; an Explanation holds whole attributions"
            )
        leaves, _ = tree.flatten(x)
        # One axis may be a forgotten batch axis, of which the model has more to say than the names.
        at_input = settings.layer is None or settings.layer is False
        if feature_names is not None and at_input and all(len(leaf.shape) > 1 for leaf in leaves):
            check_names("feature_names", feature_names, row_floats(leaves))
        outcome = self._run(x, baselines, target, settings, record=True)
        return assemble(outcome, settings, self.model, feature_names, output_names)

    def attribute(
        self,
        x: Any,
        baselines: Any = None,
        target: Any = None,
        *,
        return_convergence_delta: bool = False,
        widen: bool = False,
        **options: Any,
    ) -> Any:
        """Return attributions alone, as native tensors in the structure of x, detached, on their device.

        Parameters
        ----------
        x, baselines, target, **options
            As for `explain`.
        return_convergence_delta : bool, default False
            Also return sum(attributions) - (F(x) - F(x')), shape (N,).
        widen : bool, default False
            Return float32 for tensors in half precision: sums are kept in more digits than those have.
        multiply_by_inputs : bool, default True
            False leaves out the factor (x - x'): what is left is the mean gradient on the path.
        """
        settings = Options.read(options)
        if return_convergence_delta and not settings.multiply_by_inputs:
            raise InputError(
                "expected no return_convergence_delta= with multiply_by_inputs=False: nothing sums to F then"
            )
        outcome = self._run(x, baselines, target, settings, record=False)
        return native(outcome, x, return_convergence_delta, widen)

    def in_float64(self) -> IntegratedGradients:
        """Return one that explains in float64, on a copy of the model; the model itself stays as it is.

        For torch modules and numpy functions. It tells whether a gap is rounding: then it is gone.

        Raises
        ------
        InputTypeError
            At the first call, where the framework keeps a model in the dtype it was made with.

        Examples
        --------
        >>> import numpy as np
        >>> ig = IntegratedGradients(lambda x: (x**3).sum(axis=1), gradient=lambda x: 3 * x**2)
        >>> x = np.array([[0.1, 0.2]], np.float32)
        >>> [float(np.abs(one.explain(x, n_steps=2).deltas[0])) < 1e-16 for one in (ig, ig.in_float64())]
        [False, True]
        """
        from pyig.explainer.wide import InFloat64

        return InFloat64(self)

    def embeddings(self, x: Any, forward_kwargs: dict[str, Any] | None = None) -> list[Any]:
        """Return the embedding layers that look up whole numbers of an input, in the order of their calls.

        Parameters
        ----------
        x, forward_kwargs
            As for `explain`, whose paths run behind these layers where no `layer` is given.
        """
        backend = self.backend_for(x)
        with backend.session():
            found = route(backend, self.model, read_inputs(backend, x, forward_kwargs), self._memory)
        return [] if found is None else found.layers

    def starts(self, inputs: Inputs, baselines: Any, rng: np.random.Generator, layer: Any = None) -> list[list[Tensor]]:
        """Return the baselines of an input, each as one tensor per leaf; what does not move is its own.

        For those who ask several questions of one input, as `NoiseTunnel` does.
        """
        if layer is not None and layer is not False:
            return read_baselines(inputs, baselines, rng, range(len(inputs.leaves)))
        with inputs.backend.session():
            routed = route(inputs.backend, self.model, inputs, self._memory) if layer is None else None
        if routed is None:
            return read_baselines(inputs, baselines, rng, inputs.floating)
        given = routed.starts(inputs) if baselines is None else baselines
        return read_baselines(inputs, given, rng, (*inputs.floating, *routed.places))

    def along(
        self,
        explanation: Explanation,
        sample: int = 0,
        target: int = 0,
        *,
        x: Any = None,
        top: int = 8,
        features: Sequence[int | str] | None = None,
        nodes: int | None = None,
        function: Callable[..., Any] | None = None,
        **options: Any,
    ) -> CumulativeAttributions:
        """Show how the attributions of one sample build up along the path, and where it is saturated.

        An Explanation holds F and dF/d(alpha) at its nodes, not the gradients: these are evaluated once more here, for
        the strongest features by themselves and for all others together. That costs a gradient for each node and
        baseline, at most two more than the explanation did with one baseline; ``n_evals`` of the result tells how many.

        Parameters
        ----------
        explanation : Explanation
            What `explain` gave, of this model.
        sample, target : int
            Positions of the sample, and of the target among its targets.
        x : structure of arrays, optional
            The model's input, where it is not ``explanation.inputs``: for an explanation of a layer.
        top : int, default 8
            How many features get a line of their own: the strongest. Of a picture, regions of a grid of 14 by 14 take
            their place, of a series its steps, of a text its words.
        features : sequence of int or str, optional
            The features instead, by position or name.
        nodes : int, optional
            How many nodes. By default those that the explanation was made with; 33 equally spaced ones where it has
            none, as with exact methods, or with several baselines, whose paths have few in common.
        function : callable, optional
            The function that `explain` was given as its target.
        **options
            What was given to `explain` and cannot be told from the explanation: ``forward_kwargs``, ``layer``,
            ``contrast``, ``output_kind``, ``baselines`` where there were several, ``allow_unused``. Also
            ``batch_size``, ``progress`` and ``cancel``.

        Returns
        -------
        CumulativeAttributions
            Lines that end at the attributions, with ``plot()`` and ``to_frame()``.

        Raises
        ------
        InputError
            Where F is not what it is in the explanation: another model, or other options.

        Examples
        --------
        >>> import numpy as np
        >>> ig = IntegratedGradients(lambda x: np.tanh(x).sum(axis=1), gradient=lambda x: 1 - np.tanh(x) ** 2)
        >>> lines = ig.along(ig.explain(np.array([[8.0, 0.0]]), feature_names=["a", "b"]), nodes=33)
        >>> lines.saturated
        array([[0.375, 1.   ]])
        """
        return along(
            self,
            explanation,
            sample,
            target,
            x,
            top,
            features,
            nodes,
            options | ({} if function is None else {"target": function}),
        )

    def backend_for(self, x: Any) -> Backend:
        """Return the backend that serves the model on such an input.

        Parameters
        ----------
        x : array, tensor, DataFrame, or list, tuple or dict of them
            What would be explained.
        """
        leaves, _ = tree.flatten(x)
        if self._backend is None or self._backend_name is None:
            self._backend = self._choose(leaves)
        return self._backend

    def _run(self, x: Any, baselines: Any, target: Any, options: Options, record: bool) -> Outcome:
        if options.repeatable:  # compiled functions are kept by the backend, so it is a new one as well
            backend, memory = self._choose_new(tree.flatten(x)[0]), {}
        else:
            backend, memory = self.backend_for(x), self._memory
        return Session(backend, self.model, self.output, memory).run(x, baselines, target, options, record)

    def _choose(self, leaves: list[Any]) -> Backend:
        """Choose by model and input; the chosen backend stays, with whatever it compiled, while the choice does."""
        return backends.choose(self.model, leaves, self._backend_name, self._gradient, self._backend)

    def _choose_new(self, leaves: list[Any]) -> Backend:
        return backends.choose(self.model, leaves, self._backend_name, self._gradient)
