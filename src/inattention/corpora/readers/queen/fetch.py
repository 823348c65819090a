"""Find the game's archive `queen.1c`: the user's copy, the installed Debian package's, or one that apt downloads."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from inattention.corpora.errors import CorpusError

PACKAGE = "flight-of-the-amazon-queen"
_FILE = "queen.1c"
_INSTALLED = Path("/usr/share/scummvm/flight-of-the-amazon-queen") / _FILE
_TIMEOUT_SECONDS = 600


def find_archive(given: Path | None) -> Path:
    """Return the path of `queen.1c`: as given, else installed, else cached, else downloaded by apt into the cache.

    Args:
        given: The file, or the folder that contains it.

    Raises:
        CorpusError: It was not found and cannot be downloaded; the message says what to do.
    """
    if given is not None:
        path = given.expanduser().resolve()
        path = path / _FILE if path.is_dir() else path
        if not path.is_file():
            raise CorpusError(f"{path}: there is no such file; give the path of the game's queen.1c")
        return path
    cached = cache_folder() / _FILE
    return next((path for path in (_INSTALLED, cached) if path.is_file()), None) or _download(cached)


def cache_folder() -> Path:
    """Return the folder of the downloaded archive, below the environment variable XDG_CACHE_HOME or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "inattention" / "queen"


def _download(destination: Path) -> Path:
    """Download the Debian package and extract the archive; nothing is installed."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise CorpusError(
            f"the lines are in queen.1c of the Debian package {PACKAGE}, which cannot be fetched here ({missing[0]} is "
            "missing): give the path of your copy with --archive"
        )
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=destination.parent) as folder:
            _run(["apt-get", "download", PACKAGE], folder)
            package = next(Path(folder).glob("*.deb"), None)
            if package is None:
                raise CorpusError(f"apt-get download {PACKAGE} gave no package: give your queen.1c with --archive")
            _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
            found = next((Path(folder) / "unpacked").rglob(_FILE), None)
            if found is None:
                raise CorpusError(f"{package.name} contains no queen.1c: give the path of your copy with --archive")
            os.replace(found, destination)
    except OSError as error:
        raise CorpusError(f"cannot keep the archive in {destination.parent}: {error}") from error
    return destination


def _run(command: list[str], folder: str) -> None:
    advice = f"give the path of your queen.1c with --archive, or install the package {PACKAGE}"
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CorpusError(f"{' '.join(command)} did not finish within {_TIMEOUT_SECONDS} s: {advice}") from None
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise CorpusError(f"{' '.join(command)} failed ({output}): {advice}")
