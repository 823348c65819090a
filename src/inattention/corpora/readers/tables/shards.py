"""The Parquet and Arrow files of a split of a local dataset, whichever way it was stored.

    dataset_dict.json, train/state.json, train/data-00000-of-00002.arrow    of `save_to_disk`
    data/train-00000-of-00002.parquet, SUBSET/train-00000-of-00002.parquet  a copy of a dataset of the hub
    train/0000.parquet, train.parquet, NAME-train.arrow, part.parquet       others

Only names and small JSON files are read here, and no code of the dataset is run.
"""

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inattention.corpora.core.file_tree import Tree, read_text, read_tree
from inattention.corpora.errors import CorpusError
from inattention.text import nearest, printable

SUFFIXES = (".parquet", ".arrow")
_LARGEST_JSON = 64 * 2**20
_OF = re.compile(r"-(\d{5,6})-of-(\d{5,6})(?=[-.]|$)", re.ASCII)
_MOST_SHARDS = 99_999
# What the library `datasets` takes for a split, besides its name.
_SYNONYMS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


@dataclass
class Shards:
    """The files of a split.

    Attributes:
        folder: The folder of the dataset, where its relative paths begin.
        paths: The files in order.
        missing: Names of files that should be there too.
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def is_local_table(path: Path) -> bool:
    """Return whether a path is a Parquet or Arrow file, or a folder with such files."""
    if path.is_file():
        return path.suffix.lower() in SUFFIXES
    if not path.is_dir():
        return False
    saved = any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))
    return saved or bool(_tables(read_tree(path, SUFFIXES)))


def find_shards(path: Path, split: str, subset: str = "") -> Shards:
    """Return the files of a split.

    Args:
        path: A folder or a single file, for which `is_local_table` holds.
        split: The split's name.
        subset: The dataset's configuration, where it has several.

    Raises:
        CorpusError: There is no such split, or it is in several subsets.
    """
    path = Path(os.path.abspath(path))
    if path.is_file():
        return Shards(path.parent, [path])
    if (path / "dataset_dict.json").is_file():
        splits = _json(path / "dataset_dict.json").get("splits")
        names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
        if split not in names or os.path.basename(split) != split or split in ("", ".", ".."):
            raise CorpusError(f"{path} has no split {split!r}{nearest(split, names)}")
        return _saved(path / split)
    if (path / "state.json").is_file():
        return _saved(path)
    return _named(path, split, subset)


def _saved(folder: Path) -> Shards:
    """Return the files that `state.json` lists."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise CorpusError(f"{folder} was saved with an index of its rows by an old version of datasets: save it again")
    listed = state.get("_data_files")
    shards = Shards(folder)
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", "..") or "\0" in name:
            raise CorpusError(f"{folder / 'state.json'} lists {printable(repr(name)[:80])}, which is no name of a file")
        if (folder / name).is_file():
            shards.paths.append(folder / name)
        else:
            shards.missing.append(name)
    if not shards.paths:
        raise CorpusError(f"{folder} has none of the files that its state.json lists ({len(shards.missing)})")
    return shards


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path, _LARGEST_JSON))
    except CorpusError as error:
        raise CorpusError(f"{path} {error}") from None
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is damaged ({error})") from None
    if not isinstance(data, dict):
        raise CorpusError(f"{path} is damaged: it holds no object")
    return data


def _tables(tree: Tree) -> list[str]:
    """Return the tables of a folder; `datasets` keeps results of computations in files cache-*.arrow."""
    return [
        name
        for name in tree.files
        if not os.path.basename(name).startswith(("cache-", "tmp", "."))
        and os.path.basename(name).lower() != "metadata.parquet"  # describes audio files in the folder
        and not any(part.startswith((".", "__")) for part in Path(name).parts)
    ]


def _named(root: Path, split: str, subset: str) -> Shards:
    """Return the files whose names have that of the split."""
    names = _tables(read_tree(root, SUFFIXES))
    if subset:
        names = [name for name in names if subset in Path(name).parts[:-1]] or names
    found = [name for name in names if _is_of(name, split)]
    others = {known for name in names for known in _SYNONYMS if _is_of(name, known)}
    if not found and not others and split == "train":  # no name of a split anywhere: all of it is for training
        found = names
    if not found:
        listed = ", ".join(printable(name) for name in names[:5])
        raise CorpusError(f"{root} has no files of a split {split!r}; it has {len(names)} tables, such as {listed}")
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in found:
        groups[_group(name)].append(name)
    folders = sorted({folder for folder, _ in groups})
    if len(folders) > 1 and not subset:
        raise CorpusError(
            f"{root} has the split {split!r} in several folders: --subset names one of {', '.join(folders[:10])}"
        )
    shards = Shards(root)
    for own in groups.values():
        shards.paths += [root / name for name in own]
        shards.missing += _missing(own)
    return shards


def _is_of(name: str, split: str) -> bool:
    """Return whether a file is of a split by its own name or its folder's.

    >>> [_is_of(name, "train") for name in ("data/train-00000-of-00001.parquet", "train/0.arrow", "x-train.arrow")]
    [True, True, True]
    >>> _is_of("clean/train.100-00000-of-00014.parquet", "train.100"), _is_of("data/constraint.parquet", "train")
    (True, False)
    """
    stem = _OF.sub("", os.path.splitext(os.path.basename(name))[0])
    words = next((words for words in _SYNONYMS.values() if split in words), (split,))
    return any(
        stem == word or stem.endswith(f"-{word}") or stem.startswith(f"{word}-") or word in Path(name).parts[:-1]
        for word in (split, *words)
    )


def _group(name: str) -> tuple[str, str]:
    """Return what the shards of one table share: the folder, and the name without its number."""
    return os.path.dirname(name), _OF.sub("", os.path.splitext(os.path.basename(name))[0])


def _missing(names: list[str]) -> list[str]:
    """Return the names of shards that are absent, by the numbers of those that are there.

    >>> _missing(["a/train-00001-of-00003.parquet"])
    ['a/train-00000-of-00003.parquet', 'a/train-00002-of-00003.parquet']
    """
    there: set[int] = set()
    pattern, width, total = "", 5, 0
    for name in names:
        match = _OF.search(name)
        if match is not None and int(match[2]) <= _MOST_SHARDS:
            there.add(int(match[1]))
            width, total = len(match[1]), max(total, int(match[2]))
            pattern = f"{name[: match.start()]}-{{}}-of-{match[2]}{os.path.splitext(name)[1]}"
    return [pattern.format(f"{number:0{width}d}") for number in range(total) if number not in there]
