"""The command line: one function a command, each imported when it is called, so that help is there at once.

What a command takes is a typed record (a dataclass) that is also the preset and the saved account; tyro makes its
flags and its help.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

EXAMPLES = """examples:
  inattention study --preset smoke                       the whole study in minutes, from nothing to report.html
  inattention study --preset laptop --only qk patterned  two rows of a longer one
  inattention mechanisms                                 what can be compared
  inattention mechanisms --draw masks.png                what each of them looks at, in one picture
  inattention corpus prepare espeak --hours 1 --voices 40 --out corpora/espeak
  inattention pretrain --corpus corpora/espeak --row patterned --out runs/mine
  inattention probe runs/mine --corpus corpora/espeak
  inattention extract runs/mine recordings/ --out features/
  inattention convert runs/qk --corpus corpora/espeak --out runs/converted
  inattention analyze runs/mine --corpus corpora/espeak  every head's attention maps, on one page
  inattention time --rows patterned none --lengths 500 1000
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if all went well, 1 if part of the work failed, 2 if it could not be done; a line on stderr says why.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from inattention import __version__

        print(__version__)
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        return _complain("", f"there is no command {name!r}{_nearest(name, COMMANDS)}")
    try:
        return COMMANDS[name](rest)
    except KeyboardInterrupt:
        return _complain(name, "stopped; the same command goes on where it was")
    except Exception as error:
        from inattention.pretraining.stopping import RunDiverged, RunStopped

        # What is ours to say is said in a line; anything else is a fault of ours, and its whole story is wanted.
        expected = isinstance(error, ValueError | OSError | RunDiverged | RunStopped)
        if not expected or os.environ.get("INATTENTION_DEBUG"):
            raise
        return _complain(name, str(error))


def study(arguments: list[str]) -> int:
    """Pre-train, probe and time several mechanisms, and write one report."""
    from inattention.study.config import StudyConfig
    from inattention.study.presets import PRESETS, preset

    @dataclass(frozen=True, kw_only=True)
    class Study:
        """Pre-train, probe and time several mechanisms, and write one report. Run again, it goes on where it was.

        Attributes:
            preset: smoke (minutes), short (most of an hour), laptop (hours) or paper (GPUs).
            only: rows to keep, in place of the preset's.
            out: where everything goes; runs/PRESET if left out.
            jobs: steps that run at once, a thread each; 0 for one a processor.
            executor: where they run: local, processes of this machine; or ray, a Ray cluster (RAY_ADDRESS).
            settings: the study's settings.
        """

        preset: str = "smoke"
        only: tuple[str, ...] = ()
        out: Path | None = None
        jobs: int = 0
        executor: Literal["local", "ray"] = "local"
        settings: _flat(StudyConfig) = field(default_factory=lambda: PRESETS["smoke"])  # ty: ignore[invalid-type-form]

    chosen = _value_of("--preset", arguments) or "smoke"
    options = _parse(Study, "study", arguments, default=Study(preset=chosen, settings=preset(chosen)))
    settings = replace(options.settings, rows=options.only) if options.only else options.settings

    from inattention.study.run import run_study
    from inattention.study.tables import terminal_table

    folder = options.out or Path("runs") / options.preset
    report, failures = run_study(settings, folder, preset=options.preset, jobs=options.jobs, executor=options.executor)
    print(terminal_table(folder))
    for step, reason in failures.items():
        print(f"failed: {step}: {reason}", file=sys.stderr)
    print(f"\nreport: {report}")
    return 1 if failures else 0


def mechanisms(arguments: list[str]) -> int:
    """List the attention mechanisms, ours and those of installed plug-ins."""

    @dataclass(frozen=True, kw_only=True)
    class Mechanisms:
        """List the attention mechanisms, ours and those of installed plug-ins.

        Attributes:
            json: print everything that the cards say, as JSON.
            draw: draw what they look at into a file that ends in .svg, .png or .html; mechanisms.svg if none is named.
            rows: the rows to draw, variants too; every mechanism if left out.
        """

        json: bool = False
        draw: Path | None = None
        rows: tuple[str, ...] = ()

    options = _parse(Mechanisms, "mechanisms", _with_value("--draw", "mechanisms.svg", arguments))
    if options.draw is not None:
        from inattention.analysis.sheet import save_sheet

        save_sheet(options.draw, options.rows)
        print(f"drawn: {options.draw}")
        return 0
    from inattention.attention.listing import as_data, as_text

    print(json.dumps(as_data(), indent=2, ensure_ascii=False) if options.json else as_text())
    return 0


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
        return _complain("corpus", f"there is no {verb!r}{_nearest(verb, verbs)}")
    from inattention.corpora.commands import prepare_command, show_command

    if verb == "features":
        return _features(rest)
    if verb == "show":
        if len(rest) != 1:
            return _complain("corpus", usage)
        show_command(Path(rest[0]))
        return 0
    if verb in ("describe", "validate"):
        return _look_at_corpus(verb, rest)
    if not rest or rest[0] not in CORPORA:
        return _complain("corpus", f"which corpus?{_nearest(rest[0] if rest else '', CORPORA)}\n{usage}")
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
        settings: _flat(config_class) = field(default_factory=config_class)  # ty: ignore[invalid-type-form]

    options = _parse(Prepare, f"corpus prepare {rest[0]}", rest[1:])
    out = options.out or Path("corpora") / rest[0]
    prepare_command(rest[0], options.settings, out, overwrite=options.overwrite, workers=options.workers)
    return 0


