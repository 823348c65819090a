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
from typing import Annotated, Literal

from inattention.cli.corpus import corpus
from inattention.cli.options import complain, flat, nearest, parse, value_of, with_value

EXAMPLES = """examples:
  inattention study --preset smoke                       the whole study in minutes, from nothing to report.html
  inattention study --preset laptop --only qk patterned  two rows of a longer one
  inattention compare results/queen results/queen-leak   the same rows, with and without a leak
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
        return complain("", f"there is no command {name!r}{nearest(name, COMMANDS)}")
    try:
        return COMMANDS[name](rest)
    except KeyboardInterrupt:
        return complain(name, "stopped; the same command goes on where it was")
    except Exception as error:
        from inattention.pretraining.stopping import RunDiverged, RunStopped

        # What is ours to say is said in a line; anything else is a fault of ours, and its whole story is wanted.
        expected = isinstance(error, ValueError | OSError | RunDiverged | RunStopped)
        if not expected or os.environ.get("INATTENTION_DEBUG"):
            raise
        return complain(name, str(error))


def study(arguments: list[str]) -> int:
    """Pre-train, probe and time several mechanisms, and write one report."""
    from inattention.study.planning.config import StudyConfig
    from inattention.study.planning.presets import PRESETS, preset

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
        settings: flat(StudyConfig) = field(default_factory=lambda: PRESETS["smoke"])  # ty: ignore[invalid-type-form]

    chosen = value_of("--preset", arguments) or "smoke"
    options = parse(Study, "study", arguments, default=Study(preset=chosen, settings=preset(chosen)))
    settings = replace(options.settings, rows=options.only) if options.only else options.settings

    from inattention.study.execution.run import run_study
    from inattention.study.reporting.tables import terminal_table

    folder = options.out or Path("runs") / options.preset
    report, failures = run_study(settings, folder, preset=options.preset, jobs=options.jobs, executor=options.executor)
    print(terminal_table(folder))
    for step, reason in failures.items():
        print(f"failed: {step}: {reason}", file=sys.stderr)
    print(f"\nreport: {report}")
    return 1 if failures else 0


def compare(arguments: list[str]) -> int:
    """Hold studies side by side: the same rows under another task, corpus or seed."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Compare:
        """Hold studies side by side, or all rows of a study against one of them. Prints Markdown.

        Attributes:
            studies: folders of studies.
            against: the row that all others of its study are held against; else each row of a later study is held
                against that of the first.
            only: the rows wanted; all that can be compared if left out.
        """

        studies: Annotated[tuple[Path, ...], tyro.conf.Positional]
        against: str | None = None
        only: tuple[str, ...] = ()

    options = parse(Compare, "compare", arguments)
    from inattention.study.reporting.compare_studies import as_table, compare_studies

    print(as_table(compare_studies(options.studies, against=options.against, rows=options.only)), end="")
    return 0


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

    options = parse(Mechanisms, "mechanisms", with_value("--draw", "mechanisms.svg", arguments))
    if options.draw is not None:
        from inattention.analysis.mechanism_sheet import save_sheet

        save_sheet(options.draw, options.rows)
        print(f"drawn: {options.draw}")
        return 0
    from inattention.attention.listing import as_data, as_text

    print(json.dumps(as_data(), indent=2, ensure_ascii=False) if options.json else as_text())
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

    options = parse(Pretrain, "pretrain", arguments)
    from inattention.attention.rows import parse_row
    from inattention.corpora.core.corpus import open_corpus
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
        settings: flat(ProbeConfig) = field(default_factory=ProbeConfig)  # ty: ignore[invalid-type-form]

    options = parse(Probe, "probe", arguments)
    from inattention.probing.command import run_probe

    run_probe(options.model, options.corpus, options.out, options.settings)
    return 0


def extract(arguments: list[str]) -> int:
    """Extract the features of every recording in a folder."""
    import tyro

    from inattention.encoders.extraction.config import ExtractionConfig

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
        settings: flat(ExtractionConfig) = field(default_factory=ExtractionConfig)  # ty: ignore[invalid-type-form]

    options = parse(Extract, "extract", arguments)
    from inattention.encoders.extraction.run import extract_folder

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
        settings: flat(TimingConfig) = field(default_factory=TimingConfig)  # ty: ignore[invalid-type-form]

    options = parse(Time, "time", arguments)
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
        settings: flat(AnalysisConfig) = field(default_factory=AnalysisConfig)  # ty: ignore[invalid-type-form]

    options = parse(Analyze, "analyze", arguments)
    from inattention.analysis.run import run_analyze

    run_analyze(options.model, options.corpus, options.out, options.settings)
    study = Path(options.model).absolute().parent
    if options.out is None and (study / "results.jsonl").is_file():
        from inattention.study import store
        from inattention.study.reporting.report import build_report, write_report

        print(f"the study's report links to it: {write_report(build_report(store.load(study)))}")
    if options.derive_maps is not None:
        from inattention.conversion.derive import run_derive

        run_derive(options.model, options.corpus, options.derive_maps, options.settings)
    return 0


def convert(arguments: list[str]) -> int:
    """Make a trained encoder's attention input-independent: derived maps, then a short distillation."""
    import tyro

    from inattention.conversion.config import ConversionConfig

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
        settings: flat(ConversionConfig) = field(default_factory=ConversionConfig)  # ty: ignore[invalid-type-form]

    options = parse(Convert, "convert", arguments)
    from inattention.conversion.convert import convert as run_conversion
    from inattention.conversion.convert import summary
    from inattention.corpora.core.corpus import open_corpus
    from inattention.model.transformer import AudioTransformer

    encoder = AudioTransformer.from_pretrained(options.model)
    print(summary(run_conversion(encoder, open_corpus(options.corpus), options.out, options.settings)))
    print(f"model: {options.out}")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "study": study,
    "compare": compare,
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
