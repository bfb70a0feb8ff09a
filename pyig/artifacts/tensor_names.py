"""Find a tensor by what people write for its name: whole, without ``:0``, its end, or the layer that makes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from pyig.errors import InputError

_SHOWN = 12


def find(
    name: str,
    known: Sequence[str],
    aliases: Mapping[str, str],
    leaving: Callable[[str], list[str]],
    what: str,
) -> str:
    """Return the full name of the one tensor that `name` means.

    Parameters
    ----------
    name : str
        As written.
    known : sequence of str
        Full names, such as ``"model/emb_1/GatherV2:0"``; the ones that are worth proposing first.
    aliases : dict
        Other names of some of them, such as the keys of a signature.
    leaving : callable
        ``leaving(scope)`` gives the tensors of a layer's scope that are used outside it.
    what : str
        What is looked for, for the message: ``"output"``.

    Raises
    ------
    InputError
        When no tensor, or more than one, is meant; it lists the near ones.
    """
    if name in aliases:
        return aliases[name]
    everything = set(known)
    for whole in (name, f"{name}:0"):
        if whole in everything:
            return whole
    ends = tuple(f"/{end}" for end in (name, f"{name}:0"))
    exact = [full for full in known if full.endswith(ends)]
    for found in (exact, _by_numbered_end(name, known), _by_layer(name, known, leaving)):
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"expected one tensor for {what}; {name!r} may mean {len(found)} of them. Write one in full: "
                f"{', '.join(found[:_SHOWN])}"
            )
    raise InputError(f"no tensor {name!r} for {what}; {_near(name, [*aliases, *known])}")


def _by_numbered_end(name: str, known: Sequence[str]) -> list[str]:
    """Return names with this end, whose layers have got a number: ``emb/GatherV2`` for ``model/emb_1/GatherV2:0``."""
    *layers, operation = name.removesuffix(":0").split("/")
    path = "".join(re.escape(layer) + r"(_\d+)?/" for layer in layers)
    pattern = re.compile(rf"(.*/)?{path}{re.escape(operation)}:0")
    return [full for full in known if pattern.fullmatch(full)]


def _by_layer(name: str, known: Sequence[str], leaving: Callable[[str], list[str]]) -> list[str]:
    """Return what leaves the layers of that name; Keras numbers a layer's scope when it traces the model again."""
    scopes: dict[str, list[str]] = {"exact": [], "numbered": []}
    numbered = re.compile(re.escape(name.strip("/")) + r"_\d+")
    for full in known:
        parts = full.partition(":")[0].split("/")
        for end, part in enumerate(parts, start=1):
            kind = "exact" if part == name.strip("/") else "numbered" if numbered.fullmatch(part) else None
            if kind is not None:
                scope = "/".join(parts[:end])
                if scope not in scopes[kind]:
                    scopes[kind].append(scope)
    return list(dict.fromkeys(tensor for scope in [*scopes["exact"], *scopes["numbered"]] for tensor in leaving(scope)))


def _near(name: str, known: Sequence[str]) -> str:
    parts = {part: full for full in known for part in full.partition(":")[0].split("/")}  # the last of a layer stays
    close = [*difflib.get_close_matches(name, known, n=4, cutoff=0.5)]
    close += [parts[end] for end in difflib.get_close_matches(name.partition(":")[0], list(parts), n=4, cutoff=0.5)]
    close += [full for full in known if name.lower() in full.lower()][:4]
    close = list(dict.fromkeys(close))
    if close:
        return f"near: {', '.join(close)}"
    return f"there are: {', '.join(known[:_SHOWN])}{', ...' if len(known) > _SHOWN else ''}"
