"""``.keras`` and ``.h5`` files of Keras 3 and Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pyig.artifacts import keras_archive, keras_trust
from pyig.artifacts.keras_archive import Archive
from pyig.errors import MissingPackageError, ModelError, missing

if TYPE_CHECKING:
    from pyig.artifacts.named import NamedArtifact

_SUFFIXES = (".keras", ".h5", ".hdf5")
OPTIONS = ("layer", "encoded", "output", "columns", "output_names", "custom_objects")


class KerasOpener:
    """Opens Keras model files for `pyig.artifacts.load`."""

    options = OPTIONS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell by the end of the name."""
        return path.suffix.lower() in _SUFFIXES and path.is_file()

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> NamedArtifact:
        """Open a file with the Keras that it was written for.

        Parameters
        ----------
        path : Path
        trust : bool
            Let the file run the code that it holds: lambdas, and classes of modules that are imported for it.
        layer : str, optional
            The layer whose output stands for the input in front of it, such as the Embedding of token ids.
        encoded : dict of str, optional
            Layers by input name, where several inputs need one.
        output : str, optional
            Which output, where there are several.
        columns, output_names
            As for `NamedArtifact`.
        custom_objects : dict, optional
            Classes and functions of your own that the model is made of, by name.

        Raises
        ------
        InputError
            When the file is damaged, or holds code and is not trusted.
        MissingPackageError
            When it takes a package that is not installed.
        """
        from pyig.artifacts.keras_call import KerasCall
        from pyig.artifacts.keras_source import KerasSource
        from pyig.artifacts.named import NamedArtifact

        archive = keras_archive.read(path)
        known = dict(options.get("custom_objects") or {})
        if not trust:
            keras_trust.check(archive, path, known)
        library, notes = _library(archive, path)
        model = _load(library, archive, path, trust, known)
        about = {
            "format": f".{archive.format}",
            "written_by": f"Keras {archive.version or '1'}",
            "read_by": f"{library.__name__} {library.__version__}",
        }
        asked = {name: options.get(name) for name in ("layer", "encoded", "output")}
        source = KerasSource(KerasCall(model, archive.config), about, **asked, notes=notes)
        return NamedArtifact("keras", path, source, options.get("columns"), options.get("output_names"))


def _library(archive: Archive, path: Path) -> tuple[ModuleType, tuple[str, ...]]:
    """Return the Keras that reads the file as it was meant, and what to know where another one does."""
    if archive.legacy:
        try:
            import tf_keras
        except ModuleNotFoundError:
            if archive.format == "keras":
                raise MissingPackageError(
                    f"{str(path)!r} was written by Keras {archive.version}, whose .keras files Keras 3 does not read; "
                    "install Keras 2 beside it with: pip install tf-keras"
                ) from None
        else:
            return tf_keras, ()
    try:
        import keras
    except ModuleNotFoundError as error:
        raise missing("keras", f"a .{archive.format} file", "tensorflow") from error
    notes = (f"written by Keras {archive.version or '1'} and read by Keras 3; pip install tf-keras reads it exactly",)
    return keras, notes if archive.legacy else ()


def _load(library: ModuleType, archive: Archive, path: Path, trust: bool, known: Mapping[str, Any]) -> Any:
    try:
        return library.models.load_model(str(path), custom_objects=dict(known), compile=False, safe_mode=not trust)
    except Exception as error:  # Keras raises whatever the missing or damaged piece happens to cause
        said = " ".join(str(error).split())[:300]
        raise ModelError(
            f"expected a model that {library.__name__} {library.__version__} can load; {str(path)!r}, written by Keras "
            f"{archive.version or '1'}, cannot be: {said}. Classes and functions of your own go into custom_objects="
        ) from error
