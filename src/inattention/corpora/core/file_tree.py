"""The files below a user's folder, found without following links in circles, and their content."""

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from inattention.audio.limits import SUFFIXES
from inattention.audio.recognition import litter_folder, recognise
from inattention.corpora.errors import CorpusError
from inattention.text import printable

DEEPEST = 100
SAME_FILE = "another name of a recording that is used"


@dataclass
class Tree:
    """The files below a folder.

    Attributes:
        root: The folder, absolute, all links resolved.
        files: Sizes by path relative to the root, sorted.
        recordings: Those that are audio, where they were asked for.
        bad: What could not be read, with the reason.
        ignored: Known litter, and audio of formats that are not decoded here, with a description of each.
    """

    root: Path
    files: dict[str, int] = field(default_factory=dict)
    recordings: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)


def read_tree(place: str | Path, suffixes: tuple[str, ...], *, audio: bool = False) -> Tree:
    """List the files below a folder that have one of some suffixes, upper or lower case, and audio if asked for.

    Links are followed; a folder that was already read (a link may lead back) is not read again. What is no plain file,
    such as a pipe or a device, could never end and is skipped with a reason.

    Args:
        place: The folder; with `audio` also a single file, which is listed with those of the same name and one of the
            suffixes.
        suffixes: In lower case.
        audio: List audio too, which is recognised by its content.

    Raises:
        CorpusError: There is no such folder or file.
    """
    root = Path(place).expanduser().resolve()
    tree = Tree(root)
    scan = _Scan(tree, suffixes, audio)
    if audio and root.is_file():
        tree.root = root.parent
        scan.single(root)
    elif root.is_dir():
        _read(scan, "", 0)
    else:
        raise CorpusError(f"there is no folder {root}: set --path to the folder of the audio")
    tree.files = dict(sorted(tree.files.items(), key=lambda item: os.fsencode(item[0])))
    tree.recordings.sort(key=os.fsencode)
    return tree


@dataclass
class _Scan:
    """One reading of a tree; `seen` holds device and number of each folder and recording that was read."""

    tree: Tree
    suffixes: tuple[str, ...]
    audio: bool
    seen: set[tuple[int, int]] = field(default_factory=set)

    def wants(self, name: str) -> bool:
        """Return whether a file is expected by its name."""
        suffix = os.path.splitext(name)[1].lower()
        return suffix in self.suffixes or (self.audio and suffix in SUFFIXES)

    def add(self, name: str, status: os.stat_result) -> None:
        """Sort a file into the tree."""
        tree, path = self.tree, os.path.join(self.tree.root, name)
        if not stat.S_ISREG(status.st_mode):
            if self.wants(name):
                tree.bad.append((printable(name), "is no plain file"))
            return
        known = recognise(path, status.st_size)
        if known.kind == "litter" and (status.st_size or self.audio):
            tree.ignored.append((printable(name), known.category))
        elif os.path.splitext(name)[1].lower() in self.suffixes:
            tree.files[name] = status.st_size
        elif self.audio and known.kind == "audio":
            if (status.st_dev, status.st_ino) in self.seen:
                tree.ignored.append((printable(name), SAME_FILE))
                return
            self.seen.add((status.st_dev, status.st_ino))
            tree.files[name] = status.st_size
            tree.recordings.append(name)
        elif self.audio and known.kind == "unsupported":
            tree.ignored.append((printable(name), known.category))

    def single(self, path: Path) -> None:
        """Add one file as a recording, and those beside it that belong to it."""
        self.tree.files[path.name] = path.stat().st_size
        self.tree.recordings.append(path.name)
        for other in sorted(path.parent.iterdir()):
            if other.stem == path.stem and other.suffix.lower() in self.suffixes and other.is_file():
                self.tree.files[other.name] = other.stat().st_size

    def ignore(self, name: str, what: str) -> None:
        """Count the files of a folder of litter."""
        for folder, _, names in os.walk(os.path.join(self.tree.root, name)):
            below = os.path.relpath(folder, self.tree.root)
            self.tree.ignored += [(printable(os.path.join(below, file)), f"file in a {what}") for file in names]


