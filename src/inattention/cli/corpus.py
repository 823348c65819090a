"""`inattention corpus ...`: what can be done with corpora."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from inattention.cli.options import complain, flat, nearest, parse


def corpus(arguments: list[str]) -> int:
    """Prepare a corpus, show what one holds, describe how it sounds, or validate it."""
    from inattention.corpora.registry import CORPORA

    verbs = ("prepare", "features", "show", "describe", "validate")
    usage = (
        f"usage: inattention corpus prepare {{{','.join(CORPORA)}}} [--help]\n"
        "       inattention corpus features FOLDER [--help]\n"
        "       inattention corpus show FOLDER\n"
        "       inattention corpus describe FOLDER [--out page.html] [--help]\n"
        "       inattention corpus validate FOLDER [--help]"
    )
    if not arguments or arguments[0] in ("-h", "--help"):
        kinds = "\n".join(f"  {name:<12} {kind.summary}" for name, kind in CORPORA.items())
        summary = "Prepare a corpus, show what one holds, describe how it sounds, or validate it."
        print(f"{usage}\n\n{summary}\n\ncorpora:\n{kinds}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in verbs:
        return complain("corpus", f"there is no {verb!r}{nearest(verb, verbs)}")
    from inattention.corpora.commands import prepare_command, show_command

    if verb == "features":
        return features(rest)
    if verb == "show":
        if len(rest) != 1:
            return complain("corpus", usage)
        show_command(Path(rest[0]))
        return 0
    if verb in ("describe", "validate"):
        return look_at(verb, rest)
    if not rest or rest[0] not in CORPORA:
        return complain("corpus", f"which corpus?{nearest(rest[0] if rest else '', CORPORA)}")
    config_class = CORPORA[rest[0]].config_class()

    @dataclass(frozen=True, kw_only=True)
    class Prepare:
        """Prepare a corpus: speech, speakers, phones and splits in one folder that can be moved.

        Attributes:
            out: the folder; corpora/NAME if left out.
            overwrite: replace a corpus with other settings that stands there.
            workers: processes; one a processor if left out.
            settings: of the corpus.
        """

        out: Path | None = None
        overwrite: bool = False
        workers: int | None = None
        settings: flat(config_class) = field(default_factory=config_class)  # ty: ignore[invalid-type-form]

    options = parse(Prepare, f"corpus prepare {rest[0]}", rest[1:])
    out = options.out or Path("corpora") / rest[0]
    prepare_command(rest[0], options.settings, out, overwrite=options.overwrite, workers=options.workers)
    return 0


def features(arguments: list[str]) -> int:
    """Store the features of a prepared corpus."""
    import tyro

    from inattention.audio.config import FeatureConfig

    @dataclass(frozen=True, kw_only=True)
    class Features:
        """Compute the features of a prepared corpus once, for `pretrain --training.stored-features`.

        They are kept in the corpus's folder. Stopped at any moment, the same command goes on where it was.

        Attributes:
            folder: the prepared corpus.
            workers: processes; one a processor if left out.
            settings: of the features.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        workers: int | None = None
        settings: flat(FeatureConfig) = field(default_factory=FeatureConfig)  # ty: ignore[invalid-type-form]

    options = parse(Features, "corpus features", arguments)
    from inattention.corpora.commands import features_command

    features_command(options.folder, options.settings, workers=options.workers)
    return 0


def look_at(verb: str, arguments: list[str]) -> int:
    """Describe or validate a prepared corpus."""
    import tyro

    from inattention.corpora.commands import describe_command, validate_command

    @dataclass(frozen=True, kw_only=True)
    class Validate:
        """Decode all of a prepared corpus, and list what is wrong with each file; ends with 1 if anything is.

        Attributes:
            folder: of the corpus.
            workers: processes; one a processor if left out.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        workers: int | None = None

    @dataclass(frozen=True, kw_only=True)
    class Describe:
        """Say, and draw, what a prepared corpus sounds like: hours, speakers, durations, phones, levels and silence.

        Attributes:
            folder: of the corpus.
            out: a page or picture to draw, .html or .png.
            cuts: how many to decode for levels, spread over all; 0 for every one.
            workers: processes; one a processor if left out.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        out: Path | None = None
        cuts: int = 1000
        workers: int | None = None

    if verb == "validate":
        checked = parse(Validate, "corpus validate", arguments)
        return validate_command(checked.folder, workers=checked.workers)
    options = parse(Describe, "corpus describe", arguments)
    describe_command(options.folder, out=options.out, cuts=options.cuts, workers=options.workers)
    return 0
