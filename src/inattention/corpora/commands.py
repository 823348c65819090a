"""What `inattention corpus ...` does, without the command line around it."""

from pathlib import Path
from typing import Any

from inattention.corpora.base import SPLITS, Corpus, open_corpus
from inattention.corpora.registry import corpus_kind


def prepare_command(
    name: str, config: Any, out: Path, *, overwrite: bool = False, workers: int | None = None, progress: bool = True
) -> Corpus:
    """Prepare the corpus `name` with `config` in `out`, and print what it holds.

    Raises:
        CorpusError: It cannot be done; the message says why and what to do.
    """
    prepare = corpus_kind(name).prepare()
    corpus = prepare(config, out, overwrite=overwrite, workers=workers, progress=progress)
    print(describe(corpus))
    return corpus


def show_command(folder: Path) -> Corpus:
    """Print what the prepared corpus in `folder` holds.

    Raises:
        CorpusError: There is no sound corpus in `folder`.
    """
    corpus = open_corpus(folder)
    print(describe(corpus))
    return corpus


def describe(corpus: Corpus) -> str:
    """A few lines: splits, speakers, phones, bad items with the first reasons, and the corpus's caveat."""
    info = corpus.info
    lines = [f"{corpus.name} corpus in {corpus.folder} (key {corpus.key})"]
    for split in SPLITS:
        counts = info["splits"][split]
        lines.append(
            f"  {split:5} {counts['hours'] * 60:8.1f} min {counts['cuts']:7} cuts {counts['speakers']:4} speakers"
        )
    lines.append(f"  {len(corpus.speakers)} speakers, {len(corpus.phones)} phones")
    if "alignment" in info:
        told = info["alignment"]
        lines.append(f"  phones by forced alignment: {told['aligned']} of {told['lines_with_text']} lines with a text")
    bad = info["bad_items"]
    lines.append(f"  {bad['count']} bad items left out" + (":" if bad["count"] else ""))
    lines += [f"    {item}: {reason}" for item, reason in bad["items"][:5]]
    lines.append(f"  {info['caveat']}")
    return "\n".join(lines)
