"""Audio files that a reader writes into the corpus as they are, named by their content."""

import hashlib
from pathlib import Path

from inattention.files import write_bytes


def audio_digest(audio: bytes) -> str:
    """Return a name for a file with this content: 24 hex digits of its SHA-256."""
    return hashlib.sha256(audio).hexdigest()[:24]


def store_audio(folder: Path, path: str, audio: bytes) -> None:
    """Write a file of encoded audio into the corpus, unless an earlier, interrupted run has written it.

    Args:
        folder: Of the corpus.
        path: Relative to the corpus.
        audio: The content.
    """
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        write_bytes(place, audio)
