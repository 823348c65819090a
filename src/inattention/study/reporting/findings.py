"""What a study found, in sentences made from its numbers.

A difference is called one only where 95 % intervals lie apart; where they overlap, the two cannot be told apart.
Nothing is said of what was not measured.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from inattention.study.estimates import Verdict, compare
from inattention.study.reporting.families import infos_of
from inattention.study.reporting.row_pairs import baselines, subjects
from inattention.study.reporting.tables import AccuracyRow, CostRow
from inattention.study.reporting.text_formatting import TASK_WORDS, code, counted, listing, percent
from inattention.study.results import StudyResults

# So many are spoken of, and that with the lowest loss; tables have them all.
_SPOKEN_OF = 2
# Where no more rows than this are above another, they are named.
_FEW = 6


def findings(
    results: StudyResults, accuracy: Sequence[AccuracyRow], costs: Sequence[CostRow]
) -> list[tuple[str, list[Markup]]]:
    """Say what was found, subject by subject: a heading of a word or two, and paragraphs.

    Args:
        results: the study.
        accuracy: its Table 2.
        costs: its Table 1 in the setting that counts.
    """
    spoken_of = _spoken_of(results, accuracy)
    parts = [
        ("Time", _time(costs, spoken_of)),
        ("Masked loss", _loss(results, accuracy)),
        ("Against query-key attention", _against_qk(accuracy, results.tasks, spoken_of)),
        ("What pre-training added", _against_untrained(accuracy, results.tasks)),
        ("Against Mel", _against_mel(accuracy, results.tasks)),
        ("Collapsed", _collapsed(accuracy)),
    ]
    return [(heading, paragraphs) for heading, paragraphs in parts if paragraphs]


def comparison(one: AccuracyRow, other: AccuracyRow, tasks: Sequence[str]) -> Markup:
    """Say on which tasks one row is above or below another, and on which they cannot be told apart."""
    verdicts: dict[Verdict, list[str]] = {}
    for task in tasks:
        verdict = compare(one.scores.get(task), other.scores.get(task))
        if verdict is not None:
            verdicts.setdefault(verdict, []).append(task)
    if not verdicts:
        return Markup("not both measured")
    measured = sum(map(len, verdicts.values()))
    clauses = []
    for verdict in ("higher", "lower"):
        found = verdicts.get(verdict, [])
        numbers = [f"{TASK_WORDS[task]} ({_pair(one, other, task)})" for task in found]
        if found:
            clauses.append(Markup("{} on {}").format(verdict, listing(numbers)))
    same = verdicts.get("overlapping", [])
    if len(same) == measured:
        return Markup("cannot be told apart on {}").format(_all_of(measured) if measured > 1 else TASK_WORDS[same[0]])
    if same:
        clauses.append(Markup("cannot be told apart on {}").format(listing([TASK_WORDS[task] for task in same])))
    return Markup("; ").join(clauses)


def _spoken_of(results: StudyResults, accuracy: Sequence[AccuracyRow]) -> list[str]:
    """Pick the rows that sentences are about: the paper's own, and whatever has the lowest held-out loss."""
    names = [info.name for info in subjects(infos_of(results))]
    losses = {row.info.name: row.loss.mean for row in accuracy if row.info.name in names and row.loss}
    losses = {name: loss for name, loss in losses.items() if math.isfinite(loss)}
    lowest = min(losses, key=lambda name: losses[name], default=None)
    return list(dict.fromkeys([*names[:_SPOKEN_OF], *([lowest] if lowest else [])]))


def _time(costs: Sequence[CostRow], spoken_of: Sequence[str]) -> list[Markup]:
    by_name = {row.info.name: row for row in costs}
    said = []
    for info in (by_name[name].info for name in spoken_of if name in by_name):
        row = by_name[info.name]
        timed = [(words, it) for words, it in (("forward", row.forward), ("in a training step", row.train)) if it]
        ratios = [f"{words} {it.ratio:.2f} ({it.ratio_low:.2f} to {it.ratio_high:.2f})" for words, it in timed]
        if ratios:
            paper = f"; the paper has {row.paper.ratio:.2f}" if row.paper and row.paper.ratio else ""
            said.append(Markup("{}: {}{}.").format(code(info.name), listing(ratios), paper))
    if said:
        said[0] = Markup("Relative to {} at {} steps, batch {}, with quartiles over rounds. {}").format(
            code("qk"), costs[0].length, costs[0].batch, said[0]
        )
    return said


