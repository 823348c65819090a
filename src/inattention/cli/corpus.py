"""``inattention corpus ...``: prepare, show, describe and validate corpora, and store their features."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from inattention.cli.options import complain, flat, parse
from inattention.text import nearest

if TYPE_CHECKING:
    from inattention.corpora.core.corpus import Corpus

STRICT_STATUS = 2
SUMMARY = "Prepare a corpus, show what it holds, describe how it sounds, validate it or store its features."


def run(arguments: list[str]) -> int:
    """Prepare, show, describe or validate a corpus, or store its features."""
    verbs = {
        "prepare": prepare,
        "features": features,
        "show": show,
        "describe": describe,
        "validate": validate,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in verbs:
        return complain("corpus", f"there is no {verb!r}{nearest(verb, verbs)}")
    return verbs[verb](rest)


def prepare(arguments: list[str]) -> int:
    """Prepare one of the known corpora."""
    from inattention.corpora.registry import CORPORA

    if not arguments or arguments[0] not in CORPORA:
        return complain("corpus", f"name a kind of corpus{nearest(arguments[0] if arguments else '', CORPORA)}")
    name, *flags = arguments
    config_class = CORPORA[name].config_class()

    @dataclass(frozen=True, kw_only=True)
    class Prepare:
        """Prepare a corpus: a folder with utterances, speakers, phones and splits.

        Attributes:
            out: output folder; default: corpora/NAME.
            overwrite: replace a corpus with other settings in the output folder.
            workers: processes; default: one per processor.
            strict: exit with status 2 if anything was skipped; the corpus is written all the same.
            settings: of the corpus.
        """

        out: Path | None = None
        overwrite: bool = False
        workers: int | None = None
        strict: bool = False
        settings: flat(config_class) = field(default_factory=config_class)  # ty: ignore[invalid-type-form]

    options = parse(Prepare, f"corpus prepare {name}", flags)
    out = options.out or Path("corpora") / name
    corpus = prepare_corpus(name, options.settings, out, overwrite=options.overwrite, workers=options.workers)
    skipped = skipped_items(corpus) if options.strict else 0
    if skipped:
        print(f"inattention corpus: {skipped} items were skipped, which --strict reports as a failure", file=sys.stderr)
    return STRICT_STATUS if skipped else 0


def prepare_corpus(
    name: str, config: Any, out: Path, *, overwrite: bool = False, workers: int | None = None, progress: bool = True
) -> "Corpus":
    """Prepare the corpus `name` with `config` in `out`, and print what it holds.

    Raises:
        CorpusError: if it cannot be prepared; the message gives the reason and what to do.
    """
    from inattention.corpora.checks.description import describe as text_of
    from inattention.corpora.registry import corpus_kind

    corpus = corpus_kind(name).prepare()(config, out, overwrite=overwrite, workers=workers, progress=progress)
    print(text_of(corpus))
    return corpus


def skipped_items(corpus: "Corpus") -> int:
    """Return how many items could not be used when a corpus was prepared, by this version or an older one.

    Raises:
        CorpusError: if the file that says so is damaged.
    """
    from inattention.corpora.core.preparation import read_preparation

    preparation = read_preparation(corpus.folder)
    return corpus.info["bad_items"]["count"] if preparation is None else preparation.skipped


def features(arguments: list[str]) -> int:
    """Store the features of a prepared corpus."""
    import tyro

    from inattention.audio.config import FeatureConfig

    @dataclass(frozen=True, kw_only=True)
    class Features:
        """Compute the features of a prepared corpus once, for `pretrain --training.stored-features`.

        They are stored in the corpus's folder. If it was stopped, the same command resumes it.

        Attributes:
            folder: folder of the prepared corpus.
            workers: processes; default: one per processor.
            settings: of the features.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        workers: int | None = None
        settings: flat(FeatureConfig) = field(default_factory=FeatureConfig)  # ty: ignore[invalid-type-form]

    options = parse(Features, "corpus features", arguments)
    from inattention.corpora.core.corpus import open_corpus
    from inattention.corpora.features.stored_features import features_folder, store_features

    corpus = open_corpus(options.folder)
    info = store_features(corpus, options.settings, workers=options.workers, progress=True)
    for split, counts in info["splits"].items():
        bad = counts["bad_items"]
        print(f"  {split:5} {counts['hours']:8.2f} hours {counts['cuts']:7} cuts, {bad['count']} could not be used")
        for item, reason in bad["items"][:5]:
            print(f"    {item}: {reason}")
    print(f"features: {features_folder(corpus, options.settings)}")
    return 0


def show(arguments: list[str]) -> int:
    """Print what a prepared corpus holds."""
    if len(arguments) != 1:
        return complain("corpus", _usage())
    from inattention.corpora.checks.description import describe as text_of
    from inattention.corpora.core.corpus import open_corpus

    print(text_of(open_corpus(Path(arguments[0]))))
    return 0


def describe(arguments: list[str]) -> int:
    """Print, and draw, how a prepared corpus sounds."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Describe:
        """Print, and draw, how a prepared corpus sounds: hours, speakers, durations, phones, levels and silence.

        Attributes:
            folder: folder of the corpus.
            out: page or picture to draw, .html or .png.
            cuts: how many to decode for levels, spread evenly over all; 0: all.
            workers: processes; default: one per processor.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        out: Path | None = None
        cuts: int = 1000
        workers: int | None = None

    options = parse(Describe, "corpus describe", arguments)
    out: Path | None = options.out
    if out is not None and out.suffix.lower() not in (".html", ".png"):
        return complain("corpus", f"{out} must end in .html or .png")
    from inattention.corpora.checks.description import as_text, measure, write_page
    from inattention.corpora.core.corpus import open_corpus

    found = measure(open_corpus(options.folder), cuts=options.cuts, workers=options.workers, progress=True)
    print(as_text(found))
    if out is not None:
        write_page(found, out)
        print(f"\ndrawn: {out}")
    return 0


def validate(arguments: list[str]) -> int:
    """Decode a whole prepared corpus and list its faults."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Validate:
        """Decode a whole prepared corpus and list the faults of each file; the exit status is 1 if there are any.

        Attributes:
            folder: folder of the corpus.
            workers: processes; default: one per processor.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        workers: int | None = None

    options = parse(Validate, "corpus validate", arguments)
    from inattention.corpora.checks import validation
    from inattention.corpora.core.corpus import SPLITS, open_corpus

    corpus = open_corpus(options.folder)
    corpus.cuts("train")  # raises if the audio is elsewhere
    faults = validation.validate(corpus, workers=options.workers, progress=True)
    for item, reason in faults:
        print(f"{item}: {reason}")
    cuts = sum(corpus.info["splits"].get(split, {}).get("cuts", 0) for split in SPLITS)
    print(f"{len(faults)} faults in {corpus.folder}" if faults else f"all {cuts} cuts can be used")
    return 1 if faults else 0


def _usage() -> str:
    from inattention.corpora.registry import CORPORA

    return (
        f"usage: inattention corpus prepare {{{','.join(CORPORA)}}} [--help]\n"
        "       inattention corpus features FOLDER [--help]\n"
        "       inattention corpus show FOLDER\n"
        "       inattention corpus describe FOLDER [--out page.html] [--help]\n"
        "       inattention corpus validate FOLDER [--help]"
    )


def _help() -> str:
    from inattention.corpora.registry import CORPORA

    kinds = "\n".join(f"  {name:<12} {kind.summary}" for name, kind in CORPORA.items())
    return f"{_usage()}\n\n{SUMMARY}\n\ncorpora:\n{kinds}"
