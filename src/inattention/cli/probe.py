"""``inattention probe``: probe one encoder, or the input features, on one corpus."""

import difflib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from inattention.cli.options import flat, parse
from inattention.probing.config import ProbeConfig

if TYPE_CHECKING:
    from inattention.encoders.base import FeatureSource
    from inattention.probing.results import ProbeReport

MEL, MEL_NO_CMVN = "mel", "mel-no-cmvn"
RESULT_FILE = "probes.json"
SKIPS_PRINTED = 3


def run(arguments: list[str]) -> int:
    """Probe a frozen encoder, or the input features, for speakers and phones."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Probe:
        """Probe a frozen encoder, or the input features, for speakers and phones.

        Attributes:
            model: folder or hub name of a model, ours or a Hugging Face encoder; or mel or mel-no-cmvn, the input
                features themselves.
            corpus: folder of a prepared corpus.
            out: folder of probes.json; default: nothing is written.
            settings: of the probes.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path | None = None
        settings: flat(ProbeConfig) = field(default_factory=ProbeConfig)  # ty: ignore[invalid-type-form]

    options = parse(Probe, "probe", arguments)
    run_probe(options.model, options.corpus, options.out, options.settings)
    return 0


def run_probe(model: str, corpus: Path, out: Path | None, config: ProbeConfig) -> "ProbeReport":
    """Probe a model, print the accuracies, and write them.

    Args:
        model: a model's folder or hub name; or `mel` or `mel-no-cmvn`, the input features themselves.
        corpus: the folder of a prepared corpus.
        out: the folder of `probes.json`; nothing is written if None.
        config: the settings.

    Raises:
        ValueError: if the model, the corpus or a setting cannot be used; the message says what and where.
    """
    from inattention.corpora.core.corpus import open_corpus
    from inattention.probing.features import ProbeError
    from inattention.probing.run import probe

    opened = open_corpus(corpus)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProbeError(f"{out} cannot be made a folder for the results ({error.strerror})") from error
    report = probe(open_source(model, config), opened, config)
    print(table(report))
    for line in skipped_lines(report):
        print(line, file=sys.stderr)
    if out is not None:
        corpus_record = {"name": opened.name, "key": opened.key, "folder": str(opened.folder)}
        write(report, out / RESULT_FILE, model=model, corpus=corpus_record, config=config)
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


def table(report: "ProbeReport") -> str:
    """Format a report as a table for a terminal."""
    head = f"{report.source}: accuracy on test, with 95 % intervals over utterances"
    lines = [
        head,
        f"{'task':<18}{'accuracy':>9}  {'interval':^15}{'chance':>8}{'dev':>7}{'epoch':>7}{'classes':>9}{'items':>9}",
    ]
    lines += [
        f"{r.task:<18}{r.accuracy:>9.4f}  [{r.low:.4f}, {r.high:.4f}]{r.chance:>7.4f}{r.dev_accuracy:>7.3f}"
        f"{r.best_epoch:>7}{r.classes:>9}{r.items['test']:>9}"
        for r in report.tasks
    ]
    return "\n".join(lines)


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


def write(report: "ProbeReport", path: Path, *, model: str, corpus: dict[str, str], config: ProbeConfig) -> None:
    """Write a report with its settings and provenance, atomically.

    Raises:
        ProbeError: if it cannot be written.
    """
    from inattention.files import write_json
    from inattention.probing.features import ProbeError
    from inattention.provenance import provenance

    record = {
        "model": model,
        "corpus": corpus,
        "config": config.to_dict(),
        "report": report.to_dict(),
        "provenance": provenance(),
    }
    try:
        write_json(path, record)
    except OSError as error:
        raise ProbeError(f"{path} cannot be written ({error.strerror})") from error
