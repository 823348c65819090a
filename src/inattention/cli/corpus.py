"""``inattention corpus ...``: prepare, show, describe and validate corpora, and store their features."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from inattention.cli.terminal.help import entries, examples, wrapped
from inattention.cli.terminal.output import print_json, print_lines
from inattention.cli.terminal.parsing import Quiet, complain, flat, parse
from inattention.text import nearest

if TYPE_CHECKING:
    from inattention.corpora.core.corpus import Corpus

STRICT_STATUS = 2
HELP = ("-h", "--help")
PREPARED = "Prepare a corpus: a folder with utterances, speakers, phones and splits, which all other commands read."


def run(arguments: list[str]) -> int:
    """Prepare, show, describe or validate a corpus, or store its features."""
    verbs = {"prepare": prepare, "show": show, "describe": describe, "validate": validate, "features": features}
    if not arguments or arguments[0] in HELP:
        pairs = [(name, (verb.__doc__ or "").splitlines()[0]) for name, verb in verbs.items()]
        usage = wrapped("usage: inattention corpus COMMAND [--help] ...", indent=7)
        print(f"{usage}\n\n{entries(pairs)}\n\n{examples('corpus prepare')}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in verbs:
        return complain("corpus", f"there is no command {verb!r}{nearest(verb, verbs)}")
    return verbs[verb](rest)


def prepare(arguments: list[str]) -> int:
    """Prepare a corpus, of one of the known kinds."""
    from inattention.corpora.registry import CORPORA

    if not arguments or arguments[0] in HELP:
        kinds = entries([(name, kind.summary) for name, kind in CORPORA.items()])
        usage = wrapped("usage: inattention corpus prepare KIND [--help] ...", indent=7)
        print(f"{usage}\n\n{wrapped(PREPARED)}\n\n{kinds}\n\n{examples('corpus prepare')}")
        return 0
    if arguments[0] not in CORPORA:
        what = f"the kind of corpus comes before {arguments[0]}" if arguments[0].startswith("-") else None
        known = nearest(arguments[0], CORPORA)
        return complain("corpus prepare", f"{what or f'there is no kind of corpus {arguments[0]!r}'}{known}")
    name, *flags = arguments
    config_class = CORPORA[name].config_class()

    @dataclass(frozen=True, kw_only=True)
    class Prepare(Quiet):
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
    if options.workers is not None and options.workers < 1:
        return complain(f"corpus prepare {name}", f"--workers N must be at least 1, not {options.workers}")
    out = options.out or Path("corpora") / name
    corpus = prepare_corpus(
        name,
        options.settings,
        out,
        overwrite=options.overwrite,
        workers=options.workers,
        progress=not options.quiet,
        quiet=options.quiet,
    )
    skipped = skipped_items(corpus) if options.strict else 0
    if skipped:
        items = "1 item was" if skipped == 1 else f"{skipped} items were"
        reason = f"{items} skipped, which --strict reports as a failure"
        print(f"inattention corpus prepare: {reason}", file=sys.stderr)
    return STRICT_STATUS if skipped else 0


def prepare_corpus(
    name: str,
    config: Any,
    out: Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
    quiet: bool = False,
) -> "Corpus":
    """Prepare the corpus `name` with `config` in `out`, and print what it holds unless `quiet`.

    Raises:
        CorpusError: if it cannot be prepared; the message gives the reason and what to do.
    """
    from inattention.corpora.checks.description import describe as text_of
    from inattention.corpora.registry import corpus_kind

    corpus = corpus_kind(name).prepare()(config, out, overwrite=overwrite, workers=workers, progress=progress)
    if not quiet:
        print_lines(text_of(corpus))
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
    class Features(Quiet):
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
    info = store_features(corpus, options.settings, workers=options.workers, progress=not options.quiet)
    if options.quiet:
        return 0
    for split, counts in info["splits"].items():
        bad = counts["bad_items"]
        print(f"  {split:5} {counts['hours']:8.2f} hours {counts['cuts']:7} cuts, {bad['count']} could not be used")
        for item, reason in bad["items"][:5]:
            print(f"    {item}: {reason}")
    print(f"features: {features_folder(corpus, options.settings)}")
    return 0


def show(arguments: list[str]) -> int:
    """Print what a prepared corpus holds."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Show:
        """Print what a prepared corpus holds: hours, speakers, phones, and what its preparation skipped.

        Attributes:
            folder: folder of the corpus.
            json: print it as JSON, with the whole of the corpus's description (corpus.json) and its preparation.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        json: bool = False

    options = parse(Show, "corpus show", arguments)
    from inattention.corpora.checks.description import describe as text_of
    from inattention.corpora.core.corpus import open_corpus

    corpus = open_corpus(options.folder)
    if options.json:
        print_json(as_data(corpus))
    else:
        print_lines(text_of(corpus))
    return 0


def as_data(corpus: "Corpus") -> dict[str, Any]:
    """Return what a prepared corpus holds, as plain data: folder, `corpus.json`, and the preparation's summary."""
    from inattention.corpora.core.preparation import read_preparation

    return {"folder": corpus.folder, **corpus.info, "preparation": read_preparation(corpus.folder)}


def describe(arguments: list[str]) -> int:
    """Print, and draw, how a prepared corpus sounds."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Describe(Quiet):
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
        return complain("corpus describe", f"{out} must end in .html or .png")
    from inattention.corpora.checks.description import as_text, measure, write_page
    from inattention.corpora.core.corpus import open_corpus

    found = measure(open_corpus(options.folder), cuts=options.cuts, workers=options.workers, progress=not options.quiet)
    if out is not None:
        write_page(found, out)
    if not options.quiet:
        print(as_text(found) + (f"\n\ndrawn: {out}" if out is not None else ""))
    return 0


def validate(arguments: list[str]) -> int:
    """Decode a whole prepared corpus and list its faults."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Validate(Quiet):
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
    faults = validation.validate(corpus, workers=options.workers, progress=not options.quiet)
    for item, reason in faults:
        print(f"{item}: {reason}")
    if options.quiet:
        return 1 if faults else 0
    cuts = sum(corpus.info["splits"].get(split, {}).get("cuts", 0) for split in SPLITS)
    print(f"{len(faults)} faults in {corpus.folder}" if faults else f"all {cuts} cuts can be used")
    return 1 if faults else 0
