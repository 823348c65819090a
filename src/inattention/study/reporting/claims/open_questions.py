"""Questions that the paper leaves open, answered with numbers instead of verdicts."""

import math

from markupsafe import Markup

from inattention.study.reporting.claims.claim import Claim, by_task, codes
from inattention.study.reporting.claims.paper import HAND_MADE
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.text_formatting import TASK_WORDS, code, listing, points_text

CONTROLS = ("none", "uniform", "local")


def above_controls(of: Measurements) -> list[Claim]:
    """Return how far rows are above the most accurate control."""
    claims = []
    controls = of.sound(CONTROLS)
    shared = of.better_start("shared-qk") or "shared-qk"
    for row in dict.fromkeys([*of.baselines(), shared, HAND_MADE, "patterned", "toeplitz"]):
        found = []
        for task in of.tables.tasks:
            known = {name: it.mean for name in controls if (it := of.rows[name].scores[task])}
            best = max(known, key=lambda name: known[name], default="")
            difference = of.difference([row], [best], [task]) if best else None
            if difference:
                found.append(Markup("{} {} over {}").format(TASK_WORDS[task], points_text(difference), code(best)))
        if found:
            text = Markup("How far is {} above the best control?").format(code(row))
            claims.append(_question(text, listing(found)))
    return claims


def effect_of_training(of: Measurements) -> list[Claim]:
    """Return how far trained encoders are above their untrained copies."""
    claims = []
    for name, row in of.rows.items():
        trained = row.row.trained
        found = of.by_task([trained], [name]) if row.row.untrained else {}
        if found:
            claims.append(_question(Markup("What did training add to {}?").format(code(trained)), by_task(found)))
    return claims


def initialisations(of: Measurements) -> list[Claim]:
    """Return the differences between initialisations."""
    claims = []
    for one, other, text in (
        ("patterned", HAND_MADE, "Are hand-made maps better as log-weights or as logits?"),
        ("qk@identity", "qk", "Is query-key attention better from the identity or from its usual initialisation?"),
        ("patterned", "qk@identity", "Are hand-made maps better than query-key attention from the identity?"),
        ("toeplitz", "qk@identity", "Is one Gaussian per head better than query-key attention from the identity?"),
    ):
        found = of.by_task([one], [other])
        if found:
            evidence = Markup("{} minus {}: {}").format(code(one), code(other), by_task(found))
            claims.append(_question(text, evidence))
    return claims


def noise(of: Measurements) -> list[Claim]:
    """Return the deviation between seeds, and the difference between two forms of one mechanism."""
    parts = []
    deviations = {task: of.comparison.seed_deviation(task) for task in of.tables.tasks}
    known = [f"{TASK_WORDS[task]} {100 * it:.1f}" for task, it in deviations.items() if it is not None]
    if known:
        parts.append(Markup("pooled standard deviation between seeds, in points: {}").format(listing(known)))
    same = of.by_task(["xbox"], ["xbox-qnf"])
    if same:
        text = Markup("{} minus {}, two forms of one mechanism: {}")
        parts.append(text.format(code("xbox"), code("xbox-qnf"), by_task(same)))
    return [_question("How large is the noise between seeds?", Markup("; ").join(parts))] if parts else []


def speed_of_learning(of: Measurements) -> list[Claim]:
    """Return the steps that each row takes to the same held-out loss."""
    losses = {row.row.name: row.loss.mean for row in of.tables.accuracy if row.loss and not row.row.untrained}
    base = of.baseline
    if "none" not in losses or not base:
        return []
    target = (losses["none"] + losses[base]) / 2
    ratios = of.results.step_times()
    reached = {name: of.steps_to(name, target) for name in losses}
    numbers = []
    for name, steps in sorted(reached.items(), key=lambda it: math.inf if it[1] is None else it[1]):
        if steps is not None:
            time = f" ({steps * ratios[name]:.0f} in time)" if name in ratios else ""
            numbers.append(Markup("{} {:.0f}{}").format(code(name), steps, time))
    never = [name for name, steps in reached.items() if steps is None]
    text = Markup("How fast does each row learn? Steps to a held-out loss of {:.3f}, half-way from {} to {}").format(
        target, code("none"), code(base)
    )
    answer = listing(numbers) if numbers else Markup("no row reaches it")
    if never:
        answer += Markup("; never: {}").format(codes(never))
    if ratios:
        answer += Markup(". Times are in training steps of {}").format(code("qk"))
    return [_question(text, answer)]


def _question(text: str, answer: Markup) -> Claim:
    return Claim(text, None, answer, paper=False)
