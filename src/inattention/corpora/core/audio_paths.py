"""Audio files that a manifest names: where relative paths begin.

A manifest is often written with paths relative to the folder in which its tool was run, which the manifest does not
record. The path of a manifest decides what is read, never what is written.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inattention.corpora.core.cut_files import safe_path
from inattention.corpora.errors import CorpusError

FOLDERS_ABOVE = 3  # Kaldi's data/local/train and lhotse's data/manifests are at most so deep in their project


class MissingAudioError(CorpusError):
    """Audio that a manifest names and that is in none of the places tried, which the message lists."""

    category = "audio not found"


@dataclass(frozen=True)
class AudioPaths:
    """The places where the relative paths of a manifest may begin, in the order in which they are tried.

    The manifest's folder, the working folder, `audio_root`, then the folders above the manifest, the nearest first.

    Attributes:
        manifest_folder: The folder of the manifest.
        audio_root: What the user names with `--audio-root`.
        places: Folders with the description that an error message has.
    """

    manifest_folder: Path
    audio_root: Path | None = None
    places: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        here = Path(os.path.abspath(self.manifest_folder))
        places = {str(here): "the manifest's folder"}
        places.setdefault(os.getcwd(), "the working folder")
        if self.audio_root is not None:
            places.setdefault(os.path.abspath(self.audio_root.expanduser()), "--audio-root")
        for above in here.parents[:FOLDERS_ABOVE]:
            places.setdefault(str(above), "above the manifest")
        object.__setattr__(self, "places", places)

    def find(self, name: Any) -> str:
        """Return the absolute path of an audio file, with all links resolved.

        Args:
            name: A path as the manifest has it; absolute paths are taken as they are.

        Raises:
            MissingAudioError: There is no such file in any of the places.
            CorpusError: It is no path of a file, but an address, a command or no text.
        """
        path = safe_path(name, None)
        for place in self.places if not os.path.isabs(path) else ("/",):
            found = os.path.join(place, path)
            if os.path.isfile(found):
                return os.path.realpath(found)
        shown = repr(path[:200])
        if os.path.exists(os.path.join(next(iter(self.places)), path)):
            raise MissingAudioError(f"its audio {shown} is no plain file")
        if os.path.isabs(path):
            raise MissingAudioError(f"there is no audio file {shown}, which is an absolute path")
        tried = ", ".join(f"{place} ({words})" for place, words in self.places.items())
        raise MissingAudioError(
            f"there is no audio file {shown}: tried {tried}; name the folder where it begins with --audio-root"
        )
