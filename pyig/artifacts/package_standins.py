"""Modules that packages in the wild import and that are gone, or no longer run: stand-ins of our own for each.

They are put in place while a package's code runs (`package_loading`), and nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

_OLD_WRAPPER = re.compile(r"tf\.Session\(|saved_model\.loader\b")
_TENSORFLOW = re.compile(r"^\s*(?:import|from)\s+tensorflow\b", re.MULTILINE)
_WRAPPERS = ("tf_saved_model_wrapper", "tf_saved_model_wrapper_ig")


def modules(folder: Path, parent: str) -> dict[str, ModuleType]:
    """Return the stand-ins for a package by module name; `parent` is the name under which the package runs.

    A helper of the package's own is left alone, unless it is the TF1 wrapper with sessions, which cannot run.
    """
    from pyig.artifacts import package_gem, package_helpers, package_template, package_wrapper

    found: dict[str, ModuleType] = {}
    contents: dict[str, dict[str, Any]] = {
        "tf_saved_model_wrapper": {"TFSavedModelWrapper": package_wrapper.TFSavedModelWrapper},
        "tf_saved_model_wrapper_ig": {
            "TFSavedModelWrapperIg": package_wrapper.TFSavedModelWrapperIg,
            "TFSavedModelWrapper": package_wrapper.TFSavedModelWrapper,
        },
        "GEM": _public(package_gem),
    }
    for name, content in contents.items():
        own = folder / f"{name}.py"
        if own.exists() and not (name in _WRAPPERS and _mentions(own, _OLD_WRAPPER)):
            continue
        found[name] = found[f"{parent}.{name}"] = _module(name, content)
    found |= _fiddler(package_gem, package_helpers, package_template)
    if any(_mentions(path, _TENSORFLOW) for path in folder.glob("*.py")):
        from pyig.artifacts import package_tensorflow

        found |= package_tensorflow.modules(folder)
    return found


def _fiddler(gem: ModuleType, helpers: ModuleType, template: ModuleType) -> dict[str, ModuleType]:
    parts = {
        "gem": _module("fiddler.packtools.gem", _public(gem)),
        "project_attributions_helpers": _module("fiddler.packtools.project_attributions_helpers", _public(helpers)),
        "template_model": _module(
            "fiddler.packtools.template_model", {"TemplateKerasTF2Model": template.TemplateKerasTF2Model}
        ),
        "keras_ig_helpers": _module(
            "fiddler.packtools.keras_ig_helpers", {"ComputeGradientsKerasTF2": template.ComputeGradientsKerasTF2}
        ),
    }
    packtools = _module("fiddler.packtools", dict(parts))
    top = _module("fiddler", {"packtools": packtools, "gem": parts["gem"]})
    packtools.__path__, top.__path__ = [], []  # packages, with nothing to find in a folder
    found = {f"fiddler.packtools.{name}": module for name, module in parts.items()}
    return found | {"fiddler": top, "fiddler.packtools": packtools, "fiddler.gem": parts["gem"]}


def _module(name: str, content: dict[str, Any]) -> ModuleType:
    module = ModuleType(name, f"Stand-in for {name} of pyig.")
    module.__dict__.update(content)

    def absent(attribute: str) -> Any:
        raise AttributeError(
            f"{name}.{attribute} is not in the stand-in that pyig has for {name}; it has {', '.join(sorted(content))}"
        )

    module.__dict__["__getattr__"] = absent
    return module


def _public(module: ModuleType) -> dict[str, Any]:
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    return {name: value for name, value in own.items() if not name.startswith("_")}


def _mentions(path: Path, pattern: re.Pattern[str]) -> bool:
    try:
        return bool(pattern.search(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False
