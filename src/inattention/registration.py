"""Registration with the auto classes of `transformers`, as soon as these are imported and not before.

`import inattention` stays quick, and does not import `transformers`. Whichever of both is imported first, the auto
classes know our models once they can be used: what is registered (`inattention.model.auto`, and converted encoders in
`inattention.encoders.converted`) is imported right after the modules that hold the auto classes: the first use of any
of them also imports PyTorch and the six families of encoders that can be converted.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO = "transformers.models.auto."
_WATCHED = tuple(_AUTO + name for name in ("configuration_auto", "modeling_auto", "feature_extraction_auto"))
_MODULES = ("inattention.model.auto", "inattention.encoders.converted")


class _Registering(Loader):
    """Loads a module of auto classes as before, and then registers ours.

    Such modules import each other, so registration waits until none is half imported.
    """

    depth = 0
    done = False

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave this to the usual loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import the module, and register."""
        _Registering.depth += 1
        try:
            self.loader.exec_module(module)
        finally:
            _Registering.depth -= 1
            if module.__spec__ is not None:
                module.__spec__.loader = module.__loader__ = self.loader
        if not _Registering.depth:
            _register()


class _Finder(MetaPathFinder):
    """Finds the modules of auto classes before others do."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the usual spec of a module of auto classes, with a loader that registers; None for all others."""
        if fullname not in _WATCHED:
            return None
        others = (it.find_spec(fullname, path, target) for it in sys.meta_path if it is not self)
        spec = next((it for it in others if it is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


def _register() -> None:
    if _Registering.done:
        return
    _Registering.done = True  # before the imports, which import auto classes too
    try:
        for name in _MODULES:
            import_module(name)
    except Exception as error:  # a version of transformers that we do not know must still be usable
        warnings.warn(
            f"inattention's models are unknown to the auto classes of transformers: {error}; "
            "inattention.from_pretrained loads both kinds",
            RuntimeWarning,
            stacklevel=2,
        )


def register_with_transformers() -> None:
    """Register our models with the auto classes of `transformers`: now if they are imported, or when they are."""
    if any(isinstance(it, _Finder) for it in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    if any(name in sys.modules for name in _WATCHED):
        _register()
