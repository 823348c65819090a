"""Put the reader of audio into the wheel: the same code as in inattention, so that both refuse the same files."""

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "inattention_runtime"
MODULES = (
    "__init__.py",
    "text.py",
    "audio/__init__.py",
    "audio/decoding.py",
    "audio/feature_stream.py",
    "audio/limits.py",
    "audio/listing.py",
    "audio/recognition.py",
    "audio/spans.py",
    "audio/streaming.py",
)
FOLDERS = ("audio/containers",)
SHAPES = "from jaxtyping import Float"  # annotations are not checked in a runtime


class CustomBuildHook(BuildHookInterface):
    """Copy modules of inattention under names of this package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the copies to the files of the wheel."""
        source = Path(self.root).parent / "src" / "inattention"
        if not (source / "audio" / "decoding.py").is_file():
            raise FileNotFoundError(f"{source}: build inattention-runtime in a checkout of inattention's repository")
        self._copies = tempfile.TemporaryDirectory()
        names = [*MODULES, *(str(it.relative_to(source)) for name in FOLDERS for it in (source / name).glob("*.py"))]
        for name in names:
            target = Path(self._copies.name, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renamed(name, (source / name).read_text(encoding="utf-8")), encoding="utf-8")
            build_data["force_include"][str(target)] = f"{PACKAGE}/_reader/{name}"


def renamed(name: str, text: str) -> str:
    """Return a module's text with imports from the copies."""
    if name == "__init__.py":
        return '"""Copies of the modules of inattention that read audio."""\n'
    text = text.replace("from inattention.", f"from {PACKAGE}._reader.")
    return text.replace(SHAPES, f"from {PACKAGE}.shapes import Float")
