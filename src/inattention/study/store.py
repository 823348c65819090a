"""Bringing the outcomes of a study's steps together in ``results.jsonl``: a line for the study, then one an outcome."""

import json
from pathlib import Path
from typing import Any

from inattention.corpora.core.corpus import Corpus
from inattention.files import write_lines
from inattention.provenance import provenance
from inattention.study.execution.jobs import MAPS
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import OUTCOME, Step
from inattention.study.planning.rows import read_rows, training_of

RESULTS = "results.jsonl"


def write_results(
    folder: Path, config: StudyConfig, preset: str, corpus: Corpus, plan: list[Step], failures: dict[str, str]
) -> Path:
    """Write what is known so far; steps without an outcome are left out, failed ones are named."""
    head = {
        "kind": "study",
        "preset": preset,
        "rows": read_rows(config.rows),
        "seeds": list(config.seeds),
        "config": {**config.to_dict(), "repeated": read_rows(config.repeated)},
        "corpus": corpus.info,
        "provenance": provenance(),
        "failures": [{"step": step, "error": error} for step, error in failures.items()],
    }
    lines = [_line(step, folder) for step in plan if step.done(folder)]
    write_lines(folder / RESULTS, [head, *lines])
    return folder / RESULTS


def fraction_done(step: Step, config: StudyConfig, folder: Path) -> float:
    """Guess how far a running step is: pre-training tells by its curve, others do not."""
    curve = folder / step.folder / "curve.jsonl"
    if step.kind != "pretrain" or not curve.is_file():
        return 0.0
    points, steps = _read_lines(curve), training_of(step.row, config).steps
    return min(0.99, points[-1]["step"] / steps) if points and steps else 0.0


def _line(step: Step, folder: Path) -> dict[str, Any]:
    place = folder / step.folder
    line: dict[str, Any] = {
        "kind": step.kind,
        "row": step.row or None,
        "seed": step.seed,
        "key": step.key,
        "outcome": json.loads((place / OUTCOME).read_text(encoding="utf-8")),
        "folder": step.folder,
    }
    if step.kind == "pretrain":
        curve = place / "curve.jsonl"
        line["curve"] = _read_lines(curve) if curve.is_file() else []
        line["maps"] = f"{step.folder}/{MAPS}" if (place / MAPS).is_file() else None
        run = json.loads((place / "run.json").read_text(encoding="utf-8"))
        line |= {"learning_rate": run["training"]["learning_rate"], "provenance": run["provenance"]}
    return line


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
