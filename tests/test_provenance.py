import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from inattention.provenance import _commit, provenance, versions


def test_provenance_is_plain_data_and_stays_the_same() -> None:
    assert json.loads(json.dumps(provenance())) == provenance()
    assert provenance()["packages"]["torch"] == version("torch")


def test_commit_is_that_of_the_checkout_that_tracks_the_package(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "other").touch()
    git("add", "other")
    git("commit", "--quiet", "-m", "other")
    assert _commit.__wrapped__(package) == (None, None)  # merely lies in somebody's repository
    git("add", ".")
    git("commit", "--quiet", "-m", "package")
    assert _commit.__wrapped__(package) == (git("rev-parse", "HEAD"), False)
    (package / "__init__.py").write_text("changed = True")
    assert _commit.__wrapped__(package) == (git("rev-parse", "HEAD"), True)
    shutil.rmtree(tmp_path / ".git")
    assert _commit.__wrapped__(package) == (None, None)


def test_versions_are_those_that_are_installed() -> None:
    assert set(versions()) == {"python", "torch", "inattention"}
