"""Captum's IntegratedGradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyig.compat.captum.arguments import read_call
from pyig.compat.captum.attribution import GradientAttribution
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.integrals import Integrator
from pyig.compat.captum.quirks import check_quirks


class IntegratedGradients(GradientAttribution):
    """Integrated Gradients with Captum's arguments.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it: any callable of tensors, also a builtin. Of outputs that are no tensor
        (a dict, dataclass or tuple) ``logits`` or the only tensor is explained.
    multiply_by_inputs : bool, default True
        Whether attributions have the factor (x - x').
    quirks : {None, "captum"}
        ``"captum"`` gives the numbers of Captum's own quadrature, bit for bit: a trapezoid whose weights sum to
        (n - 1)/n, weights in float32, and sums in the dtype of the input. Memory then grows with the steps.
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> import torch
    >>> ig = IntegratedGradients(lambda a, b: torch.relu(torch.relu(a) - 1 - torch.relu(b)))
    >>> a, b = ig.attribute((torch.tensor([3.0]), torch.tensor([1.0])), n_steps=5000)
    >>> a.round(decimals=3), b.round(decimals=3)
    (tensor([1.5000]), tensor([-0.5000]))
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        multiply_by_inputs: bool = True,
        *,
        quirks: str | None = None,
        output: str | int | None = None,
    ) -> None:
        with translated():
            super().__init__(forward_func)
            self._multiply_by_inputs = bool(multiply_by_inputs)
            self.output = output
            self._quirks = check_quirks(quirks)
            self._integrate = Integrator(self._multiply_by_inputs, self._quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int | str = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        create_graph: bool = False,
        allow_unused: bool = False,
        rtol: float = 0.01,
    ) -> Any:
        """Attribute the model's output to its inputs.

        Parameters
        ----------
        inputs : tensor or tuple of tensor
            Batch axis first. Whole numbers become floats. Inputs that require a gradient are not touched.
        baselines : None, number, tensor, or tuple of them
            Where the path starts; None is zero. Also what `pyig.IntegratedGradients` takes, several in one tensor only
            as `pyig.several`.
        target : int, tuple, tensor, list, or None
            Which output, as in Captum; also numpy's whole numbers. None where there is only one.
        additional_forward_args : object or tuple
            Passed on behind the inputs. A tensor with N rows follows its samples; anything else is the same for all
            rows, and so is what `pyig.static` marks. Where such an argument ties rows together (the edges of a
            graph), all rows are explained as one sample.
        n_steps : int or "auto"
            Gradients per sample. ``"auto"``: as many as `rtol` takes.
        method : str
            Captum's rules, and ``"simpson"``.
        internal_batch_size : int, optional
            Most rows of one model call; samples are split as well. Memory does not depend on `n_steps` either way.
        return_convergence_delta : bool
            Also return `compute_convergence_delta` of the result.
        create_graph : bool
            Keep the graph, so that attributions can be differentiated. Without it they come back detached.
        allow_unused : bool
            Zeros for an input that the output does not depend on, instead of an error that names it.
        rtol : float
            Tolerance of ``n_steps="auto"``, relative to the L1 norm of a sample's attributions.

        Returns
        -------
        tensor or tuple of tensor
            Like the inputs; float32 for half precision. With the delta: a pair, the second (N,).

        Raises
        ------
        CaptumInputError, CaptumInputTypeError, CaptumModelError
            Errors of pyig that are AssertionErrors as well.
        """
        call = read_call(self.forward_func, inputs, baselines, target, additional_forward_args, self.output)
        found = self._integrate(
            call, n_steps, method, internal_batch_size, create_graph=create_graph, allow_unused=allow_unused, rtol=rtol
        )
        if not return_convergence_delta:
            return found
        return found, self.compute_convergence_delta(found, baselines, call.x, target, additional_forward_args)

    def has_convergence_delta(self) -> bool:
        """Tell that there is a delta."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the factor (x - x')."""
        return self._multiply_by_inputs
