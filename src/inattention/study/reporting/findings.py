"""A study's findings, in sentences made from its numbers.

A row is called higher or lower than another only where the 95 % interval of their difference excludes 0. Nothing is
stated about what was not measured.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from inattention.comparison import Difference, Verdict
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.row_pairs import RowPair, baselines, subjects
from inattention.study.reporting.tables import AccuracyRow, Tables
from inattention.study.reporting.text_formatting import (
    TASK_WORDS,
    code,
    counted,
    listing,
    points_text,
    ratio_text,
)
from inattention.study.results import StudyResults

# Sentences cover so many rows, and that with the lowest loss; tables have them all.
_COVERED = 2
# Rows that are above another are named if there are no more than so many.
_FEW = 6


def findings(of: Measurements, pairs: Sequence[RowPair]) -> list[tuple[str, list[Markup]]]:
    """Return the findings by subject: a heading of a word or two, and paragraphs.

    Args:
        of: the study's measurements.
        pairs: the rows that are compared.
    """
    covered = _covered(of.tables)
    parts = [
        ("Time", _time(of.tables, covered)),
        ("Masked loss", _loss(of)),
        ("Against query-key attention", _against_qk(pairs, covered)),
        ("Effect of pre-training", _against_untrained(pairs)),
        ("Against Mel", _against_mel(of)),
        ("Collapsed", _collapsed(of.tables.accuracy)),
    ]
    return [(heading, paragraphs) for heading, paragraphs in parts if paragraphs]


def pair_sentence(differences: dict[str, Difference]) -> Markup:
    """Return on which tasks one row is higher or lower than another, and on which this cannot be told."""
    verdicts: dict[Verdict, list[str]] = {}
    for task, it in differences.items():
        verdicts.setdefault(it.verdict, []).append(task)
    words: tuple[tuple[Verdict, str], ...] = (("holds", "higher"), ("does not hold", "lower"))
    clauses = []
    for verdict, word in words:
        numbers = [f"{TASK_WORDS[task]} ({points_text(differences[task])})" for task in verdicts.get(verdict, [])]
        if numbers:
            clauses.append(Markup("{} on {}").format(word, listing(numbers)))
    open_ = verdicts.get("cannot be told", [])
    if len(open_) == len(differences) > 1:
        return Markup("no difference can be told on any task")
    if open_:
        clauses.append(Markup("no difference can be told on {}").format(listing([TASK_WORDS[task] for task in open_])))
    return Markup("; ").join(clauses)


def opening(results: StudyResults) -> Markup:
    """Return a sentence or two about what was done."""
    encoders = [row for row in results.rows if not row.is_features and not row.untrained]
    trained = [row for row in encoders if results.runs_of(row.name)]
    steps = results.config.training.steps
    corpus = results.corpus
    hours = corpus.splits["train"].hours
    speech = f"{hours:.2g} hours" if hours >= 1.5 else f"{60 * hours:.0f} minutes"
    text = Markup("{}{} that {} only in their attention {} each pre-trained for {} on {} of speech ({}){}. {}").format(
        f"So far {len(trained)} of " if trained and len(trained) < len(encoders) else "",
        counted(len(encoders), "encoder"),
        "differs" if len(encoders) == 1 else "differ",
        "was" if len(encoders) == 1 else "were",
        counted(steps, "step"),
        speech,
        corpus.name,
        ", then frozen and probed for speakers and phones" if results.probes else "",
        corpus.caveat,
    )
    return text + _seeds(results)


def _seeds(results: StudyResults) -> str:
    """Return what intervals cover, by the seeds that have results: a study in progress has fewer than it asks for."""
    fewest, most = results.finished_seeds
    planned = f" so far, of {len(results.seeds)} planned" if 0 < most < len(results.seeds) else ""
    if most == 0:
        return ""
    if most == 1:
        return f" One seed{planned}: intervals cover other test utterances, and not another training run."
    if fewest == most:
        return f" {most} seeds{planned}: intervals cover other test utterances and other training runs."
    return (
        f" {fewest} to {most} seeds a row{planned}: intervals cover other test utterances and other training runs; "
        "those of rows with one seed borrow the deviation between seeds of the others."
    )


def _covered(tables: Tables) -> list[str]:
    """Return the rows that sentences are about: the paper's own, and the one with the lowest held-out loss."""
    names = [row.name for row in subjects([row.row for row in tables.accuracy])]
    losses = {row.row.name: row.loss.mean for row in tables.accuracy if row.row.name in names and row.loss}
    losses = {name: loss for name, loss in losses.items() if math.isfinite(loss)}
    lowest = min(losses, key=lambda name: losses[name], default=None)
    return list(dict.fromkeys([*names[:_COVERED], *([lowest] if lowest else [])]))


