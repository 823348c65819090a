"""The software and the machine of a result: versions of packages, the interpreter, and the commit of the source."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inattention.version import __version__

PACKAGES = ("torch", "lightning", "lhotse", "numpy", "scipy", "pytorch-optimizer", "espeakng-loader")


def provenance() -> dict[str, Any]:
    """Return what a record of a run has of the software and the machine: no dates, and no paths.

    >>> sorted(provenance())
    ['commit', 'machine', 'modified', 'packages', 'platform', 'python']
    """
    commit, modified = _commit(Path(__file__).parent)
    return {
        # Of the code that runs: an editable installation keeps the version with which it was installed.
        "packages": {"inattention": __version__, **{name: _version(name) for name in PACKAGES}},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "commit": commit,
        "modified": modified,
    }


def versions() -> dict[str, str]:
    """Return the versions that measured times depend on, as installed.

    >>> sorted(versions())
    ['inattention', 'python', 'torch']
    """
    return {"python": platform.python_version(), "torch": version("torch"), "inattention": version("inattention")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _commit(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit of a checkout and whether its files differ from it; None for both elsewhere.

    A package that is installed below someone's repository is not tracked by it, and has no commit.
    """
    try:
        if not _git(folder, "ls-files", "__init__.py"):
            return None, None
        return _git(folder, "rev-parse", "HEAD"), bool(_git(folder, "status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
