"""The study's two tables, after the paper's: the cost of each row (1), and the accuracy of its frozen features (2).

`build_tables` makes both once, as records; `csv_tables`, `terminal_table` and the report's page print them. A number
that is absent has a reason: its job failed, it was never run ("missing"), or it does not apply to the row ("-").
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inattention.comparison import Ratio, Verdict, mark_of, opposite
from inattention.study.collapse import collapse_reason
from inattention.study.comparison import REFERENCE, Estimate, RowComparison, ratio_to_reference
from inattention.study.planning.plan import Kind
from inattention.study.planning.rows import StudyRow
from inattention.study.reporting.families import Family, arrange, grouped
from inattention.study.reporting.paper_results import PaperRow, paper_row
from inattention.study.reporting.text_formatting import number_range
from inattention.study.results import StudyResults
from inattention.text import aligned, within
from inattention.timing.exponents import MixingExponent
from inattention.timing.report import TimedRow

Absence = Literal["failed", "missing", "-"]
Setting = tuple[int, int]
TASK_TITLES = {
    "speaker-utterance": "Speaker, utterance",
    "speaker-frame": "Speaker, frame",
    "phone-1-hidden": "Phone, 1 hidden",
    "phone-2-hidden": "Phone, 2 hidden",
}
# The setting of the paper's Table 1, shown first where it was measured.
PAPER_LENGTH = 500


@dataclass(frozen=True)
class RowNote:
    """A remark on a row that its numbers need.

    Attributes:
        kind: ``collapsed``, or ``seeds`` where the row has fewer than the study.
        text: the note in a few words.
        reason: why a run counts as collapsed; empty elsewhere.
    """

    kind: Literal["collapsed", "seeds"]
    text: str
    reason: str = ""

    def __str__(self) -> str:
        """Return the note with its reason."""
        return f"{self.text}: {self.reason}" if self.reason else self.text


@dataclass(frozen=True)
class AccuracyRow:
    """One row of Table 2.

    Attributes:
        row: the row.
        family: how its family is drawn.
        loss: held-out masked L1.
        below_linear: whether the loss is below that of the linear baseline, by its interval.
        scores: accuracy by task.
        chance: accuracy by task of always predicting the most frequent class.
        absent: why the loss ("loss") or the score of a task is absent.
        seeds: number of seeds that were probed.
        learning_rate: of its pre-training.
        paper: the paper's numbers.
        notes: what a reader of its numbers must know.
    """

    row: StudyRow
    family: Family
    loss: Estimate | None
    below_linear: Verdict
    scores: dict[str, Estimate | None]
    chance: dict[str, float]
    absent: dict[str, Absence]
    seeds: int
    learning_rate: float | None
    paper: PaperRow | None
    notes: tuple[RowNote, ...]

    @property
    def collapse(self) -> RowNote | None:
        """The note on its collapse; None if no run collapsed."""
        return next((note for note in self.notes if note.kind == "collapsed"), None)

    @property
    def collapsed(self) -> bool:
        """Whether any of its runs collapsed."""
        return self.collapse is not None


@dataclass(frozen=True)
class Timed:
    """One row's time in one setting and mode.

    Attributes:
        measured: time, operations and memory.
        ratio: time relative to ``qk``'s in the same rounds; None if ``qk`` was not timed in them.
    """

    measured: TimedRow
    ratio: Ratio | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the ratio; None for a single round or where ``qk`` was not timed in the same rounds."""
        return (self.ratio.low, self.ratio.high) if self.ratio and self.ratio.rounds > 1 else None


@dataclass(frozen=True)
class CostRow:
    """One row of Table 1 in one setting: a length and a batch size; both are None where nothing was timed."""

    row: StudyRow
    family: Family
    length: int | None
    batch: int | None
    forward: Timed | None
    train: Timed | None
    exponent: MixingExponent | None
    absent: Absence
    paper: PaperRow | None


