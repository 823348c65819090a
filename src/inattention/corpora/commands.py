"""What `inattention corpus ...` does, without the command line around it."""

from pathlib import Path
from typing import Any

from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import SPLITS, Corpus, CorpusError, open_corpus
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


def validate_command(folder: Path, *, workers: int | None = None, progress: bool = True) -> int:
    """Decode all of the corpus in `folder`, and print what is wrong with each item.

    Returns:
        0 if nothing is wrong, 1 if anything is.

    Raises:
        CorpusError: There is no corpus in `folder`, or its audio is not there.
    """
    from inattention.corpora.core.validation import validate

    corpus = open_corpus(folder)
    corpus.cuts("train")  # says if the audio is elsewhere
    wrong = validate(corpus, workers=workers, progress=progress)
    for item, reason in wrong:
        print(f"{item}: {reason}")
    cuts = sum(corpus.info["splits"].get(split, {}).get("cuts", 0) for split in SPLITS)
    print(f"{len(wrong)} things are wrong in {corpus.folder}" if wrong else f"all {cuts} cuts can be used")
    return 1 if wrong else 0


def describe_command(
    folder: Path, *, out: Path | None = None, cuts: int = 1000, workers: int | None = None, progress: bool = True
) -> None:
    """Print, and draw if `out` is given, what the corpus in `folder` sounds like.

    Raises:
        CorpusError: There is no sound corpus in `folder`, or the drawing cannot be written.
    """
    from inattention.corpora.core.description import as_text, measure, write_page

    if out is not None and out.suffix.lower() not in (".html", ".png"):
        raise CorpusError(f"{out} must end in .html or .png")
    found = measure(open_corpus(folder), cuts=cuts, workers=workers, progress=progress)
    print(as_text(found))
    if out is not None:
        write_page(found, out)
        print(f"\ndrawn: {out}")


def describe(corpus: Corpus) -> str:
    """A few lines: splits, speakers, phones, bad items with the first reasons, and the corpus's caveat."""
    info = corpus.info
    lines = [f"{corpus.name} corpus in {corpus.folder} (key {corpus.key})"]
    for split in SPLITS:
        counts = {"hours": 0.0, "cuts": 0, "speakers": 0, **info["splits"].get(split, {})}
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
    lines += [f"  {count} {words}" for words, count in info.get("notes", {}).items()]
    lines.append(f"  {info['caveat']}")
    return "\n".join(lines)


def features_command(folder: Path, config: FeatureConfig, *, workers: int | None = None, progress: bool = True) -> None:
    """Store the features of the prepared corpus in `folder`, and print how many there are.

    Raises:
        CorpusError: There is no sound corpus in `folder`, or another process is storing its features.
    """
    from inattention.corpora.core.stored_features import features_folder, store_features

    corpus = open_corpus(folder)
    info = store_features(corpus, config, workers=workers, progress=progress)
    for split, counts in info["splits"].items():
        bad = counts["bad_items"]
        print(f"  {split:5} {counts['hours']:8.2f} hours {counts['cuts']:7} cuts, {bad['count']} could not be used")
        for item, reason in bad["items"][:5]:
            print(f"    {item}: {reason}")
    print(f"features: {features_folder(corpus, config)}")
