"""What `inattention corpus ...` does, without the command line around it."""

from pathlib import Path
from typing import Any

from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import SPLITS, Corpus, open_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.registry import corpus_kind


def prepare_command(
    name: str, config: Any, out: Path, *, overwrite: bool = False, workers: int | None = None, progress: bool = True
) -> Corpus:
    """Prepare the corpus `name` with `config` in `out`, and print what it holds.

    Raises:
        CorpusError: It cannot be done; the message says why and what to do.
    """
    from inattention.corpora.core.description import describe

    prepare = corpus_kind(name).prepare()
    corpus = prepare(config, out, overwrite=overwrite, workers=workers, progress=progress)
    print(describe(corpus))
    return corpus


def show_command(folder: Path) -> Corpus:
    """Print what the prepared corpus in `folder` holds.

    Raises:
        CorpusError: There is no sound corpus in `folder`.
    """
    from inattention.corpora.core.description import describe

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
