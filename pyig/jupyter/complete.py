"""Completion of ``%ig_explain``: its options, the values of those with a fixed choice, the user's names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from pyig.baselines import BASELINES
from pyig.explanation import Explanation
from pyig.jupyter.config import CHOICES, FILLED, SHOWS
from pyig.jupyter.origin import layer_names
from pyig.quadrature import rule_names
from pyig.views import VIEWS

if TYPE_CHECKING:
    from pyig.jupyter.magic import IgMagics

CALL = re.compile(r"(?:^|=\s*)%%?ig_explain\s+(?P<words>.*)$")
CONFIG = re.compile(r"^%ig_config\s+(?:.*\s)?(?P<word>[\w=-]*)$")
COMPARE = re.compile(r"^%ig_compare\s+(?:.*\s)?(?P<word>\w*)$")


class Completion:
    """A matcher that speaks only inside the magic.

    ``set_hook("complete_command")`` would not do: with Jedi on, its matches drown among hundreds of others, and it
    does not see ``e = %ig_explain``.
    """

    def __init__(self, shell: Any, magics: IgMagics) -> None:
        self._matchers = getattr(shell.Completer, "custom_matchers", None)
        self._user = shell.user_ns
        self._magics = magics

        @context_matcher()  # type: ignore[untyped-decorator]
        def ig_explain_matcher(context: CompletionContext) -> SimpleMatcherResult:
            found = [SimpleCompletion(text) for text in self.candidates(context.text_until_cursor)]
            return {"completions": found, "suppress": bool(found)}

        self._matcher = ig_explain_matcher

    def attach(self) -> None:
        """Join the shell's matchers."""
        if self._matchers is not None:
            self._matchers.append(self._matcher)

    def detach(self) -> None:
        """Leave them."""
        if self._matchers is not None and self._matcher in self._matchers:
            self._matchers.remove(self._matcher)

    def candidates(self, line: str) -> list[str]:
        """List what fits at the end of the line; empty where Python's own completion should speak."""
        if config := CONFIG.search(line):
            words = [f"{name}={value}" for name, values in CHOICES.items() for value in values if " " not in value]
            return _starting(config["word"], [*words, *(f"{name}=" for name in FILLED), "reset"])
        if compared := COMPARE.search(line):
            texts = sys.modules.get("pyig.text.result")  # nobody has a TextExplanation without it
            kinds = (Explanation,) if texts is None else (Explanation, texts.TextExplanation)
            found = [name for name, value in self._user.items() if isinstance(value, kinds)]
            return _starting(compared["word"], sorted(name for name in found if _is_plain(name)))
        call = CALL.search(line)
        if call is None:
            return []
        words = call["words"].split()
        token = "" if call["words"].endswith(" ") or not words else words.pop()
        if token.startswith("-"):
            return _starting(token, [o for a in self._magics.parser._actions for o in a.option_strings])
        before = words[-1] if words else ""
        values = self._values()
        if before == "--layer" and (layers := layer_names(self._user.get(words[0]))):
            return _starting(token, layers)
        if before in values:
            return _starting(token, values[before])
        # The MODEL is called; anything may be the INPUT. After a dot or bracket there is no telling without running it.
        names = [name for name, value in self._user.items() if _is_plain(name) and (words or callable(value))]
        return _starting(token, sorted(names))

    def _values(self) -> dict[str, Iterable[str]]:
        table: dict[str, Iterable[str]] = {
            "--view": SHOWS,
            "--kind": ("auto", *VIEWS),
            "--method": ("auto", *rule_names()),
            "--target": ("predicted", "top3"),
            "--baseline": BASELINES,
        }
        return table | {"-m": table["--method"], "-t": table["--target"], "-b": table["--baseline"]}


def _is_plain(name: str) -> bool:
    return not name.startswith("_") and name not in ("get_ipython", "exit", "quit", "open", "In", "Out")


def _starting(token: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(token)]
