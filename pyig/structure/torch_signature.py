"""The parts of a torch module, and whether they are what they were: their numbers, switches and hooks."""

from __future__ import annotations

import torch


def signature(model: object) -> tuple[object, ...] | None:
    """Return what changes with the structure of a module and not with its weights; None for what is no module.

    Examples
    --------
    >>> layer = torch.nn.Dropout(0.1)
    >>> before = signature(layer)
    >>> layer.p = 0.2
    >>> signature(layer) == before
    False
    """
    if not isinstance(model, torch.nn.Module):
        return None
    return tuple(_of(module) for module in model.modules())


def layers_in(model: object) -> list[torch.nn.Module]:
    """Return the modules that have none inside; none of what is no module."""
    return [m for m in model.modules() if not list(m.children())] if isinstance(model, torch.nn.Module) else []


def _of(module: torch.nn.Module) -> tuple[object, ...]:
    found: list[object] = [id(module), type(module)]
    for name, value in vars(module).items():
        if isinstance(value, dict):  # children, parameters, buffers, hooks: most are empty
            if value:
                found.append((name, tuple(value), tuple(map(id, value.values()))))
        elif isinstance(value, tuple):
            found.append((name, repr(value)))
        else:
            found.append((name, value if isinstance(value, (bool, int, float, str)) else id(value)))
    return tuple(found)
