"""The paper's claims about accuracy."""

from collections.abc import Sequence

from markupsafe import Markup

from inattention.comparison import all_above, most, opposite
from inattention.study.reporting.claims.claim import (
    Claim,
    by_task,
    claim_above,
    codes,
    in_task_words,
    needed_text,
)
from inattention.study.reporting.measurements import PHONES, SPEAKERS, Measurements
from inattention.study.reporting.text_formatting import code, points_text

HASHING = ("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh")
SPARSE = ("sparse-strided", "sparse-fixed")
SYNTHESIZERS = ("synthesizer-dense", "synthesizer-dense-multihead", "synthesizer-random")
HAND_MADE = "patterned@logits"
FRAME = "speaker-frame"


def above_mel(of: Measurements) -> list[Claim]:
    """Pre-trained features are more accurate than Mel on every task."""
    claims = []
    for row in dict.fromkeys([*of.baselines(), HAND_MADE]):
        found = of.by_task([row], ["mel"])
        text = Markup("Pre-trained features beat Mel on every task ({})").format(code(row))
        decided_by = needed_text(in_task_words(found)) if all_above(list(found.values())) == "cannot be told" else ""
        claims.append(Claim(text, all_above(list(found.values())), by_task(found), decided_by))
    return claims


def sharing(of: Measurements) -> list[Claim]:
    """Sharing Q and K costs accuracy on phones, and more there than on speakers."""
    better = of.baseline or "qk", of.better_start("shared-qk") or "shared-qk"
    return [_sharing(of, *pair) for pair in dict.fromkeys([("qk", "shared-qk"), better])]


def _sharing(of: Measurements, own: str, shared: str) -> Claim:
    """Both have to hold: a cost on phones above 0, and above that on speakers."""
    phones = of.difference([own], [shared], PHONES)
    more = of.comparison.difference_between_tasks([own], [shared], PHONES, SPEAKERS)
    text = Markup("Sharing Q and K lowers accuracy on phones, and less so on speakers ({} against {})").format(
        code(shared), code(own)
    )
    parts = {"cost on phones": phones, "phones minus speakers": more}
    measured = phones is not None and more is not None
    verdict = all_above(list(parts.values())) if measured else "not measured"
    evidence = Markup("{} minus {}: {}. Mean over phone tasks: {}. Phones minus speakers: {}").format(
        code(own), code(shared), by_task(of.by_task([own], [shared])), points_text(phones), points_text(more)
    )
    return Claim(text, verdict, evidence, needed_text(parts) if verdict == "cannot be told" else "")


def hashing(of: Measurements) -> list[Claim]:
    """Hashing is less accurate than query-key attention on most tasks, above all on speakers by frame."""
    rows = of.compared(HASHING)
    base = of.baseline
    if not rows or not base:
        return []
    found = of.by_task(rows, [base])
    verdict = most([opposite(it.verdict) for it in found.values()])
    decided_by = needed_text(in_task_words(found)) if verdict == "cannot be told" else ""
    evidence = Markup("Mean of {} minus {}: {}").format(codes(rows), code(base), by_task(found))
    claims = [Claim("Hashing lowers accuracy on most tasks", verdict, evidence, decided_by)]
    if set(SPEAKERS) <= set(found):
        more = of.comparison.difference_between_tasks(rows, [base], ["speaker-utterance"], [FRAME])
        text = "Hashing lowers accuracy on speakers by frame more than by utterance, where pooling compensates"
        claims.append(claim_above(text, more, Markup("By utterance minus by frame: {}").format(points_text(more))))
    return claims


def families(of: Measurements) -> list[Claim]:
    """Sparse attention is above hashing, synthesizers are above both and below shared-QK on speakers by frame."""
    below, sparse, synthesizers = (of.compared(names) for names in (HASHING, SPARSE, SYNTHESIZERS))
    claims = [
        *_mean_over_tasks(of, "Sparse attention is more accurate than hashing", sparse, below),
        *_mean_over_tasks(
            of, "Synthesizers are more accurate than hashing and sparse attention", synthesizers, [*below, *sparse]
        ),
    ]
    for shared in dict.fromkeys(["shared-qk", of.better_start("shared-qk") or "shared-qk"]):
        text = Markup("Synthesizers are less accurate than {} on speakers by frame").format(code(shared))
        found = of.difference([shared], synthesizers, [FRAME])
        evidence = Markup("{} minus mean of {}: {}").format(code(shared), codes(synthesizers), points_text(found))
        claims.append(claim_above(text, found, evidence))
    return claims


def hand_made(of: Measurements) -> list[Claim]:
    """Hand-made initial maps are better than random ones, above all on speakers by frame, where they beat QK."""
    others = ["synthesizer-random"]
    claims = _mean_over_tasks(of, "Hand-made initial maps are better than random ones", [HAND_MADE], others)
    rest = [task for task in of.tables.tasks if task != FRAME]
    if more := of.comparison.difference_between_tasks([HAND_MADE], others, [FRAME], rest):
        evidence = Markup("By frame minus the mean of the other tasks: {}").format(points_text(more))
        claims.append(claim_above("Their advantage is largest on speakers by frame", more, evidence))
    for base in of.baselines():
        text = Markup("On speakers by frame, hand-made initial maps are more accurate than {}").format(code(base))
        found = of.difference([HAND_MADE], [base], [FRAME])
        evidence = Markup("{} minus {}: {}").format(code(HAND_MADE), code(base), points_text(found))
        claims.append(claim_above(text, found, evidence))
    return claims


def _mean_over_tasks(of: Measurements, text: str, ones: Sequence[str], others: Sequence[str]) -> list[Claim]:
    """Return the claim that some rows are more accurate than others, mean over rows and tasks."""
    mean = of.difference(ones, others)
    if mean is None:
        return []
    evidence = Markup("{} minus {}: mean over tasks {}; {}").format(
        codes(ones), codes(others), points_text(mean), by_task(of.by_task(ones, others))
    )
    return [claim_above(text, mean, evidence)]
