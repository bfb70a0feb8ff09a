"""From the words of a magic line to Python values, with errors of one line for what the user mistyped."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError

QUOTES = ("'", '"')


def unquote(word: str) -> str:
    """Take off one pair of quotes: the line is split at spaces, but quotes stay on what they held together.

    Examples
    --------
    >>> unquote("'x[0] + 1'"), unquote("x['a']")
    ('x[0] + 1', "x['a']")
    """
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in QUOTES else word


class Scope:
    """The names that a magic line can see.

    Parameters
    ----------
    shell : InteractiveShell
        Gives the user's names.
    local : mapping
        Names of the function that the magic is called in; the user's names at the top level.
    """

    def __init__(self, shell: Any, local: Mapping[str, Any]) -> None:
        self.shell = shell
        self.names = {**shell.user_ns, **local}

    def evaluate(self, word: str, what: str) -> Any:
        """Evaluate an expression; only errors of the words themselves lose their traceback."""
        expression = unquote(word)
        try:
            code = compile(expression, f"<{what}>", "eval")
        except SyntaxError as error:
            raise UsageError(f"{what}: cannot read {expression!r} as Python ({error.msg})") from error
        try:
            return eval(code, self.names)
        except NameError as error:
            frame = error.__traceback__.tb_next if error.__traceback__ else None
            if frame is not None and frame.tb_next is not None:
                raise  # inside a function that the expression calls
            raise UsageError(f"{what}: {error}{self.nearest(error.name)}") from error

    def evaluate_or_word(self, word: str, what: str) -> Any:
        """Evaluate an expression; a word that is no known name stands for itself."""
        text = unquote(word)
        if re.fullmatch(r"[A-Za-z_][\w.]*", text) and text.split(".")[0] not in self.names:
            return text
        return self.evaluate(word, what)

    def nearest(self, name: str | None) -> str:
        """Suggest a name that is there."""
        names = [known for known in self.names if not known.startswith("_")]
        near = difflib.get_close_matches(name or "", names, n=1)
        return f". Did you mean {near[0]!r}?" if near else ""

    def run_body(self, body: str) -> Any:
        """Run the statements of a cell and return the value of its last expression."""
        source = self.shell.transform_cell(body)
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise UsageError(f"cell body: cannot read line {error.lineno} as Python ({error.msg})") from error
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            raise UsageError("expected the last line of the cell to be an expression: the input to explain")
        name = self.shell.compile.cache(source)  # so that a traceback shows the user's lines
        exec(compile(ast.Module(tree.body[:-1], []), name, "exec"), self.shell.user_ns)
        value = eval(compile(ast.Expression(last.value), name, "eval"), self.shell.user_ns)
        self.names |= self.shell.user_ns
        return value


def read_names(scope: Scope, word: str) -> list[str]:
    """Read feature names: an expression for a sequence of them, or the names themselves with commas between."""
    text = unquote(word)
    words = [part.strip() for part in text.split(",")]
    if len(words) > 1 and not re.search(r"[\[\](){}'\"]", text) and not all(part in scope.names for part in words):
        return words
    value = scope.evaluate(word, "--names")
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    try:
        return [str(part) for part in value]
    except TypeError as error:
        raise UsageError(
            f"--names: expected names with commas between, or a list; got {type(value).__name__}"
        ) from error


def read_steps(word: str) -> int | None:
    """Read the number of steps; ``auto`` leaves it to pyig."""
    if word == "auto":
        return None
    try:
        return int(word)
    except ValueError as error:
        raise UsageError(f"--steps: expected a whole number or 'auto'; got {word!r}") from error