def _loss(results: StudyResults, accuracy: Sequence[AccuracyRow]) -> list[Markup]:
    losses = {row.info.name: row.loss.mean for row in accuracy if row.loss and not row.info.untrained}
    if not losses:
        return []
    lowest = sorted(losses, key=lambda row: losses[row] if math.isfinite(losses[row]) else math.inf)[:3]
    best = [Markup("{} ({:.3f})").format(code(row), losses[row]) for row in lowest]
    mean = next(iter(results.pretraining.values())).mean_l1
    text = Markup("Lowest on held-out speech: {}. Predicting the mean scores {:.3f}").format(listing(best), mean)
    floor = results.baseline
    if floor is None:
        return [text + Markup(".")]
    text += Markup(", a linear regression on neighbouring steps {:.3f}.").format(floor)
    above = sum(not loss < floor for loss in losses.values())  # so that a loss of NaN counts
    if not above:
        return [text + Markup(" All trained rows end below it.")]
    below = len(losses) - above
    if not below:
        return [
            text,
            Markup("No trained row ends below it: none is shown to do more than a linear look at neighbours."),
        ]
    end = "ends" if below == 1 else "end"
    others = "of the others it is not shown that they do more than a linear look at neighbours."
    return [text, Markup("{} of {} trained rows {} below it; {}").format(below, len(losses), end, others)]


def _against_qk(accuracy: Sequence[AccuracyRow], tasks: Sequence[str], spoken_of: Sequence[str]) -> list[Markup]:
    by_name = {row.info.name: row for row in accuracy}
    references = [by_name[info.name] for info in baselines([row.info for row in accuracy])]
    said = []
    for one in (by_name[name] for name in spoken_of):
        for other in references:
            if any(compare(one.scores[task], other.scores[task]) for task in tasks):
                names = code(one.info.name), code(other.info.name)
                said.append(Markup("{} against {}: {}.").format(*names, comparison(one, other, tasks)))
    return said


def _against_untrained(accuracy: Sequence[AccuracyRow], tasks: Sequence[str]) -> list[Markup]:
    by_name = {row.info.name: row for row in accuracy}
    said = []
    for row in accuracy:
        trained = by_name.get(row.info.trained_name)
        if row.info.untrained and trained and any(compare(trained.scores[t], row.scores[t]) for t in tasks):
            said.append(
                Markup("{} against its own untrained copy: {}.").format(
                    code(trained.info.name), comparison(trained, row, tasks)
                )
            )
    return said


def _against_mel(accuracy: Sequence[AccuracyRow], tasks: Sequence[str]) -> list[Markup]:
    mels = [row for row in accuracy if row.info.is_mel]
    encoders = [row for row in accuracy if not row.info.is_mel and not row.info.untrained]
    paragraphs = []
    for mel in mels:
        said = []
        for task in tasks:
            verdicts = {row.info.name: compare(row.scores[task], mel.scores[task]) for row in encoders}
            measured = [row for row, verdict in verdicts.items() if verdict]
            above = [row for row in measured if verdicts[row] == "higher"]
            below = sum(verdicts[row] == "lower" for row in measured)
            if measured:
                names = Markup(" ({})").format(listing([code(row) for row in above])) if 0 < len(above) <= _FEW else ""
                numbers = TASK_WORDS[task], len(above), len(measured), names, below
                said.append(Markup("{}, {} of {} above{} and {} below").format(*numbers))
        if said:
            head = Markup("Pre-trained encoders against {}, intervals apart: {}.")
            paragraphs.append(head.format(code(mel.info.name), Markup("; ").join(said)))
    return paragraphs


def _collapsed(accuracy: Sequence[AccuracyRow]) -> list[Markup]:
    said = [
        Markup("{}, {}").format(code(row.info.name), mark.partition(": ")[2])
        for row in accuracy
        for mark in row.marks
        if mark.startswith("collapsed")
    ]
    if not said:
        return []
    end = "Their numbers tell" if len(said) > 1 else "Its numbers tell"
    what = "of a run that failed to learn at these settings, and nothing of the mechanism."
    return [Markup("{}. {} {}").format(Markup("; ").join(said), end, what)]


def opening(results: StudyResults) -> Markup:
    """Say in a sentence or two what was done."""
    encoders = [info for info in infos_of(results) if not info.is_mel and not info.untrained]
    steps = results.config.training.steps
    corpus = results.corpus
    hours = corpus.splits["train"].hours
    speech = f"{hours:.2g} hours" if hours >= 1.5 else f"{60 * hours:.0f} minutes"
    text = Markup("{} differing only in their attention {} each pre-trained for {} on {} of speech ({}){}. {}").format(
        counted(len(encoders), "encoder"),
        "was" if len(encoders) == 1 else "were",
        counted(steps, "step"),
        speech,
        corpus.name,
        ", then frozen and probed for speakers and phones" if results.probes else "",
        corpus.caveat,
    )
    if len(results.seeds) == 1:
        return text + " One seed: intervals are over test utterances, and say nothing of how another start would end."
    return text + f" {len(results.seeds)} seeds: intervals are over seeds and test utterances."


def _pair(one: AccuracyRow, other: AccuracyRow, task: str) -> str:
    first, second = one.scores[task], other.scores[task]
    assert first is not None
    assert second is not None
    return f"{percent(first.mean)} against {percent(second.mean)}"


def _all_of(count: int) -> str:
    return {2: "either task", 3: "any of the three tasks", 4: "any of the four tasks"}.get(count, "any task")
