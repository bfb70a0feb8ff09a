"""Models on disk: a path in, something that can be explained out.

Opening never runs code from the file unless ``trust=True`` says that its origin is trusted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyig.artifacts.artifact import Artifact as Artifact
from pyig.artifacts.artifact import Problem as Problem
from pyig.artifacts.package import ModelPackage as ModelPackage
from pyig.artifacts.schema import DatasetSchema as DatasetSchema
from pyig.artifacts.schema_model import ModelSchema as ModelSchema
from pyig.errors import InputError, MissingPackageError, unknown
from pyig.registry import Registry

# Asked in this order: `recognises(path)` imports no framework, `open(path, *, trust, **options)` may; `options`, where
# an opener has them, are the names of those that it takes.
OPENERS = Registry(
    "artifact",
    {
        "package": "pyig.artifacts.package_file:PackageOpener",
        "metadata": "pyig.artifacts.metadata_model:MetadataOpener",
        "saved_model": "pyig.artifacts.saved_model:SavedModelOpener",
        "keras": "pyig.artifacts.keras_file:KerasOpener",
        "torch": "pyig.artifacts.torch_file:TorchOpener",
    },
    group="pyig.artifacts",
)


def load(path: str | os.PathLike[str], kind: str | None = None, *, trust: bool = False, **options: Any) -> Artifact:
    """Open a model on disk.

    Parameters
    ----------
    path : path
        A ``.keras`` or ``.h5`` file, a SavedModel directory (with or without ``explanation_metadata.json``), a
        directory with ``package.py``, or a torch file.
    kind : str, optional
        A row of `OPENERS`, where the path cannot tell.
    trust : bool, default False
        Allow code that comes with the artifact to run: ``package.py``, lambdas, pickles. Only for files whose origin
        is trusted as one's own code is.
    **options
        Passed to the opener, such as ``signature="serving_default"``.

    Raises
    ------
    InputError
        When nothing here can read the path, or its opener does not know an option.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(f"expected a file or directory; {str(place)!r} does not exist")
    names = list(OPENERS) if kind is None else [kind]
    for name in names:
        opener = OPENERS[name]
        if kind is not None or opener.recognises(place):
            known = getattr(opener, "options", options)
            for option in options:
                if option not in known:
                    raise unknown(f"{name} option", option, known)
            artifact: Artifact = opener.open(place, trust=trust, **options)
            return artifact
    raise InputError(
        f"expected a .keras, .h5, .pt2, .pt or .safetensors file, a SavedModel directory, or one with package.py; "
        f"got {str(place)!r}"
    )


def register_sdk() -> None:
    """Make ``explainable_ai_sdk.load_model_from_local_path`` run through pyig; the open SDK has no local model itself.

    Raises
    ------
    MissingPackageError
        When explainable-ai-sdk is not installed.

    Examples
    --------
    >>> import explainable_ai_sdk  # doctest: +SKIP
    >>> register_sdk()  # doctest: +SKIP
    >>> config = explainable_ai_sdk.IntegratedGradientsConfig(20)  # doctest: +SKIP
    >>> explainable_ai_sdk.load_model_from_local_path("model", config).explain([{"celsius": 3.0}])  # doctest: +SKIP
    """
    try:
        from pyig.artifacts import local_model
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("pyig"):
            raise
        raise MissingPackageError(
            f"register_sdk needs {error.name}; install the open SDK with: pip install --no-deps explainable-ai-sdk, "
            'and what it imports with: pip install "pyig-explain[tensorflow,plots]" google-auth requests pillow'
        ) from error
    local_model.register()