@dataclass(frozen=True)
class Tables:
    """Both tables of a study.

    Attributes:
        tasks: the probing tasks.
        seeds: the study's seeds.
        families: families of the rows, in order.
        accuracy: Table 2, a row for each row of the study.
        utterances: number of test utterances by task, smallest and largest over rows and seeds.
        dev_utterances: number of utterances of the held-out losses, likewise; None if there are none.
        finished_seeds: fewest and most seeds that trained rows have results of.
        costs: Table 1 by setting, the paper's length first; one table without times where nothing was timed.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    families: tuple[Family, ...]
    accuracy: tuple[AccuracyRow, ...]
    utterances: dict[str, tuple[int, int]]
    dev_utterances: tuple[int, int] | None
    finished_seeds: tuple[int, int]
    costs: dict[Setting | None, tuple[CostRow, ...]]

    @property
    def setting(self) -> Setting | None:
        """The length and batch size of the first cost table; None if nothing was timed."""
        return next(iter(self.costs))


def build_tables(results: StudyResults, comparison: RowComparison) -> Tables:
    """Return the tables of a study."""
    families = arrange([row.family for row in results.rows])
    rows = grouped(results.rows, families)
    return Tables(
        tasks=tuple(results.tasks),
        seeds=results.seeds,
        families=tuple(families.values()),
        accuracy=tuple(_accuracy_row(results, comparison, row, families[row.family]) for row in rows),
        utterances={task: counts for task in results.tasks if (counts := results.test_utterances(task))},
        dev_utterances=results.dev_utterances,
        finished_seeds=results.finished_seeds,
        costs={setting: _cost_rows(results, rows, families, setting) for setting in _settings(results) or [None]},
    )


def terminal_table(tables: Tables, width: int | None = None) -> str:
    """Return Table 2 as text, in lines of at most `width` characters."""
    head = ["row", "masked L1", *(TASK_TITLES[task].lower() for task in tables.tasks), ""]
    cells = [
        [
            row.row.name,
            f"{row.loss.mean:.3f}" if row.loss else row.absent["loss"],
            *(as_percent(row.scores[task]) or row.absent[task] for task in tables.tasks),
            "; ".join(note.text for note in row.notes),
        ]
        for row in tables.accuracy
    ]
    # Notes are words: their column is aligned to the left.
    cells = [head, *cells]
    longest = max(len(row[-1]) for row in cells)
    table = aligned([[*row[:-1], row[-1].ljust(longest)] if longest else row[:-1] for row in cells], width)
    seeds = tables.finished_seeds
    of = "one seed: intervals over test utterances" if seeds[1] <= 1 else f"mean of {number_range(seeds)} seeds"
    note = f"accuracy in %, with 95 % intervals ({of})\n{utterances_text(tables)}".rstrip()
    return f"{table}\n\n{note if width is None else within(note, width)}"


def utterances_text(tables: Tables) -> str:
    """Return how many utterances losses and accuracies rest on; empty where nothing was measured."""
    parts = [f"losses on {number_range(tables.dev_utterances)} dev utterances"] if tables.dev_utterances else []
    if tables.utterances:
        if len(set(tables.utterances.values())) == 1:
            counts = f"{number_range(next(iter(tables.utterances.values())))} test utterances"
        else:
            by_task = (f"{number_range(it)} ({TASK_TITLES[task].lower()})" for task, it in tables.utterances.items())
            counts = f"test utterances: {', '.join(by_task)}"
        parts.append(f"accuracies on {counts}")
    return "; ".join(parts)


def as_percent(estimate: Estimate | None) -> str:
    """Return an accuracy and its interval in percent, such as ``43.3 [42.3, 44.3]``; empty if there is none."""
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.mean:.1f}"
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]{mark_of(estimate)}"


def _settings(results: StudyResults) -> list[Setting]:
    """Return the lengths and batch sizes that were timed, the paper's length first."""
    settings = {(timed.length, timed.batch) for timing in results.timing.values() for timed in timing.timed}
    return sorted(settings, key=lambda setting: (setting[0] != PAPER_LENGTH, *setting))


def _cost_rows(
    results: StudyResults, study_rows: Sequence[StudyRow], families: Mapping[str, Family], setting: Setting | None
) -> tuple[CostRow, ...]:
    """Return Table 1 for one setting: every encoder, without untrained copies of others, which cost the same."""
    reference = results.timing[REFERENCE].timed if REFERENCE in results.timing else ()
    rows = []
    for row in study_rows:
        if row.untrained and row.trained in results.by_name:
            continue
        timing = results.timing.get(row.trained) if row.is_timed else None
        found = {
            it.mode: Timed(it, ratio_to_reference(it, reference))
            for it in (timing.timed if timing else ())
            if (it.length, it.batch) == setting
        }
        rows.append(
            CostRow(
                row,
                families[row.family],
                *(setting or (None, None)),
                forward=found.get("forward"),
                train=found.get("train"),
                exponent=timing.exponent if timing else None,
                absent=_why_untimed(results, row),
                paper=paper_row(row.name),
            )
        )
    return tuple(rows)


def _why_untimed(results: StudyResults, row: StudyRow) -> Absence:
    if not row.is_timed or not results.config.timed:
        return "-"
    return "failed" if results.failed("time", row.trained) else "missing"


def _accuracy_row(results: StudyResults, comparison: RowComparison, row: StudyRow, family: Family) -> AccuracyRow:
    runs = results.runs_of(row.name)
    by_task = {task: results.scores_of(row.name, task) for task in results.tasks}
    absent: dict[str, Absence] = {"loss": "-" if row.is_features else _why(results, ("pretrain",), row.name)}
    absent |= dict.fromkeys(results.tasks, _why(results, ("probe", "pretrain"), row.name))
    below: Verdict = "not measured"
    if results.baseline is not None and (found := comparison.loss_difference(row.name, results.baseline)):
        below = opposite(found.verdict)
    return AccuracyRow(
        row=row,
        family=family,
        loss=comparison.loss(row.name),
        below_linear=below,
        scores={task: comparison.accuracy(row.name, task) for task in results.tasks},
        chance={task: scores[0].chance for task, scores in by_task.items() if scores},
        absent=absent,
        seeds=sum(name == row.name for name, _ in results.probes),
        learning_rate=runs[0].learning_rate if runs and runs[0].steps else None,
        paper=paper_row(row.name),
        notes=tuple(_notes(results, row.name)),
    )


def _notes(results: StudyResults, row: str) -> Sequence[RowNote]:
    notes = []
    runs = results.runs_of(row)
    reasons = []
    for run in runs:
        probes = results.probes.get((row, run.seed))
        reason = collapse_reason(run, list(probes.tasks.values()) if probes else [])
        reasons += [reason] if reason else []
    if reasons:
        some = "" if len(reasons) == len(runs) == 1 else f" ({len(reasons)} of {len(runs)} seeds)"
        notes.append(RowNote("collapsed", f"collapsed{some}", reasons[0]))
    seeds, planned = sum(name == row for name, _ in results.probes), len(results.seeds_of(row))
    if 0 < seeds < planned:
        notes.append(RowNote("seeds", f"{seeds} of {planned} seeds"))
    elif planned < len(results.seeds):
        notes.append(RowNote("seeds", "one seed"))
    return notes


def _why(results: StudyResults, kinds: Iterable[Kind], row: str) -> Absence:
    return "failed" if any(results.failed(kind, row) for kind in kinds) else "missing"
