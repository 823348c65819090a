"""A study's `results.jsonl`, read with types: what every table, figure and sentence of the report is made from."""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from inattention import attention
from inattention.attention import Card
from inattention.probing.config import TASKS
from inattention.study.planning.config import MEL_ROWS
from inattention.study.planning.rows import is_setting
from inattention.study.reporting.families import Family, arrange
from inattention.timing.exponents import MixingExponent
from inattention.timing.report import Product, TimedRow

RESULTS = "results.jsonl"
_MEL_LABELS = {"mel": "Mel", "mel-no-cmvn": "Mel, not normalised"}
_UNTRAINED = "@untrained"


class ResultsError(ValueError):
    """A results file that is missing or broken: which file, which line, what to do."""


@dataclass(frozen=True)
class RowInfo:
    """A row, and what tables say of it whatever was measured.

    Attributes:
        name: as studies and commands write it.
        label: the mechanism's name in words.
        family: what it is grouped under.
        card: the mechanism's card; None for Mel, and for a mechanism that is not installed here.
        untrained: whether the encoder was left as it was started.
        settings: what the row sets of its model and training, such as ``model.maps=per-layer``.
    """

    name: str
    label: str
    family: Family
    card: Card | None
    untrained: bool
    settings: tuple[str, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether there is a time of its own: not for features, nor for what differs in more than its attention."""
        return not self.is_mel and not self.settings

    @property
    def is_mel(self) -> bool:
        """Whether there is no model in it."""
        return self.name in MEL_ROWS

    @property
    def trained_name(self) -> str:
        """The row of the same encoder, trained; of a trained one its own name."""
        return self.name.removesuffix(_UNTRAINED)


@dataclass(frozen=True)
class CurvePoint:
    """The held-out loss at one moment of a run."""

    step: int
    held_out_l1: float
    seconds: float


@dataclass(frozen=True)
class Pretraining:
    """How one pre-training run ended. An untrained row's run made no step and has no curve."""

    row: str
    seed: int
    steps: int
    parameters: int
    attention_parameters: int
    held_out_l1: float
    mean_l1: float
    seconds: float
    skipped: Mapping[str, str]
    curve: tuple[CurvePoint, ...]
    maps: Path | None
    learning_rate: float | None = None
    folder: Path | None = None  # with the model, where it is at hand


@dataclass(frozen=True)
class Score:
    """What one probe found on the test split; low and high are its 95 % bootstrap interval over utterances."""

    accuracy: float
    low: float
    high: float
    chance: float
    classes: int
    utterances: int


@dataclass(frozen=True)
class Probes:
    """All probes of one row and seed."""

    row: str
    seed: int
    scores: Mapping[str, Score]
    skipped: int


@dataclass(frozen=True)
class Timing:
    """One row's times, and what they were taken on; `own` is that of a training step at the study's own size."""

    row: str
    timed: tuple[TimedRow, ...]
    exponent: MixingExponent | None
    products: tuple[Product, ...]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    config: Mapping[str, Any]
    own: TimedRow | None = None


@dataclass(frozen=True)
class Failure:
    """A step that failed, and how."""

    step: str
    error: str


@dataclass(frozen=True)
class StudyResults:
    """All that a study found.

    Attributes:
        folder: the study's folder.
        preset: the preset that it began from.
        rows: rows in order.
        seeds: its seeds.
        config: its full settings.
        corpus: what `corpus.json` says.
        provenance: versions, machine and commit.
        failures: steps that failed.
        pretraining: by row and seed.
        probes: by row and seed.
        timing: by row.
        floors: the masked loss of the neighbour regression, by seed.
    """

    folder: Path
    preset: str
    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    config: Mapping[str, Any]
    corpus: Mapping[str, Any]
    provenance: Mapping[str, Any]
    failures: tuple[Failure, ...]
    pretraining: Mapping[tuple[str, int], Pretraining]
    probes: Mapping[tuple[str, int], Probes]
    timing: Mapping[str, Timing]
    floors: Mapping[int, float]

    @classmethod
    def load(cls, folder: str | Path) -> "StudyResults":
        """Read a study's results. Where a line was written twice, the later one stands.

        Raises:
            ResultsError: if the file is missing, or a line of it is broken; the message names the line.
        """
        folder = Path(folder)
        path = folder / RESULTS
        try:
            texts = path.read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            raise ResultsError(
                f"there is no {path}: run the study first, with `inattention study --out {folder}`"
            ) from None
        except UnicodeDecodeError as error:
            raise ResultsError(f"{path} is no text ({error}): run the study again, it keeps what is done") from None
        study: dict[str, Any] = {}
        found: dict[str, dict[Any, Any]] = {kind: {} for kind in _READERS}
        for number, text in enumerate(texts, start=1):
            try:
                line = json.loads(text)
                kind = line["kind"]
                if kind == "study":
                    study = _read_study(line)
                elif kind in _READERS:
                    key, value = _READERS[kind](line, folder)
                    found[kind][key] = value
                else:
                    raise ValueError(f"there is no kind {kind!r}")
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
                raise ResultsError(
                    f"{path}, line {number}: {why}; run the study again, which writes the file anew from its steps"
                ) from None
        if not study:
            raise ResultsError(f"{path} has no line of kind 'study'; run the study again, which writes the file anew")
        return cls(
            folder=folder,
            **study,
            pretraining=found["pretrain"],
            probes=found["probe"],
            timing=found["time"],
            floors=found["floor"],
        )

    @cached_property
    def infos(self) -> tuple[RowInfo, ...]:
        """All rows, family by family, each family in the study's order; untrained encoders follow all others."""
        cards = {row: _card(row) for row in self.rows}
        names = {row: "mel" if row in MEL_ROWS else card.family if card else "unknown" for row, card in cards.items()}
        families = arrange(list(names.values()))
        places = list(families)
        infos = [
            RowInfo(
                row,
                _label(row, card),
                families[names[row]],
                card,
                row.endswith(_UNTRAINED),
                tuple(part for part in row.split("@") if is_setting(part)),
            )
            for row, card in cards.items()
        ]
        return tuple(sorted(infos, key=lambda info: (info.untrained, places.index(info.family.name))))

    def info(self, row: str) -> RowInfo:
        """Give a row by its name."""
        return next(info for info in self.infos if info.name == row)

    @property
    def families(self) -> list[Family]:
        """The families of this study's rows, in order."""
        return list(dict.fromkeys(info.family for info in self.infos))

    @property
    def tasks(self) -> list[str]:
        """The probing tasks that were asked for or done, in the paper's order."""
        asked = set(self.config.get("probes", {}).get("tasks", TASKS))
        return [task for task in TASKS if task in asked or any(task in p.scores for p in self.probes.values())]

    @property
    def floor(self) -> float | None:
        """The masked loss of the neighbour regression, mean over seeds; None if it was not measured."""
        return statistics.fmean(self.floors.values()) if self.floors else None

    def runs_of(self, row: str) -> list[Pretraining]:
        """A row's pre-training runs, by seed."""
        return [run for (name, _), run in sorted(self.pretraining.items()) if name == row]

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds that a row is run with: all of them, or the first alone where others are repeated."""
        repeated = self.config.get("repeated", [])
        return self.seeds if not repeated or row in repeated else self.seeds[:1]

    def scores_of(self, row: str, task: str) -> list[Score]:
        """A row's scores in a task, by seed."""
        found = [probes for (name, _), probes in sorted(self.probes.items()) if name == row]
        return [probes.scores[task] for probes in found if task in probes.scores]

    def step_times(self) -> dict[str, float]:
        """Times of a training step at the study's own size relative to ``qk``'s, by row, for rows that have one."""
        return {name: timing.own.ratio for name, timing in self.timing.items() if timing.own}

    def failed(self, kind: str, row: str) -> str | None:
        """Say how a step of a row failed; None if none did."""
        for failure in self.failures:
            words = failure.step.split(" ", 1)
            if words[0] != kind:
                continue
            if words[1:] in ([], [row], *([f"{row}-{seed}"] for seed in self.seeds)):
                return failure.error
        return None


def _read_study(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "preset": str(line["preset"]),
        "rows": tuple(line["rows"]),
        "seeds": tuple(line["seeds"]),
        "config": dict(line["config"]),
        "corpus": dict(line["corpus"]),
        "provenance": dict(line["provenance"]),
        "failures": tuple(Failure(str(it["step"]), str(it["error"])) for it in line["failures"]),
    }


def _read_pretraining(line: dict[str, Any], folder: Path) -> tuple[tuple[str, int], Pretraining]:
    outcome = line["outcome"]
    curve = [CurvePoint(int(p["step"]), float(p["held_out_l1"]), float(p["seconds"])) for p in line["curve"]]
    maps = line.get("maps")
    run = Pretraining(
        row=line["row"],
        seed=int(line["seed"]),
        steps=int(outcome["steps"]),
        parameters=int(outcome["parameters"]),
        attention_parameters=int(outcome["attention_parameters"]),
        held_out_l1=float(outcome["held_out_l1"]),
        mean_l1=float(outcome["mean_l1"]),
        seconds=float(outcome["seconds"]),
        learning_rate=line.get("learning_rate"),
        skipped=dict(outcome["skipped"]),
        curve=tuple(curve),
        maps=folder / maps if maps else None,
        folder=folder / line["folder"] if line.get("folder") else None,
    )
    return (run.row, run.seed), run


def _read_probes(line: dict[str, Any], folder: Path) -> tuple[tuple[str, int], Probes]:
    outcome = line["outcome"]
    scores = {
        task["task"]: Score(
            accuracy=float(task["accuracy"]),
            low=float(task["low"]),
            high=float(task["high"]),
            chance=float(task["chance"]),
            classes=int(task["classes"]),
            utterances=int(task["utterances"]["test"]),
        )
        for task in outcome["tasks"]
    }
    skipped = sum(split["count"] for split in outcome["skipped"].values())
    key = line["row"], int(line["seed"])
    return key, Probes(*key, scores, skipped)


def _read_timing(line: dict[str, Any], folder: Path) -> tuple[str, Timing]:
    outcome = line["outcome"]
    exponent = outcome.get("exponent")
    timing = Timing(
        row=line["row"],
        timed=tuple(_record(TimedRow, timed) for timed in outcome["timed"]),
        exponent=_record(MixingExponent, exponent) if exponent else None,
        products=tuple(_record(Product, product) for product in outcome["products"]),
        machine=dict(outcome["machine"]),
        versions=dict(outcome["versions"]),
        config=dict(outcome["config"]),
        own=_record(TimedRow, outcome["own"]) if outcome.get("own") else None,
    )
    return timing.row, timing


def _read_floor(line: dict[str, Any], folder: Path) -> tuple[int, float]:
    return int(line["seed"]), float(line["outcome"]["neighbour_l1"])


_READERS: dict[str, Callable[[dict[str, Any], Path], tuple[Any, Any]]] = {
    "pretrain": _read_pretraining,
    "probe": _read_probes,
    "time": _read_timing,
    "floor": _read_floor,
}


def _record(of: Any, data: Mapping[str, Any]) -> Any:
    """Make a record from plain data, in which JSON has turned tuples into lists."""
    settings = {field.name: data[field.name] for field in fields(of)}
    return of(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def _card(row: str) -> Card | None:
    try:
        return None if row in MEL_ROWS else attention.card(row.partition("@")[0])
    except ValueError:  # a plug-in's, which is not installed here
        return None


def _label(row: str, card: Card | None) -> str:
    mechanism, *parts = row.split("@")
    label = _MEL_LABELS.get(row) or (card.label if card else mechanism)
    return ", ".join([label, *parts])
