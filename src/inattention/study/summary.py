"""What a study found, in sentences made from its numbers.

A difference is called one only where 95 % intervals lie apart; where they overlap, the two cannot be told apart.
Nothing is said of what was not measured.
"""

from collections.abc import Sequence

from markupsafe import Markup

from inattention.study.differences import baselines, subjects
from inattention.study.estimates import Verdict, compare
from inattention.study.results import StudyResults
from inattention.study.tables import AccuracyRow, CostRow
from inattention.study.wording import TASK_WORDS, code, counted, listing, percent

# So many are spoken of; tables have them all.
_SPOKEN_OF = 2


def findings(
    results: StudyResults, accuracy: Sequence[AccuracyRow], costs: Sequence[CostRow]
) -> list[tuple[str, Markup]]:
    """Say what was found, subject by subject; each with a heading of a word or two.

    Args:
        results: the study.
        accuracy: its Table 2.
        costs: its Table 1 in the setting that counts.
    """
    parts = [
        ("Time", _time(costs)),
        ("Masked loss", _loss(results, accuracy)),
        ("Against query-key attention", _against_qk(accuracy, results.tasks)),
        ("What pre-training added", _against_untrained(accuracy, results.tasks)),
        ("Against Mel", _against_mel(accuracy, results.tasks)),
        ("Collapsed", _collapsed(accuracy)),
    ]
    return [(heading, text) for heading, text in parts if text]


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


def _time(costs: Sequence[CostRow]) -> Markup:
    by_name = {row.info.name: row for row in costs}
    parts = []
    for info in subjects([row.info for row in costs])[:_SPOKEN_OF]:
        row = by_name[info.name]
        timed = [(words, it) for words, it in (("a forward pass", row.forward), ("a training step", row.train)) if it]
        said = [f"{words} {it.ratio:.2f} ({it.ratio_low:.2f} to {it.ratio_high:.2f})" for words, it in timed]
        if said:
            paper = f"; the paper has {row.paper.ratio:.2f}" if row.paper and row.paper.ratio else ""
            parts.append(Markup("{}: {}{}").format(code(info.name), listing(said), paper))
    if not parts:
        return Markup("")
    length, batch = costs[0].length, costs[0].batch
    return Markup("Relative to {} at {} steps, batch {}, with quartiles over rounds. {}.").format(
        code("qk"), length, batch, Markup(". ").join(parts)
    )


def _loss(results: StudyResults, accuracy: Sequence[AccuracyRow]) -> Markup:
    trained = [row for row in accuracy if row.loss and not row.info.untrained and not row.info.is_mel]
    if not trained:
        return Markup("")
    trained.sort(key=lambda row: row.loss.mean if row.loss else 0.0)
    best = [Markup("{} ({:.3f})").format(code(row.info.name), row.loss.mean) for row in trained[:3] if row.loss]
    mean = next(iter(results.pretraining.values())).mean_l1
    text = Markup("Lowest on held-out speech: {}. Predicting the mean scores {:.3f}").format(listing(best), mean)
    floor = results.floor
    if floor is None:
        return text + Markup(".")
    text += Markup(", a linear regression on neighbouring steps {:.3f}.").format(floor)
    above = sum(not row.loss.mean < floor for row in trained if row.loss)
    if not above:
        return text + Markup(" All trained rows end below that regression.")
    return text + Markup(
        " {} of {} trained rows end no lower than that regression, so that it is not shown that they learned more than "
        "a linear look at neighbours."
    ).format(above, len(trained))


def _against_qk(accuracy: Sequence[AccuracyRow], tasks: Sequence[str]) -> Markup:
    by_name = {row.info.name: row for row in accuracy}
    references = [by_name[info.name] for info in baselines([row.info for row in accuracy])]
    said = []
    for info in subjects([row.info for row in accuracy])[:_SPOKEN_OF]:
        for other in references:
            one = by_name[info.name]
            if any(compare(one.scores[task], other.scores[task]) for task in tasks):
                names = code(info.name), code(other.info.name)
                said.append(Markup("{} against {}: {}.").format(*names, comparison(one, other, tasks)))
    return Markup(" ").join(said)


def _against_untrained(accuracy: Sequence[AccuracyRow], tasks: Sequence[str]) -> Markup:
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
    return Markup(" ").join(said)


def _against_mel(accuracy: Sequence[AccuracyRow], tasks: Sequence[str]) -> Markup:
    mels = [row for row in accuracy if row.info.is_mel and any(row.scores.values())]
    encoders = [row for row in accuracy if not row.info.is_mel and not row.info.untrained]
    if not mels:
        return Markup("")
    said = []
    for task in tasks:
        measured = [row for row in encoders if row.scores[task] and all(mel.scores[task] for mel in mels)]
        above = [
            row for row in measured if all(compare(row.scores[task], mel.scores[task]) == "higher" for mel in mels)
        ]
        if measured:
            names = Markup(": {}").format(listing([code(row.info.name) for row in above])) if above else ""
            many = len(above) or "none"
            said.append(Markup("{}, {} of {}{}").format(TASK_WORDS[task], many, len(measured), names))
    if not said:
        return Markup("")
    which = "both forms of Mel" if len(mels) > 1 else code(mels[0].info.name)
    return Markup("Pre-trained encoders above {}, intervals apart: {}.").format(which, Markup("; ").join(said))


def _collapsed(accuracy: Sequence[AccuracyRow]) -> Markup:
    said = [
        Markup("{}, {}").format(code(row.info.name), mark.partition(": ")[2])
        for row in accuracy
        for mark in row.marks
        if mark.startswith("collapsed")
    ]
    if not said:
        return Markup("")
    end = "Their numbers tell" if len(said) > 1 else "Its numbers tell"
    return Markup("{}. {} of a run that failed to learn at these settings, and nothing of the mechanism.").format(
        Markup("; ").join(said), end
    )


def opening(results: StudyResults) -> Markup:
    """Say in a sentence or two what was done."""
    encoders = [info for info in results.infos if not info.is_mel and not info.untrained]
    steps = results.config["training"]["steps"]
    corpus = results.corpus
    hours = corpus["splits"]["train"]["hours"]
    speech = f"{hours:.2g} hours" if hours >= 1.5 else f"{60 * hours:.0f} minutes"
    seeds = len(results.seeds)
    return Markup(
        "{} differing only in their attention {} each pre-trained for {} on {} of speech ({}), then frozen and probed "
        "for speakers and phones. {} {}"
    ).format(
        counted(len(encoders), "encoder"),
        "was" if len(encoders) == 1 else "were",
        counted(steps, "step"),
        speech,
        corpus["name"],
        corpus.get("caveat", ""),
        "One seed: intervals are over test utterances, and say nothing of how another start would have ended."
        if seeds == 1
        else f"{seeds} seeds: intervals are over seeds and test utterances.",
    )


def _pair(one: AccuracyRow, other: AccuracyRow, task: str) -> str:
    first, second = one.scores[task], other.scores[task]
    assert first is not None
    assert second is not None
    return f"{percent(first.mean)} against {percent(second.mean)}"


def _all_of(count: int) -> str:
    return {2: "either task", 3: "any of the three tasks", 4: "any of the four tasks"}.get(count, "any task")
