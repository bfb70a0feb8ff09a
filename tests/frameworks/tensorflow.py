"""A zoo entry as a function of TensorFlow tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tape import Step


def _conv(x: Any, w: Any) -> Any:
    """Channels go last: TensorFlow's CPU kernels know no other order."""
    out = tf.nn.conv2d(tf.transpose(x, (0, 2, 3, 1)), tf.transpose(w, (2, 3, 1, 0)), 1, "VALID")
    return tf.transpose(out, (0, 3, 1, 2))


OPS: dict[str, Any] = {
    "dense": lambda x, w, b: x @ w + b,
    "tanh": tf.tanh,
    "softplus": tf.nn.softplus,
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    "square": tf.square,
    "mul": tf.multiply,
    "add": tf.add,
    "sum": lambda x: tf.reduce_sum(x, axis=list(range(1, len(x.shape)))),
    "conv": _conv,
    "embed": lambda tokens, table: tf.gather(table, tokens),
}


class Net(tf.Module):
    """Plays the steps; the weights are variables."""

    def __init__(self, steps: Sequence[Step], keys: tuple[str, ...], dtype: Any) -> None:
        super().__init__()
        self.steps, self.keys = steps, keys
        self.weights = [tf.Variable(w.astype(dtype)) for step in steps for w in step.weights]

    def __call__(self, *leaves: Any, **named: Any) -> Any:
        tape, weights = list(leaves or (named[key] for key in self.keys)), iter(self.weights)
        for step in self.steps:
            args = [tape[i] for i in step.args]
            if step.op == "reshape":
                tape.append(tf.reshape(args[0], (-1, *step.shape)))
            else:
                tape.append(OPS[step.op](*args, *[next(weights) for _ in step.weights]))
        return tape[-1]


build = Net
tensor = tf.constant
