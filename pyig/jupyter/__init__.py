"""The notebook front end: ``%load_ext pyig`` adds ``%ig_explain``; explanations have a live widget.

Loading costs little: no framework, no matplotlib and no widget is imported before something is explained.
"""

from __future__ import annotations

from typing import Any

from pyig.errors import missing

NAME = "IgMagics"


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to an IPython shell; a second call changes nothing."""
    if NAME in shell.magics_manager.registry:
        return
    from pyig.jupyter.magic import IgMagics

    magics = IgMagics(shell)
    shell.register_magics(magics)
    magics.attach()


def unload_ipython_extension(shell: Any) -> None:
    """Take away what `load_ipython_extension` added, and nothing else."""
    magics = shell.magics_manager.registry.pop(NAME, None)
    if magics is None:
        return
    magics.detach()
    for kind, names in magics.magics.items():
        for name in names:
            known = shell.magics_manager.magics[kind]
            if getattr(known.get(name), "__self__", None) is magics:
                del known[name]


def live_view(explanation: Any, model: Any = None, x: Any = None, **options: Any) -> Any:
    """See `Explanation.widget`."""
    _needs_anywidget("Explanation.widget")
    from pyig.jupyter.widget import widget as build

    return build(explanation, model, x, **options)


def live_comparison(one: Any, other: Any, labels: tuple[str, str] = ("A", "B")) -> Any:
    """See `Explanation.compare`."""
    _needs_anywidget("Explanation.compare")
    from pyig.jupyter.widget import compare as build

    return build(one, other, labels)


def live_texts(explained: Any) -> Any:
    """See `TextExplanation.widget`."""
    _needs_anywidget("TextExplanation.widget")
    from pyig.jupyter.texts import widget as build

    return build(explained)


def show_texts(explained: Any) -> Any:
    """Show texts as a notebook can: live, or else as IPython shows any object."""
    try:
        import anywidget  # noqa: F401
    except ImportError:
        raise NotImplementedError from None
    from pyig.jupyter.texts import show

    return show(explained)


def _needs_anywidget(feature: str) -> None:
    try:
        import anywidget  # noqa: F401
    except ImportError as error:
        raise missing("anywidget", feature, "notebook") from error
