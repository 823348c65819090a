"""Audio is stored once, whole, under the name of its content."""

from pathlib import Path

from inattention.corpora.readers.stored_audio import audio_digest, store_audio


def test_audio_is_written_once_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = f"audio/ab/{audio_digest(b'one')}"
    store_audio(tmp_path, path, b"one")
    store_audio(tmp_path, path, b"two")  # an interrupted run has written it already
    assert [p.read_bytes() for p in (tmp_path / "audio/ab").iterdir()] == [b"one"]
    assert audio_digest(b"one") != audio_digest(b"two")
