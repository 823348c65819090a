"""``inattention probe``: probe one encoder, or the input features, on one corpus."""

import difflib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from inattention.cli.terminal.output import print_json, table_width
from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.probing.config import ProbeConfig
from inattention.progress import hidden
from inattention.text import aligned, within

if TYPE_CHECKING:
    from inattention.encoders.base import FeatureSource
    from inattention.probing.results import ProbeReport

MEL, MEL_NO_CMVN = "mel", "mel-no-cmvn"
RESULT_FILE = "probes.json"
SKIPS_PRINTED = 3


def run(arguments: list[str]) -> int:
    """Probe an encoder, or the input features, for speakers and phones."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Probe(Quiet):
        """Probe a frozen encoder, or the input features, for speakers and phones.

        Attributes:
            model: folder or hub name of a model, ours or a Hugging Face encoder; or mel or mel-no-cmvn, the input
                features themselves.
            corpus: folder of a prepared corpus.
            out: folder of probes.json; default: nothing is written.
            json: print the contents of probes.json (model, corpus, config, report with source, width and tasks,
                provenance) in place of a table.
            settings: of the probes.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path | None = None
        json: bool = False
        settings: flat(ProbeConfig) = field(default_factory=ProbeConfig)  # ty: ignore[invalid-type-form]

    options = parse(Probe, "probe", arguments)
    with hidden(options.quiet):
        run_probe(
            options.model,
            options.corpus,
            options.out,
            options.settings,
            quiet=options.quiet,
            as_json=options.json,
        )
    return 0


def run_probe(
    model: str, corpus: Path, out: Path | None, config: ProbeConfig, *, quiet: bool = False, as_json: bool = False
) -> "ProbeReport":
    """Probe a model, print the accuracies, and write them.

    Args:
        model: a model's folder or hub name; or `mel` or `mel-no-cmvn`, the input features themselves.
        corpus: the folder of a prepared corpus.
        out: the folder of `probes.json`; nothing is written if None.
        config: the settings.
        quiet: print no table.
        as_json: print what is written, in place of a table.

    Raises:
        ValueError: if the model, the corpus or a setting cannot be used; the message says what and where.
    """
    from inattention.corpora.core.corpus import open_corpus
    from inattention.files import check_writable
    from inattention.probing.features import ProbeError
    from inattention.probing.run import probe

    opened = open_corpus(corpus)
    if out is not None:
        try:
            check_writable(out)
        except ValueError as error:
            raise ProbeError(str(error)) from None
    report = probe(open_source(model, config), opened, config)
    for line in skipped_lines(report):
        print(line, file=sys.stderr)
    corpus_record = {"name": opened.name, "key": opened.key, "folder": str(opened.folder)}
    record = record_of(report, model=model, corpus=corpus_record, config=config)
    if as_json:
        print_json(record)
    elif not quiet:
        print(table(report, table_width()))
    if out is not None:
        write(record, out / RESULT_FILE)
    return report


def open_source(model: str, config: ProbeConfig) -> "FeatureSource":
    """Return the features that a name on the command line stands for.

    Raises:
        ModelFolderError: if it is no model.
    """
    from inattention.audio.config import FeatureConfig
    from inattention.encoders.mel import MelSource
    from inattention.encoders.open import open_features
    from inattention.model.loading import ModelFolderError
    from inattention.probing.training import device_of

    if model in (MEL, MEL_NO_CMVN):
        return MelSource(FeatureConfig(normalise=model == MEL))
    if not os.path.isdir(model) and "/" not in model:
        close = difflib.get_close_matches(model, (MEL, MEL_NO_CMVN), n=1)
        perhaps = f"perhaps {close[0]!r}? Else " if close else ""
        raise ModelFolderError(
            f"{model}: there is no such folder; {perhaps}give a model's folder, {MEL} or {MEL_NO_CMVN}"
        )
    return open_features(model, device_of(config))


def table(report: "ProbeReport", width: int | None = None) -> str:
    """Format a report as a table, in lines of at most `width` characters."""
    counts = sorted({result.utterances["test"] for result in report.tasks})
    over = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else counts[0] if counts else "no"
    head = f"{report.source}: accuracy on test, with 95 % intervals over {over} utterances"
    cells = [["task", "accuracy", "interval", "chance", "dev", "epoch", "classes", "items"]]
    cells += [
        [
            r.task,
            f"{r.accuracy:.4f}",
            f"[{r.low:.4f}, {r.high:.4f}]",
            f"{r.chance:.4f}",
            f"{r.dev_accuracy:.3f}",
            str(r.best_epoch),
            str(r.classes),
            str(r.items["test"]),
        ]
        for r in report.tasks
    ]
    return f"{head if width is None else within(head, width)}\n{aligned(cells, width)}"


def skipped_lines(report: "ProbeReport") -> list[str]:
    """Return lines on the utterances that could not be used, the first few with name and reason."""
    where = {"features": report.skipped} | {result.task: result.skipped for result in report.tasks}
    nameless = sum(report.unlabelled.values())
    lines = [f"utterances with neither a speaker nor phones, not read: {nameless}"] if nameless else []
    for what, skipped in where.items():
        named = [f"  {split}: {skip.utterance}: {skip.reason}" for split, skips in skipped.items() for skip in skips]
        if named:
            lines += [f"{what}: utterances that could not be used: {len(named)}", *named[:SKIPS_PRINTED]]
    return lines


def record_of(report: "ProbeReport", *, model: str, corpus: dict[str, str], config: ProbeConfig) -> dict[str, Any]:
    """Return a report with its settings and provenance, as plain data."""
    from inattention.provenance import provenance

    return {
        "model": model,
        "corpus": corpus,
        "config": config.to_dict(),
        "report": report.to_dict(),
        "provenance": provenance(),
    }


def write(record: dict[str, Any], path: Path) -> None:
    """Write a record, atomically; its folder is created if needed.

    Raises:
        ProbeError: if it cannot be written.
    """
    from inattention.files import write_json
    from inattention.probing.features import ProbeError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
    except OSError as error:
        raise ProbeError(f"{path} cannot be written ({error.strerror})") from error
