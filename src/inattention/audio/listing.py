"""The audio files below a folder, and what is beside them."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from inattention.audio.decoding import AudioError
from inattention.audio.recognition import litter_folder, recognise


@dataclass
class Listing:
    """What a folder contains.

    Attributes:
        files: Audio, sorted.
        ignored: Number of the files that are audio of an unknown format or known litter, by a description of them.
    """

    files: list[Path] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def audio_files(place: str | Path) -> list[Path]:
    """List the audio files below a folder, recognised by their content, sorted; see `list_audio`.

    Raises:
        AudioError: There is no such folder or file.
    """
    return list_audio(place).files


def list_audio(place: str | Path) -> Listing:
    """List the audio files below a folder, recognised by their content; links to folders are not followed.

    Args:
        place: A folder, or a single file, which is listed whatever it contains.

    Raises:
        AudioError: There is no such folder or file.
    """
    place = Path(place)
    if place.is_file():
        return Listing([place])
    if not place.is_dir():
        raise AudioError(f"{place}: there is no such folder or file")
    found = Listing()
    for folder, folders, names in os.walk(place):
        for name in list(folders):
            if what := litter_folder(name):
                folders.remove(name)
                found.ignored[f"file in a {what}"] += sum(len(inner) for _, _, inner in os.walk(Path(folder, name)))
        for name in names:
            _sort(found, Path(folder, name))
    found.files.sort()
    return found


def _sort(found: Listing, path: Path) -> None:
    try:
        if not path.is_file():
            return
        known = recognise(path, path.stat().st_size)
    except OSError:  # deleted since the folder was listed
        return
    if known.kind == "audio":
        found.files.append(path)
    elif known.kind != "other":
        found.ignored[known.category] += 1
