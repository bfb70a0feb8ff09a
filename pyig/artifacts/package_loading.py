"""Runs a `package.py`: under a name of its own, beside its own modules, with stand-ins for modules that are gone.

What a package brings in (its folder on ``sys.path``, its modules, the stand-ins) is there while its code runs and taken
away afterwards, so that two packages with modules of the same names do not meet, and nothing outside sees a stand-in.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import itertools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pyig.artifacts import package_standins
from pyig.errors import InputError, ModelError, PyigError

FILE = "package.py"
FACTORY = "get_model"
_numbers = itertools.count(1)
_lock = threading.RLock()  # sys.path and sys.modules belong to the whole process


class Loaded:
    """A package whose code may run.

    Attributes
    ----------
    path : Path
        Its folder.
    model : object
        What its `get_model()` returned.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._name = f"_pyig_package_{next(_numbers)}"
        self._modules: dict[str, ModuleType] = package_standins.modules(self.path, self._name)
        root = ModuleType(self._name)
        root.__path__ = [str(self.path)]
        self._modules[self._name] = root
        with self.running(FILE):
            self.model = self._start()

    @contextlib.contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Let the package's own code run; whatever it raises is a `ModelError` that names the package and the method.

        Prints of the package go to stderr: stdout is the caller's.
        """
        with _lock, contextlib.redirect_stdout(sys.stderr):
            before, path, writes = dict(sys.modules), list(sys.path), sys.dont_write_bytecode
            sys.dont_write_bytecode = True  # the folder stays as it is, and a file changed at once is read again
            sys.modules.update(self._modules)
            sys.path.insert(0, str(self.path))
            try:
                yield
            except (PyigError, MemoryError):  # of memory, whoever calls may ask for less at a time
                raise
            except (Exception, SystemExit) as error:  # the package is anybody's code
                raise ModelError(f"{what} of {str(self.path)!r} raised {type(error).__name__}: {error}") from error
            finally:
                sys.path[:], sys.dont_write_bytecode = path, writes
                self._put_back(before)

    def _start(self) -> Any:
        name = f"{self._name}.package"
        spec = importlib.util.spec_from_file_location(name, self.path / FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        factory = getattr(module, FACTORY, None)
        if not callable(factory):
            raise InputError(
                f"expected {str(self.path / FILE)!r} to define {FACTORY}(); it has none. Define a function "
                f"{FACTORY}() that returns the model"
            )
        return factory()

    def _put_back(self, before: dict[str, ModuleType]) -> None:
        """Keep the package's own modules for its next run, and leave `sys.modules` without them."""
        for name, module in list(sys.modules.items()):
            if name in self._modules or (name not in before and self._owns(name, module)):
                self._modules[name] = module
                if name in before:
                    sys.modules[name] = before[name]
                else:
                    del sys.modules[name]

    def _owns(self, name: str, module: ModuleType) -> bool:
        if name == self._name or name.startswith((f"{self._name}.", "tensorflow.keras.")):
            return True  # below a stand-in for Keras, a module may be that of another Keras
        file = getattr(module, "__file__", None)
        return bool(file) and Path(str(file)).resolve().is_relative_to(self.path)