def _read(scan: _Scan, below: str, depth: int) -> None:
    tree, seen = scan.tree, scan.seen
    here = os.path.join(tree.root, below) if below else str(tree.root)
    try:
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            tree.bad.append((printable(below), "leads to a folder that was read already"))
            return
        if depth > DEEPEST:
            tree.bad.append((printable(below), f"is more than {DEEPEST} folders deep"))
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            # Real folders before links to them, so that a duplicate is reported under the link's name.
            found = sorted(entries, key=lambda entry: (entry.is_symlink(), os.fsencode(entry.name)))
    except OSError as error:
        tree.bad.append((printable(below) or ".", f"the folder cannot be read ({error.strerror})"))
        return
    for entry in found:
        name = os.path.join(below, entry.name) if below else entry.name
        try:
            if not entry.is_dir():
                scan.add(name, entry.stat())
            elif what := litter_folder(entry.name):
                scan.ignore(name, what)
            else:
                _read(scan, name, depth + 1)
        except OSError as error:
            if scan.wants(entry.name):
                tree.bad.append((printable(name), f"cannot be read ({error.strerror})"))


def fingerprint(tree: Tree, *, contents: tuple[str, ...] = ()) -> str:
    """Return 16 hex digits that are the same for the same files, wherever their folder is.

    Args:
        tree: The files; names and sizes count.
        contents: Suffixes of the files whose content counts too.
    """
    digest = hashlib.sha256()
    for name, size in tree.files.items():
        digest.update(f"{len(os.fsencode(name))} {size} ".encode() + os.fsencode(name))
        if os.path.splitext(name)[1].lower() in contents:
            digest.update(content_digest(os.path.join(tree.root, name)))
    return digest.hexdigest()[:16]


def content_digest(path: str | Path) -> bytes:
    """Return the SHA-256 of a file's content; of nothing if it cannot be read, which its reader will report."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            return hashlib.sha256().digest()
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return hashlib.sha256().digest()


def read_text(path: str | Path, most: int, encoding: str | None = None) -> str:
    """Read a small text file; see `decode_text`.

    Raises:
        CorpusError: It is too large, cannot be read, or is no text.
    """
    return decode_text(read_bytes(path, most), encoding)


def read_bytes(path: str | Path, most: int) -> bytes:
    """Read a small file.

    Raises:
        CorpusError: It is too large or cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            raise CorpusError("is no plain file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise CorpusError(f"cannot be read ({error.strerror})") from error
    if len(data) > most:
        raise CorpusError(f"is larger than {most} bytes")
    return data


def decode_text(data: bytes, encoding: str | None = None) -> str:
    r"""Decode UTF-16, UTF-8, or else another encoding; all line breaks become `\n`.

    Args:
        data: The content of a file.
        encoding: Of text that is neither UTF-8 nor UTF-16; None if the user cannot choose one.

    Raises:
        CorpusError: It is none of them.
    """
    coding = coding_of(data)
    if encoding is not None and coding == "utf-8-sig":
        try:
            data.decode(coding)
        except UnicodeDecodeError:
            coding = encoding
    try:
        text = data.decode(coding)
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise CorpusError(not_text(coding, line, hint=encoding is not None)) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def coding_of(data: bytes) -> str:
    r"""Return UTF-16 if data begins with its mark, or with a Latin letter in two bytes; else UTF-8.

    >>> coding_of("a".encode("utf-16-be"))
    'utf-16-be'
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(data) > 1 and (data[0] == 0) != (data[1] == 0):
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def not_text(coding: str, line: int, *, hint: bool) -> str:
    """Return an error message for a line that is not text in an encoding; `hint` names the option."""
    words = f"is not text in {coding.removesuffix('-sig')} (line {line})"
    return words + (": --encoding latin-1 or another name reads files of older programs" if hint else "")


def check_encoding(name: str) -> None:
    """Raise unless there is an encoding of that name.

    Raises:
        CorpusError: There is none.
    """
    try:
        b"ab".decode(name)
    except UnicodeError:  # it exists, but needs other bytes
        return
    except (LookupError, ValueError) as error:
        raise CorpusError(f"there is no text encoding {name!r}; some that exist: utf-8, latin-1, cp1252") from error