def _features(arguments: list[str]) -> int:
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
        settings: _flat(FeatureConfig) = field(default_factory=FeatureConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Features, "corpus features", arguments)
    from inattention.corpora.commands import features_command

    features_command(options.folder, options.settings, workers=options.workers)
    return 0


def _look_at_corpus(verb: str, arguments: list[str]) -> int:
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
        checked = _parse(Validate, "corpus validate", arguments)
        return validate_command(checked.folder, workers=checked.workers)
    options = _parse(Describe, "corpus describe", arguments)
    describe_command(options.folder, out=options.out, cuts=options.cuts, workers=options.workers)
    return 0


def pretrain(arguments: list[str]) -> int:
    """Pre-train one encoder on a corpus."""
    from inattention.model.config import AudioTransformerConfig
    from inattention.pretraining.config import PretrainingConfig

    @dataclass(frozen=True, kw_only=True)
    class Pretrain:
        """Pre-train one encoder on a corpus. Stopped at any moment, the same command goes on where it was.

        Attributes:
            corpus: the folder of a prepared corpus.
            out: where the run is kept.
            row: the mechanism with its options, such as qk@identity or patterned@logits.
            seed: of weights, masks and order.
            model: the encoder.
            training: how it is trained.
        """

        corpus: Path
        out: Path
        row: str = "patterned"
        seed: int = 0
        model: AudioTransformerConfig = field(default_factory=AudioTransformerConfig)
        training: PretrainingConfig = field(default_factory=PretrainingConfig)

    options = _parse(Pretrain, "pretrain", arguments)
    from inattention.attention.rows import parse_row
    from inattention.corpora.base import open_corpus
    from inattention.pretraining.run import Run
    from inattention.pretraining.run import pretrain as run_pretraining

    row = parse_row(options.row)
    model = replace(options.model, attention=row.mechanism, attention_options=dict(row.options))
    training = replace(options.training, steps=0) if row.untrained else options.training
    outcome = run_pretraining(Run(model, training, open_corpus(options.corpus), options.seed), options.out)
    if outcome:
        print(
            f"held-out masked L1 {outcome['held_out_l1']:.4f} (predicting the mean: {outcome['mean_l1']:.4f}) "
            f"after {outcome['steps']} steps, {outcome['seconds']:.0f} s of training"
        )
        if outcome["skipped"]:
            print(f"{len(outcome['skipped'])} cuts could not be used; {options.out}/outcome.json names them")
        print(f"model: {options.out}")
    return 0


