"""The audio files below a folder, and what is beside them."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from inattention.audio.decoding import AudioError
from inattention.audio.limits import SUFFIXES
from inattention.audio.recognition import litter_folder, recognise
from inattention.text import printable

NO_PLAIN_FILE = "is no plain file"


@dataclass
class Listing:
    """Contents of a folder.

    Attributes:
        files: Audio, sorted.
        bad: What is named like audio or a folder of it and cannot be read, with the reason, sorted.
        ignored: Number of the files that are audio of an unknown format or known litter, by a description of them.
    """

    files: list[Path] = field(default_factory=list)
    bad: dict[Path, str] = field(default_factory=dict)
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
        AudioError: There is no such folder or file, or it is something else, such as a pipe.
    """
    place = Path(place)
    if place.is_file():
        return Listing([place])
    if not place.is_dir():
        raise AudioError(f"{place}: {_no_file(place) or 'there is no such folder or file'}")
    found = Listing()

    def unreadable(error: OSError) -> None:
        found.bad[Path(os.fsdecode(error.filename))] = f"the folder cannot be read ({error.strerror})"

    for folder, folders, names in os.walk(place, onerror=unreadable):
        for name in list(folders):
            if what := litter_folder(name):
                folders.remove(name)
                found.ignored[f"file in a {what}"] += sum(len(inner) for _, _, inner in os.walk(Path(folder, name)))
        for name in names:
            _sort(found, Path(folder, name))
    found.files.sort()
    found.bad = dict(sorted(found.bad.items()))
    return found


def _no_file(path: Path) -> str:
    """Return why something that exists is no file; an empty text if nothing is there."""
    if path.exists():
        return NO_PLAIN_FILE
    return f"is a link to {printable(os.readlink(path))}, which does not exist" if path.is_symlink() else ""


def _sort(found: Listing, path: Path) -> None:
    try:
        if not path.is_file():
            if path.suffix.lower() in SUFFIXES and (reason := _no_file(path)):
                found.bad[path] = reason
            return
        known = recognise(path, path.stat().st_size)
    except OSError:  # deleted since the folder was listed
        return
    if known.kind == "audio":
        found.files.append(path)
    elif known.kind != "other":
        found.ignored[known.category] += 1
