"""Folders of small audio files, valid and broken, for the tests of corpora."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def noise(seconds: float = 0.5, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return noise at the level of speech."""
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).clip(-0.9, 0.9)


def write(path: Path, samples: np.ndarray | None = None, rate: int = RATE, **options: str) -> Path:
    """Write an audio file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(os.fsencode(path), noise() if samples is None else samples, rate, **options)  # ty: ignore
    return path


def people(folder: Path, names: Sequence[str] = ("ann", "bob"), each: int = 4) -> Path:
    """Write recordings of some people, enough for three splits."""
    for name in names:
        for number in range(each):
            write(folder / name / f"{number}.wav", noise(0.3, seed=number))
    return folder


def textgrid(phones: Sequence[tuple[str, float, float]], *, short: bool = False, tier: str = "phones") -> str:
    """Return phones in the format of Praat."""
    end = phones[-1][2]
    if short:
        rows = "\n".join(f'{a}\n{b}\n"{s}"' for s, a, b in phones)
        return (
            f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{end}\n<exists>\n1\n'
            f'"IntervalTier"\n"{tier}"\n0\n{end}\n{len(phones)}\n{rows}\n'
        )
    rows = "\n".join(
        f'        intervals [{i}]:\n            xmin = {a} \n            xmax = {b} \n            text = "{s}" '
        for i, (s, a, b) in enumerate(phones, 1)
    )
    return (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {end} \n'
        "tiers? <exists> \nsize = 1 \n"
        f'item []: \n    item [1]:\n        class = "IntervalTier" \n        name = "{tier}" \n        xmin = 0 \n'
        f"        xmax = {end} \n        intervals: size = {len(phones)} \n{rows}\n"
    )
