"""Going on from what was kept: a study whose folder holds `results.jsonl` but not its steps, as a clone of git does.

Outcomes are put back under the names of their steps; a step whose name has changed, since what it depends on has,
finds none and is done. Trained models are not in `results.jsonl`: pre-training counts as done without its model as
long as no step that is still to do needs it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from inattention.files import write_json, write_lines
from inattention.study.planning.plan import OUTCOME, Step
from inattention.study.store import RESULTS

MODEL = "model.safetensors"


def restore(plan: list[Step], folder: Path) -> int:
    """Put outcomes from the folder's `results.jsonl` back, and open again what lacks a model that is needed.

    Args:
        plan: the study's steps.
        folder: the study's folder.

    Returns:
        How many outcomes were put back.
    """
    lines = _lines(folder / RESULTS)
    kept = [step for step in plan if not step.done(folder) and step.folder in lines]
    for step in kept:
        _put_back(lines[step.folder], folder / step.folder)
    needed = {step.needs for step in plan if not step.done(folder)}
    for step in plan:
        lacks_model = step.kind == "pretrain" and step.done(folder) and not (folder / step.folder / MODEL).is_file()
        if lacks_model and step.folder in needed:
            _open_again(folder / step.folder)
    return len(kept)


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    """Outcomes by their step's folder; a file that cannot be read holds none, and is written anew at the end."""
    found: dict[str, dict[str, Any]] = {}
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if "outcome" in line:
                found[line["folder"]] = line
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} cannot be read ({error}): nothing of it is taken over", file=sys.stderr)
        return {}
    return found


def _put_back(line: dict[str, Any], place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    if line["kind"] == "pretrain":
        write_lines(place / "curve.jsonl", line["curve"])
        if not (place / "run.json").exists():
            training = {"learning_rate": line["learning_rate"]}
            write_json(place / "run.json", {"training": training, "provenance": line["provenance"]})
    write_json(place / OUTCOME, line["outcome"])


def _open_again(place: Path) -> None:
    """Take an outcome without its model back, so that the run is done again: the same bits on the same machine."""
    for name in (OUTCOME, "curve.jsonl", "run.json"):
        (place / name).unlink(missing_ok=True)
