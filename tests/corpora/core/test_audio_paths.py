"""Relative paths of a manifest: the order of the places tried, and what the error lists."""

from pathlib import Path

import pytest

from inattention.corpora.core.audio_paths import AudioPaths, MissingAudioError
from inattention.corpora.errors import CorpusError
from recordings import write


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A folder of each kind, none of them inside another but for the manifest's."""
    places = {
        "manifest": tmp_path / "project/data/manifests",
        "working": tmp_path / "working",
        "root": tmp_path / "root",
        "parent": tmp_path / "project/data",
        "grandparent": tmp_path / "project",
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(places["working"])
    return places


def test_places_are_tried_in_the_documented_order(places: dict[str, Path]) -> None:
    for place in places.values():
        write(place / "wav/a.wav")
    for place in places.values():
        paths = AudioPaths(places["manifest"], places["root"])
        assert paths.find("wav/a.wav") == str(place / "wav/a.wav")
        (place / "wav/a.wav").unlink()


def test_the_error_lists_all_places_and_the_option(places: dict[str, Path]) -> None:
    with pytest.raises(MissingAudioError) as caught:
        AudioPaths(places["manifest"], places["root"]).find("wav/a.wav")
    message = str(caught.value)
    listed = [message.index(f"{place} (") for place in places.values()]
    assert listed == sorted(listed)
    assert "'wav/a.wav'" in message
    assert "--audio-root" in message


def test_absolute_paths_are_taken_as_they_are(places: dict[str, Path]) -> None:
    path = write(places["root"] / "a.wav")
    assert AudioPaths(places["manifest"]).find(str(path)) == str(path)
    write(places["manifest"] / "b.wav")
    with pytest.raises(MissingAudioError, match=r"'/b\.wav', which is an absolute path"):
        AudioPaths(places["manifest"]).find("/b.wav")


def test_links_and_paths_that_lead_upwards_are_followed(places: dict[str, Path]) -> None:
    path = write(places["root"] / "a.wav")
    (places["manifest"] / "link.wav").symlink_to(path)
    for name in ("link.wav", "../../../root/a.wav"):
        assert AudioPaths(places["manifest"]).find(name) == str(path)


@pytest.mark.parametrize("name", ["https://x.org/a.wav", "pipe:ls", "", None, 7, "a\0b", "x" * 5000, "\udcff"])
def test_what_is_no_path_of_a_file_is_refused(places: dict[str, Path], name: object) -> None:
    with pytest.raises(CorpusError):
        AudioPaths(places["manifest"]).find(name)


def test_folders_and_pipes_are_no_audio(places: dict[str, Path]) -> None:
    import os

    os.mkfifo(places["manifest"] / "pipe.wav")
    (places["manifest"] / "folder.wav").mkdir()
    for name in ("pipe.wav", "folder.wav"):
        with pytest.raises(MissingAudioError, match="is no plain file"):
            AudioPaths(places["manifest"]).find(name)