def probe(arguments: list[str]) -> int:
    """Probe a frozen encoder, or the input features, for speakers and phones."""
    import tyro

    from inattention.probing.config import ProbeConfig

    @dataclass(frozen=True, kw_only=True)
    class Probe:
        """Probe a frozen encoder, or the input features, for speakers and phones.

        Attributes:
            model: a model's folder or hub name; or mel, or mel-no-cmvn, the input features themselves.
            corpus: the folder of a prepared corpus.
            out: the folder that probes.json goes to.
            settings: of the probes.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path | None = None
        settings: _flat(ProbeConfig) = field(default_factory=ProbeConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Probe, "probe", arguments)
    from inattention.probing.command import run_probe

    run_probe(options.model, options.corpus, options.out, options.settings)
    return 0


def extract(arguments: list[str]) -> int:
    """Extract the features of every recording in a folder."""
    import tyro

    from inattention.model.extraction_config import ExtractionConfig

    @dataclass(frozen=True, kw_only=True)
    class Extract:
        """Extract the features of every recording in a folder, of any rate and length. Run again, it goes on.

        Attributes:
            model: a model's folder or hub name.
            folder: where the recordings are; folders inside it count.
            out: where the features go, under the recordings' names.
            settings: of the extraction.
        """

        model: Annotated[str, tyro.conf.Positional]
        folder: Annotated[Path, tyro.conf.Positional]
        out: Path
        settings: _flat(ExtractionConfig) = field(default_factory=ExtractionConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Extract, "extract", arguments)
    from inattention.model.extraction import extract_folder

    done = extract_folder(options.model, options.folder, options.out, **asdict(options.settings))
    print(
        f"{done['extracted']} of {done['files']} files extracted, {done['done_before']} were done before, "
        f"{done['bad']} could not be used; {done['audio_hours']:.2f} hours of audio at "
        f"{done['audio_seconds_per_second']:.0f} seconds a second\nfeatures: {done['out']}"
    )
    return 1 if done["bad"] else 0


def time(arguments: list[str]) -> int:
    """Time encoders that differ in their attention alone, side by side."""
    from inattention.timing.config import TimingConfig

    @dataclass(frozen=True, kw_only=True)
    class Time:
        """Time encoders that differ in their attention alone, side by side in one run.

        Attributes:
            out: the folder that timing.json goes to.
            settings: what is timed.
        """

        out: Path = Path("runs/timing")
        settings: _flat(TimingConfig) = field(default_factory=TimingConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Time, "time", arguments)
    from inattention.timing.command import run_time

    run_time(options.settings, options.out)
    return 0


def analyze(arguments: list[str]) -> int:
    """Look at what an encoder's attention does: an atlas of its heads, figures and measures."""
    import tyro

    from inattention.analysis.config import AnalysisConfig

    @dataclass(frozen=True, kw_only=True)
    class Analyze:
        """Look at what an encoder's attention does: an atlas of its heads, figures and measures.

        Attributes:
            model: the folder or hub name of an encoder, ours or a Hugging Face audio encoder.
            corpus: the folder of a prepared corpus.
            out: where the atlas goes; MODEL/atlas if left out.
            derive_maps: also derive the input-independent maps that come closest to the encoder's attention, into this
                safetensors file, which an encoder starts from as patterned@init=FILE.
            settings: of the analysis.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path | None = None
        derive_maps: Path | None = None
        settings: _flat(AnalysisConfig) = field(default_factory=AnalysisConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Analyze, "analyze", arguments)
    from inattention.analysis.command import run_analyze

    run_analyze(options.model, options.corpus, options.out, options.settings)
    study = Path(options.model).absolute().parent
    if options.out is None and (study / "results.jsonl").is_file():
        from inattention.study.report import write_report

        print(f"the study's report links to it: {write_report(study)}")
    if options.derive_maps is not None:
        from inattention.analysis.derive import run_derive

        run_derive(options.model, options.corpus, options.derive_maps, options.settings)
    return 0


def convert(arguments: list[str]) -> int:
    """Make a trained encoder's attention input-independent: derived maps, then a short distillation."""
    import tyro

    from inattention.analysis.conversion_config import ConversionConfig

    @dataclass(frozen=True, kw_only=True)
    class Convert:
        """Make a trained encoder's attention input-independent. Stopped at any moment, the same command goes on.

        Attributes:
            model: the folder or hub name of an encoder.
            corpus: the folder of a prepared corpus.
            out: where the converted encoder goes, with conversion.json beside it.
            settings: of the conversion.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path
        settings: _flat(ConversionConfig) = field(default_factory=ConversionConfig)  # ty: ignore[invalid-type-form]

    options = _parse(Convert, "convert", arguments)
    from inattention.analysis.conversion import convert as run_conversion
    from inattention.analysis.conversion import summary
    from inattention.corpora.base import open_corpus
    from inattention.model.transformer import AudioTransformer

    encoder = AudioTransformer.from_pretrained(options.model)
    print(summary(run_conversion(encoder, open_corpus(options.corpus), options.out, options.settings)))
    print(f"model: {options.out}")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "study": study,
    "mechanisms": mechanisms,
    "corpus": corpus,
    "pretrain": pretrain,
    "probe": probe,
    "extract": extract,
    "time": time,
    "analyze": analyze,
    "convert": convert,
}


def _help() -> str:
    lines = "\n".join(f"  {name:<12} {(command.__doc__ or '').strip()}" for name, command in COMMANDS.items())
    return (
        "usage: inattention COMMAND [--help] ...\n\n"
        "Speech transformers whose attention does not look at its input.\n\n"
        f"commands:\n{lines}\n\n{EXAMPLES}"
    )


def _flat(config: Any) -> Any:
    """Let a record's settings be flags of their own, without the record's name before them."""
    import tyro

    return Annotated[config, tyro.conf.arg(name="")]


def _parse(of: Any, name: str, arguments: list[str], default: Any = None) -> Any:
    """Read flags into a record, or print help and end."""
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(of, prog=f"inattention {name}", args=arguments, **options)


def _value_of(flag: str, arguments: list[str]) -> str | None:
    """Look a flag up before the flags are known."""
    for i, word in enumerate(arguments):
        if word == flag and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def _with_value(flag: str, value: str, arguments: list[str]) -> list[str]:
    """Let a flag stand alone for its usual value.

    >>> _with_value("--draw", "sheet.svg", ["--draw", "--rows", "qk"])
    ['--draw', 'sheet.svg', '--rows', 'qk']
    """
    alone = [i for i, word in enumerate(arguments) if word == flag and (arguments[i + 1 :] or ["-"])[0][:1] == "-"]
    return [word for i, it in enumerate(arguments) for word in ([it, value] if i in alone else [it])]


def _nearest(word: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; perhaps {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _complain(command: str, message: str) -> int:
    print(f"inattention{' ' + command if command else ''}: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
