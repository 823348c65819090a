"""Registration with the auto classes of `transformers`, when one of them first meets a model of ours.

`import inattention` stays quick and imports no `transformers`, and `transformers` imports nothing of ours. Whichever of
both is imported first, the tables in which auto classes look up the types of configs and feature extractors are
replaced by ones that import `inattention.model.auto` and `inattention.encoders.converted` (which register all classes)
when a name of ours is asked for.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO = "transformers.models.auto."
# The tables, by module. What `register` of an auto class was given is in their `_extra_content`.
_TABLES = {
    _AUTO + "configuration_auto": "CONFIG_MAPPING",
    _AUTO + "feature_extraction_auto": "FEATURE_EXTRACTOR_MAPPING",
}
_MODULES = ("inattention.model.auto", "inattention.encoders.converted")
_PREFIX = "inattention"  # of our types of models


def _is_name_of_ours(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(_PREFIX)


class _Registered(dict):
    """Classes that were registered with an auto class; ours are, when one of them is first asked for."""

    def __contains__(self, key: Any) -> bool:
        if _is_name_of_ours(key):
            _register()
        return super().__contains__(key)

    def __getitem__(self, key: Any) -> Any:
        if _is_name_of_ours(key):
            _register()
        return super().__getitem__(key)

    def values(self) -> Any:
        """Return all classes: a feature extractor is looked for by the name of its class."""
        _register()
        return super().values()


class _Watching(Loader):
    """Loads a module as before, and then replaces its table."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave this to the usual loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import the module, and replace its table."""
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _replace_table(module)


class _Finder(MetaPathFinder):
    """Finds the modules of tables before others do."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the usual spec of a module with a table, with a loader that replaces it; None for all others."""
        if fullname not in _TABLES:
            return None
        others = (it.find_spec(fullname, path, target) for it in sys.meta_path if it is not self)
        spec = next((it for it in others if it is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Watching(spec.loader)
        return spec


def _replace_table(module: ModuleType) -> None:
    table: Any = getattr(module, _TABLES[module.__name__], None)
    if isinstance(registered := getattr(table, "_extra_content", None), Mapping):
        table._extra_content = _Registered(registered)


def _register() -> None:
    for name in _MODULES:
        if name not in sys.modules:  # while one is imported, it registers itself
            import_module(name)


def register_with_transformers() -> None:
    """Let the auto classes of `transformers` find our models, those of modules that are imported already included."""
    if any(isinstance(it, _Finder) for it in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name in _TABLES:
        if name in sys.modules:
            _replace_table(sys.modules[name])
