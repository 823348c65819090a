"""Conversions in the folders below one folder, with what was measured of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inattention.attention import card
from inattention.attention.rows import parse_row
from inattention.conversion.measure.word_errors import WordCounts
from inattention.conversion.page.page import ranges
from inattention.conversion.page.sources import MEASUREMENTS, RECORD
from inattention.conversion.trained.config import FRESH

TEACHER = "teacher"


@dataclass(frozen=True)
class ConversionRecord:
    """One conversion.

    Attributes:
        folder: name of its folder.
        row: what replaced the attention, and in which layers and heads, where it is not all.
        seed: of its random choices.
        replaced: number of layers that were replaced.
        layers: number of layers of the encoder.
        conversion: the contents of ``conversion.json``.
        measurements: the contents of ``measurements.json``; None if nothing was measured.
    """

    folder: str
    row: str
    seed: int
    replaced: int
    layers: int
    conversion: Mapping[str, Any]
    measurements: Mapping[str, Any] | None

    @property
    def relative_error(self) -> float:
        """Relative error of the encoder's output after distillation."""
        return self.conversion["relative_error"]["after"]

    @property
    def length(self) -> str:
        """Length of the distillation as it was asked for, with that of the conversion that it goes on from."""
        config, before = self.conversion["config"], (self.conversion.get("continues") or {}).get("steps", 0)
        if config["steps"] or before:
            return f"{before + (config['steps'] or self.conversion['steps'])} steps"
        return f"{config['minutes']:g} min"

    @property
    def input_independent(self) -> bool:
        """Whether the mechanism's weights are the same for every input; False of one that is not installed."""
        try:
            return card(parse_row(self.conversion["to"].removesuffix(FRESH)).mechanism).input_independent
        except ValueError:
            return False

    def counts(self, length: str) -> WordCounts | None:
        """Return the word counts of the student fed ``own`` or ``30``; None if they were not measured."""
        return self._counts(length, "student_errors")

    def teacher_counts(self, length: str) -> WordCounts | None:
        """Return the word counts of the teacher on the same utterances."""
        return self._counts(length, "teacher_errors")

    def _counts(self, length: str, whose: str) -> WordCounts | None:
        words = self.words(length)
        if words is None:
            return None
        counts = words["counts"]
        correct = tuple(all_ - wrong for all_, wrong in zip(counts["words"], counts[whose], strict=True))
        return WordCounts(tuple(counts["utterances"]), correct, tuple(counts["words"]))

    def words(self, length: str) -> Mapping[str, Any] | None:
        """Return what was measured of words at a length; None without texts."""
        found = (self.measurements or {}).get("words", ())
        return next((it for it in found if it["length"] == length and it["words"]), None)

    def probe(self, task: str) -> tuple[float, float] | None:
        """Return the accuracies of a probe on the encoder's output, of student and teacher; None if not measured."""
        found = [it for it in (self.measurements or {}).get("probes", ()) if it["task"] == task]
        if not found:
            return None
        last = max(found, key=lambda it: it["layer"])
        return last["student"]["accuracy"], last["teacher"]["accuracy"]

    def time_ratio(self, speech_seconds: int) -> tuple[float, float, float] | None:
        """Return the encoder's time on some seconds of speech, relative to the teacher as it is used, with interval."""
        for it in (self.measurements or {}).get("times", ()):
            if (it["model"], it["speech_seconds"]) == ("student", speech_seconds):
                return it["ratio"]["ratio"], it["ratio"]["low"], it["ratio"]["high"]
        return None


def read_conversions(root: Path) -> list[ConversionRecord]:
    """Read the conversions in the folders below a folder, in the order of their names.

    Raises:
        ValueError: if there are none, they have several teachers, or a file is damaged.
    """
    found = [_read(path.parent) for path in sorted(root.glob(f"*/{RECORD}"))]
    if not found:
        raise ValueError(f"{root}: no folder below it holds a {RECORD}; make one with inattention convert")
    teachers = {it.conversion["teacher"]["digest"] for it in found}
    if len(teachers) > 1:
        raise ValueError(f"{root}: the conversions have {len(teachers)} different teachers; a table has one")
    return _told_apart(found)


def _told_apart(records: list[ConversionRecord]) -> list[ConversionRecord]:
    """Return the records, with the length of the distillation in the names of rows that have several."""
    lengths: dict[str, set[str]] = {}
    for it in records:
        lengths.setdefault(it.row, set()).add(it.length)
    return [replace(it, row=f"{it.row}, {it.length}") if len(lengths[it.row]) > 1 else it for it in records]


def _read(folder: Path) -> ConversionRecord:
    conversion = _object(folder / RECORD)
    measured = folder / MEASUREMENTS
    try:
        config = conversion["config"]
        parts = _layer_parts(conversion)
        if config["heads"] != "all":
            parts.append(f"heads {config['heads']}")
        if config["lengths"] != "mixed":
            parts.append(f"fed {config['lengths']}")
        return ConversionRecord(
            folder=folder.name,
            row=", ".join([conversion["to"], *parts]),
            seed=config["seed"],
            replaced=conversion["converted_layers"],
            layers=conversion["layers"],
            conversion=conversion,
            measurements=_object(measured) if measured.exists() else None,
        )
    except KeyError as error:
        raise ValueError(f"{folder / RECORD} is no record of a conversion: {error} is missing") from None


_ORDERS = {"least-dependent": "least dependent first", "least-error": "least error first"}


def _layer_parts(conversion: Mapping[str, Any]) -> list[str]:
    """Return which layers were replaced, unless it is all of them, and whether they were one after the other."""
    config = conversion["config"]
    if "stages" not in conversion:
        only = str(config["layers"])
        return [] if only == "all" else [f"{'layer' if only.isdecimal() else 'layers'} {only}"]
    replaced = next((sorted(it["layers"]) for it in conversion["stages"] if it["kept"]), [])
    order = _ORDERS.get(config["order"], "last first")
    if len(replaced) == conversion["layers"]:
        return [order]
    return [f"{'layer' if len(replaced) == 1 else 'layers'} {ranges(replaced)}" if replaced else "no layer", order]


def _object(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return data
