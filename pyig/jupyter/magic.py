"""``%ig_explain``: one line from a model and an input to a picture and an Explanation."""

# IPython's decorators and helpers carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import argparse
import difflib
import html
import sys
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from pyig import tree
from pyig.baselines import BASELINES
from pyig.errors import InputError, InputTypeError, MissingPackageError, ModelError, PyigError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.jupyter.arguments import Scope, read_names, read_steps, unquote
from pyig.jupyter.complete import Completion
from pyig.jupyter.config import SHOWS, Config
from pyig.jupyter.display import display_live, display_widget, live
from pyig.jupyter.origin import FLOAT64, Origin, remember
from pyig.views import VIEWS, show


@magics_class
class IgMagics(Magics):
    """The magics of pyig, with what they add to the shell."""

    shell: Any

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._shown: tuple[weakref.ref[Explanation], int] | None = None
        self._live = False  # whether what was shown is a widget
        self._config = Config()
        self._completion = Completion(shell, self)

    @magic_arguments()
    @argument("words", nargs="*", metavar="MODEL INPUT", help="expressions; quote one that contains spaces")
    @argument("-t", "--target", help="class number, expression, predicted, or top3; default: predicted")
    @argument("--contrast", help="explain F_target - F_contrast")
    @argument("-b", "--baseline", help="expression, or a name: zero, mean, blur, ...; default: zero")
    @argument("-n", "--steps", help="gradients per sample, or auto")
    @argument("--tol", type=float, help="relative error that counts as converged, for example 0.01")
    @argument("-m", "--method", help="quadrature rule, for example gausslegendre")
    @argument("--float64", action="store_true", help="explain a copy of the model in float64")
    @argument("--layer", help="attribute to this layer: expression or name")
    @argument("--names", help="names of the features: a list, or words with commas between")
    @argument("--text", action="store_true", help="INPUT is a text, or several; the cell's body is one as it stands")
    @argument("--tokenizer", metavar="EXPR", help="of a text; needed with --text")
    @argument("-k", "--top", type=int, help="features to show")
    @argument("--kind", default="auto", help="picture to show: auto, bars, image, convergence, text, html")
    @argument("--view", choices=SHOWS, help="what to show; default: the widget in a notebook, else static")
    @argument("-o", "--out", metavar="VAR", help="put the Explanation into this variable")
    @argument("--save", metavar="FILE", help="write .npz, .html, .csv, .png, .svg or .pdf")
    @argument("-q", "--quiet", action="store_true", help="show nothing")
    @output_can_be_silenced
    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def ig_explain(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Explain what a model makes of an input, by Integrated Gradients.

        ``%ig_explain MODEL INPUT [options]`` returns the Explanation and shows it; a closing ``;`` shows nothing.
        ``%%ig_explain MODEL [options]``: the cell's last expression is the input, or with ``--text`` its words.
        A single sample such as ``x[0]`` gets its batch axis by itself.
        """
        silent = cell is None and line.rstrip().endswith(";")
        args = self._parse(line.rstrip().removesuffix(";") if silent else line)
        scope = Scope(self.shell, local_ns or {})
        expected = 2 if cell is None else 1
        if len(args.words) != expected:
            usage = (
                "%ig_explain MODEL INPUT" if cell is None else "%%ig_explain MODEL, with the input as the cell's body"
            )
            raise UsageError(
                f"expected {usage}; got {' '.join(args.words) or 'neither'}. Quote expressions with spaces"
            )
        if args.out is not None and not args.out.isidentifier():
            raise UsageError(f"--out: expected the name of a variable; got {args.out!r}")
        if args.text:
            return self._texts(args, scope, cell, silent)
        if cell is None:
            x = scope.evaluate(args.words[1], "INPUT")
        else:
            x = scope.run_body(cell)
            silent = DisplayHook.semicolon_at_end_of_expression(cell)
        model = scope.evaluate(args.words[0], "MODEL")
        words = {"model": unquote(args.words[0]), "input": unquote(args.words[1]) if cell is None else "x"}
        try:
            as_widget = self._view(args) == "widget" and live()  # what it imports is imported before the work
            explanation = _explain(model, x, _options(args, scope), words | _written(args))
            self._hand_out(explanation, args, silent, as_widget)
        except (InputError, InputTypeError, MissingPackageError) as error:
            raise UsageError(str(error)) from error  # the user's words, not the model's work: no traceback needed
        # Nothing more to show when it went into a variable quietly.
        return None if args.quiet and args.out is not None else explanation

    def _texts(self, args: argparse.Namespace, scope: Scope, cell: str | None, silent: bool) -> Any:
        """Explain a text; the notebook shows it live, as it does with any result of a cell."""
        from pyig.text import explain_text  # only a text needs that room

        if args.tokenizer is None:
            raise UsageError("--text: expected --tokenizer EXPR, the tokenizer of the model")
        if args.float64:
            raise UsageError("--text: expected no --float64; the box of the widget asks a text in float64")
        text = scope.evaluate(args.words[1], "INPUT") if cell is None else cell.strip()
        options = _options(args, scope)
        options.pop("feature_names", None)
        if args.baseline is not None:
            options["baseline"] = scope.evaluate_or_word(args.baseline, "--baseline")
            options.pop("baselines", None)
        model, tokenizer = scope.evaluate(args.words[0], "MODEL"), scope.evaluate(args.tokenizer, "--tokenizer")
        try:
            explained = explain_text(model, text, tokenizer, **options)
        except (InputError, InputTypeError) as error:
            raise UsageError(str(error)) from error
        if args.out is not None:
            self.shell.user_ns[args.out] = explained
        if args.save is not None:
            _save(explained.pieces(), Path(args.save).expanduser(), args)
        view = self._view(args)
        if view == "widget" and not args.quiet:
            return explained  # which shows itself
        if view != "none" and not args.quiet and not silent:
            _show(explained.pieces(), args, view)
        return None  # it would show itself once more; -o keeps it

    @no_var_expand
    @line_magic
    def ig_config(self, line: str) -> None:
        """Set what ``%ig_explain`` takes where its line says nothing.

        ``%ig_config tol=1e-3 view=static palette=red-blue`` changes settings, ``%ig_config reset`` forgets them.
        """
        self._config.change(line)
        sys.stdout.write(f"{self._config}\n")

    @no_var_expand
    @needs_local_scope
    @line_magic
    def ig_compare(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        """Show two explanations side by side, on one scale: ``%ig_compare A B``."""
        scope, words = Scope(self.shell, local_ns or {}), line.split()
        if len(words) != 2:
            raise UsageError(f"expected %ig_compare A B: two explanations; got {line.strip() or 'neither'}")
        one, other = (_as_shown(scope.evaluate(word, "%ig_compare")) for word in words)
        for word, value in zip(words, (one, other), strict=True):
            if not isinstance(value, Explanation):
                raise UsageError(f"expected {word} to be an Explanation; got {type(value).__name__}")
        if live():
            display_widget(one.compare(other, (words[0], words[1])))
        else:
            for each in (one, other):
                display({"text/plain": show(each, "text"), "text/html": show(each, "html")}, raw=True)

    def attach(self) -> None:
        """Add the completion, and show a result only once in the cell that made it."""
        self._completion.attach()
        self.shell.display_formatter.mimebundle_formatter.for_type(Explanation, self._bundle)
        self.shell.display_formatter.ipython_display_formatter.for_type(Explanation, self._display)

    def detach(self) -> None:
        """Undo `attach`."""
        self._completion.detach()
        formatters = self.shell.display_formatter
        for formatter, added in (
            (formatters.mimebundle_formatter, self._bundle),
            (formatters.ipython_display_formatter, self._display),
        ):
            if formatter.type_printers.get(Explanation) == added:
                formatter.pop(Explanation)

    @property
    def parser(self) -> argparse.ArgumentParser:
        """The options of the magic."""
        parser: argparse.ArgumentParser = type(self).ig_explain.parser
        return parser

    def _parse(self, line: str) -> argparse.Namespace:
        try:
            args: argparse.Namespace = parse_argstring(self.ig_explain, line)
        except UsageError as error:
            raise UsageError(f"{error}{self._nearest_option(line)}") from error
        self._config.fill(args)
        for name in ("method", "kind", "save", "out", "steps"):
            word = getattr(args, name)
            setattr(args, name, None if word is None else unquote(word))
        return args

    def _nearest_option(self, line: str) -> str:
        known = [option for action in self.parser._actions for option in action.option_strings]
        for word in line.split():
            if word.startswith("--") and word.split("=")[0] not in known:
                near = difflib.get_close_matches(word.split("=")[0], known, n=1)
                return f". Did you mean {near[0]!r}?" if near else f". Known: {', '.join(known)}"
        return ""

    def _view(self, args: argparse.Namespace) -> str:
        return str(args.view or self._config["view"])

    def _hand_out(self, explanation: Explanation, args: argparse.Namespace, silent: bool, as_widget: bool) -> None:
        if args.out is not None:
            self.shell.user_ns[args.out] = explanation
        if args.save is not None:
            _save(explanation, Path(args.save).expanduser(), args)
        self._live = as_widget and args.kind == "auto" and not silent and not args.quiet
        if not silent and not args.quiet and self._view(args) != "none":
            if self._live:
                display_live(explanation, view=self._config.view(args.top))
            else:
                _show(explanation, args, self._view(args))
        # Whatever was asked to be seen has been seen: the cell's own output stays short.
        self._shown = (weakref.ref(explanation), self.shell.execution_count)

    def _bundle(self, explanation: Explanation, include: Any = None, exclude: Any = None) -> dict[str, str]:
        if self._seen(explanation):
            text = repr(explanation).partition("\n")[0]
            return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        return explanation._repr_mimebundle_(include, exclude)

    def _display(self, explanation: Explanation) -> None:
        seen = self._seen(explanation)
        if seen and self._live:
            return  # the widget stands there already
        if seen or self._config["view"] != "widget":
            raise NotImplementedError  # IPython goes on to the bundle
        display_live(explanation, view=self._config.view())

    def _seen(self, explanation: Explanation) -> bool:
        if self._shown is None:
            return False
        shown, count = self._shown
        return shown() is explanation and count == self.shell.execution_count


def _as_shown(value: Any) -> Any:
    """Return the words of explained texts as an Explanation; anything else as it is."""
    texts = sys.modules.get("pyig.text.result")  # who has a TextExplanation has brought that room along
    if texts is None or not isinstance(value, texts.TextExplanation):
        return value
    from pyig.jupyter.texts import pieces_of

    return pieces_of(value)


def _written(args: argparse.Namespace) -> dict[str, str]:
    """Keep the words of those options that are expressions, as the user wrote them."""
    words = {"baselines": args.baseline, "layer": args.layer, "feature_names": args.names, "target": args.target}
    plain = (*BASELINES, "predicted", "top3")
    return {name: unquote(word) for name, word in words.items() if word is not None and unquote(word) not in plain}


def _options(args: argparse.Namespace, scope: Scope) -> dict[str, Any]:
    """Collect what the user gave; what was left out stays with pyig's own defaults."""
    given: dict[str, Any] = {}
    if args.target is not None:
        given["target"] = scope.evaluate_or_word(args.target, "--target")
    if args.contrast is not None:
        given["contrast"] = scope.evaluate(args.contrast, "--contrast")
    if args.baseline is not None:
        named = unquote(args.baseline) in BASELINES
        given["baselines"] = unquote(args.baseline) if named else scope.evaluate_or_word(args.baseline, "--baseline")
    if args.layer is not None:
        layer = scope.evaluate_or_word(args.layer, "--layer")
        given["layer"] = str(layer) if isinstance(layer, int) else layer  # modules in a row are named "0", "1", ...
    if args.float64:
        given[FLOAT64] = True
    if args.names is not None:
        given["feature_names"] = read_names(scope, args.names)
    if args.steps is not None and read_steps(args.steps) is not None:
        given["n_steps"] = read_steps(args.steps)
    given |= {name: value for name, value in (("rtol", args.tol), ("method", args.method)) if value is not None}
    return given


def _explain(model: Any, x: Any, options: dict[str, Any], words: dict[str, str]) -> Explanation:
    """Explain; an input that the model refuses is tried as one sample, and the first error stands if that fails."""
    if getattr(x, "ndim", None) == 1 and hasattr(x, "to_frame"):
        x = x.to_frame().T  # a row of a DataFrame: one sample with its names
    explainer = IntegratedGradients(model)

    def ask(leaves: Any) -> Explanation:
        return Origin(explainer, leaves, options).explain()

    try:
        explanation = ask(x)
    except Exception as refused:
        if isinstance(refused, PyigError) and not isinstance(refused, ModelError):
            raise  # about an option, which another axis would not mend
        try:
            one = tree.tree_map(lambda leaf: leaf[None], x)
            explanation = ask(one)
        except Exception:
            raise refused from None
        notes = [*explanation.meta.get("notes", []), "the input was taken as one sample: a batch axis was added"]
        explanation = replace(explanation, meta={**explanation.meta, "notes": notes})
        x, words = one, words | {"input": f"{words['input']}[None]"}
    remember(explanation, Origin(explainer, x, options, words))
    return explanation


def _show(explanation: Explanation, args: argparse.Namespace, view: str) -> None:
    top = {} if args.top is None else {"top": args.top}
    text = show(explanation, "text", **top)
    if view == "text" or args.kind == "text":
        sys.stdout.write(f"{text}\n")
    elif args.kind in ("auto", "html"):
        display({"text/plain": text, "text/html": show(explanation, "html", **top)}, raw=True)
    else:
        display(show(explanation, args.kind, **(top if args.kind == "bars" else {})))


def _save(explanation: Explanation, path: Path, args: argparse.Namespace) -> None:
    kind = args.kind if args.kind in VIEWS and args.kind not in ("text", "html") else "auto"
    writers = {
        ".npz": lambda: explanation.save(path),
        ".html": lambda: explanation.to_html(path),
        ".csv": lambda: explanation.to_frame().to_csv(path, index=False),
        **dict.fromkeys((".png", ".svg", ".pdf"), lambda: explanation.plot(kind).savefig(path, bbox_inches="tight")),
    }
    if path.suffix not in writers:
        raise UsageError(f"--save: expected a file ending in {', '.join(writers)}; got {path.name!r}")
    writers[path.suffix]()
