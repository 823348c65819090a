"""The archive is found, or downloaded by apt, or the user is told what to do."""

import pytest

from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.queen import fetch
from inattention.corpora.readers.queen.fetch import find_archive


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"there is no such file; give the path of the game's queen\.1c"):
        find_archive(tmp_path / "nowhere.1c")
    with pytest.raises(CorpusError, match=r"queen\.1c"):
        find_archive(tmp_path)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine where the game is not installed and nothing is cached."""
    monkeypatch.setattr(fetch, "_INSTALLED", tmp_path / "not-installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_without_apt_the_user_is_asked_for_the_archive(bare, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "which", lambda _: None)
    with pytest.raises(CorpusError, match=r"apt-get is missing\): give the path of your copy with --archive"):
        find_archive(None)


def test_apt_that_fails_says_why(bare, monkeypatch):
    tools = bare / "bin"
    tools.mkdir()
    for tool in ("apt-get", "dpkg-deb"):
        (tools / tool).write_text("#!/bin/sh\necho 'E: no network here' >&2\nexit 100\n")
        (tools / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin")
    with pytest.raises(CorpusError, match=r"apt-get download .* failed \(E: no network here\): give the path"):
        find_archive(None)
    assert not list((bare / "cache").rglob("queen.1c"))


def test_what_apt_downloads_is_unpacked_once_and_kept(bare, monkeypatch):
    archive = bare / "original"
    archive.write_bytes(b"QTBL")
    tools = bare / "bin"
    tools.mkdir()
    (tools / "apt-get").write_text("#!/bin/sh\n: > game.deb\n")
    (tools / "dpkg-deb").write_text(f"#!/bin/sh\nmkdir -p $3/usr/share\ncp '{archive}' $3/usr/share/queen.1c\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin")
    path = find_archive(None)
    assert path.read_bytes() == archive.read_bytes()
    assert path.is_relative_to(bare / "cache")
    assert [item.name for item in path.parent.iterdir()] == ["queen.1c"]
    for tool in tools.iterdir():
        tool.unlink()
    assert find_archive(None) == path
