"""Graphs with the loops and branches of TF1, whose gradients TensorFlow finds only in the graph that they came in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pyig.artifacts.saved_model_graph import FlatGraph

_LOCK = threading.Lock()


class LoopGraph(FlatGraph):
    """A flat graph left as it is; the gradient of each of its parts is built in it, and cut out like the part."""

    def program(self, feeds: Sequence[str], fetches: Sequence[str]) -> Any:
        """Return the function from some tensors to others, differentiable where it has one output of floats."""
        key = ("differentiable", tuple(feeds), tuple(fetches))
        if key not in self._programs:
            plain = super().program(feeds, fetches)
            moving = [i for i, name in enumerate(feeds) if self.by_name[name].dtype.is_floating]
            smooth = len(fetches) == 1 and moving and self.by_name[fetches[0]].dtype.is_floating
            self._programs[key] = self._with_gradient(plain, feeds, fetches[0], moving) if smooth else plain
        return self._programs[key]

    def _with_gradient(
        self, plain: Any, feeds: Sequence[str], fetch: str, moving: Sequence[int]
    ) -> Callable[..., list[Any]]:
        from tensorflow.python.eager import record

        pullback: list[Any] = []

        def run(*values: Any) -> list[Any]:
            @tf.custom_gradient  # type: ignore[untyped-decorator, unused-ignore]
            def forward(*floats: Any) -> Any:
                given = list(values)
                for place, value in zip(moving, floats, strict=True):
                    given[place] = value

                def back(cotangent: Any, variables: Any = ()) -> Any:
                    if not pullback:  # most programs are run without
                        pullback.append(self._pullback(feeds, fetch, [feeds[i] for i in moving]))
                    program, known = pullback[0]
                    found = iter(program(*given, cotangent)) if program is not None else iter(())
                    grads = [next(found) if there else None for there in known]
                    return (grads, [None] * len(variables)) if variables else grads

                with record.stop_recording():  # else every tape that is open asks for the gradient that fails
                    return plain(*given)[0], back

            return [forward(*[values[place] for place in moving])]

        return run

    def _pullback(self, feeds: Sequence[str], fetch: str, moving: Sequence[str]) -> tuple[Any, list[bool]]:
        """Return the program of the gradient, and which of the tensors it is for have one."""
        output, sources = self.by_name[fetch], [self.by_name[name] for name in moving]
        with _LOCK, self.graph.as_default():
            cotangent = tf.compat.v1.placeholder(output.dtype, output.shape)
            # The code for such loops compares tensors as objects, which is no longer what == does.
            tf.compat.v1.disable_tensor_equality()
            try:
                grads = tf.gradients(output, sources, grad_ys=cotangent)
            finally:
                tf.compat.v1.enable_tensor_equality()
            dense = [None if grad is None else tf.convert_to_tensor(grad) for grad in grads]
        there = [grad for grad in dense if grad is not None]
        fed = [*(self.by_name[name] for name in feeds), cotangent]
        return (self._function.prune(fed, there) if there else None), [grad is not None for grad in dense]