def _time(tables: Tables, covered: Sequence[str]) -> list[Markup]:
    setting = tables.setting
    costs = {row.row.name: row for row in tables.costs[setting]}
    sentences = []
    for row in (costs[name] for name in covered if name in costs):
        timed = (("forward", row.forward), ("training step", row.train))
        ratios = [f"{words} {ratio_text(it.ratio)}" for words, it in timed if it and it.ratio]
        if ratios:
            paper = f"; the paper reports {row.paper.ratio:.2f}" if row.paper and row.paper.ratio else ""
            sentences.append(Markup("{}: {}{}.").format(code(row.row.name), listing(ratios), paper))
    if sentences and setting:
        sentences[0] = Markup("Relative to {} at {} frames, batch {}, with 95 % intervals over rounds. {}").format(
            code("qk"), *setting, sentences[0]
        )
    return sentences


def _loss(of: Measurements) -> list[Markup]:
    rows = {row.row.name: row for row in of.tables.accuracy if row.loss and not row.row.untrained}
    losses = {name: row.loss.mean for name, row in rows.items() if row.loss}
    if not losses:
        return []
    lowest = sorted(losses, key=lambda row: losses[row] if math.isfinite(losses[row]) else math.inf)[:3]
    best = [Markup("{} ({:.3f})").format(code(row), losses[row]) for row in lowest]
    mean = next(iter(of.results.pretraining.values())).mean_l1
    text = Markup("Lowest on held-out speech: {}. The mean baseline scores {:.3f}").format(listing(best), mean)
    linear = of.results.baseline
    if linear is None:
        return [text + Markup(".")]
    text += Markup(", the linear baseline (a linear regression on neighbouring frames) {:.3f}.").format(linear)
    below = [name for name, row in rows.items() if row.below_linear == "holds"]
    measured = [name for name, row in rows.items() if row.below_linear != "not measured"]
    if not measured:
        ends = sum(loss < linear for loss in losses.values())
        what = "{} of {} trained rows end below it. With one seed a row, a loss has no interval to test this with."
        return [text, Markup(what).format(ends, len(losses))]
    if len(below) == len(losses):
        return [text + Markup(" All trained rows are below it, by their 95 % intervals.")]
    if not below:
        return [text, Markup("No row is below it, by its 95 % interval: none is shown to use more than neighbours.")]
    what = "{} of {} trained rows {} below it, by 95 % intervals; the others are not shown to use more than neighbours."
    return [text, Markup(what).format(len(below), len(losses), "is" if len(below) == 1 else "are")]


def _against_qk(pairs: Sequence[RowPair], covered: Sequence[str]) -> list[Markup]:
    references = [row.name for row in baselines([pair.other for pair in pairs])]
    return [_sentence(pair) for pair in pairs if pair.one.name in covered and pair.other.name in references]


def _against_untrained(pairs: Sequence[RowPair]) -> list[Markup]:
    return [_sentence(pair) for pair in pairs if pair.other.untrained]


def _sentence(pair: RowPair) -> Markup:
    other = Markup("its untrained copy") if pair.other.untrained else code(pair.other.name)
    return Markup("{} against {}: {}.").format(code(pair.one.name), other, pair_sentence(pair.measured))


def _against_mel(of: Measurements) -> list[Markup]:
    mels = [row.row.name for row in of.tables.accuracy if row.row.is_features]
    encoders = [row.row.name for row in of.tables.accuracy if not row.row.is_features and not row.row.untrained]
    paragraphs = []
    for mel in mels:
        clauses = []
        for task in of.tables.tasks:
            found = {name: of.difference([name], [mel], [task]) for name in encoders}
            verdicts = {name: it.verdict for name, it in found.items() if it}
            above = [name for name, verdict in verdicts.items() if verdict == "holds"]
            below = sum(verdict == "does not hold" for verdict in verdicts.values())
            if verdicts:
                names = (
                    Markup(" ({})").format(listing([code(name) for name in above])) if 0 < len(above) <= _FEW else ""
                )
                numbers = TASK_WORDS[task], len(above), len(verdicts), names, below
                clauses.append(Markup("{}, {} of {} above{} and {} below").format(*numbers))
        if clauses:
            head = Markup("Pre-trained encoders against {}, by the intervals of their differences: {}.")
            paragraphs.append(head.format(code(mel), Markup("; ").join(clauses)))
    return paragraphs


def _collapsed(accuracy: Sequence[AccuracyRow]) -> list[Markup]:
    clauses = [
        Markup("{}: {}").format(code(row.row.name), row.collapse.reason) for row in accuracy if row.collapse is not None
    ]
    if not clauses:
        return []
    end = "Their numbers show runs" if len(clauses) > 1 else "Its numbers show a run"
    what = "that failed to learn with these settings, and nothing about the mechanism."
    return [Markup("{}. {} {}").format(Markup("; ").join(clauses), end, what)]
