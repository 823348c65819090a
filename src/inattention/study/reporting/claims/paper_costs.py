"""The paper's claims about time and memory."""

import math

from markupsafe import Markup

from inattention.comparison import Ratio, Verdict, most, opposite
from inattention.study.reporting.claims.claim import Claim
from inattention.study.reporting.claims.paper import HAND_MADE, HASHING
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.text_formatting import code, listing, ratio_text
from inattention.timing.report import TimedRow

# "20 % less time" and "similar memory", with the margin by which repeated measurements of one row differ.
LESS_TIME, SIMILAR = 0.85, 0.1
MOST_ROUNDS = 100_000


def hashing_time(of: Measurements) -> list[Claim]:
    """Most hashing rows take as long as query-key attention, or longer."""
    claims = []
    for length in (500, 1000):
        ratios = {name: it for name, it in of.ratios(length, "forward").items() if name in HASHING}
        verdict = most([opposite(it.below(1.0)) for it in ratios.values()])
        numbers = listing([Markup("{} {}").format(code(name), ratio_text(it)) for name, it in ratios.items()])
        evidence = Markup("Forward time relative to {}: {}").format(code("qk"), numbers)
        text = f"Most hashing rows are no faster than query-key attention at {length} frames"
        undecided = {name: it for name, it in ratios.items() if it.below(1.0) == "cannot be told"}
        needed = "; ".join(f"{name}: {_rounds_needed(it, 1.0)}" for name, it in undecided.items())
        claims.append(Claim(text, verdict, evidence, needed if verdict == "cannot be told" else ""))
    return claims


def less_time(of: Measurements) -> list[Claim]:
    """Hand-made maps take 20 % less time than query-key attention."""
    claims = []
    for word, mode in (("inference", "forward"), ("training", "train")):
        ratio: Ratio | None = of.ratios(500, mode).get(HAND_MADE)
        if ratio is None:
            continue
        verdict = ratio.below(LESS_TIME)
        evidence = Markup("{} of the time of fused {} at 500 frames").format(ratio_text(ratio), code("qk"))
        text = f"20 % less time in {word} (at most {LESS_TIME} of it)"
        needed = _rounds_needed(ratio, LESS_TIME) if verdict == "cannot be told" else ""
        claims.append(Claim(text, verdict, evidence, needed))
    return claims


def memory(of: Measurements) -> list[Claim]:
    """Hand-made maps take about as much memory in training as query-key attention."""
    row, base = of.results.timing.get(HAND_MADE), of.results.timing.get("qk")
    if not row or not base:
        return []
    pairs = {"the study's own size": (row.own, base.own)}
    # All layers share one set of weights and maps: with fewer layers, these weigh more relative to the activations.
    if base.config.layers >= of.results.config.model.layers:
        pairs["500 frames"] = _training(row.timed, 500), _training(base.timed, 500)
    claims = []
    for where, (one, other) in pairs.items():
        if one and other:
            ratio = (one.peak_bytes + one.weight_bytes) / (other.peak_bytes + other.weight_bytes)
            text = f"Similar memory in training, at {where} (at most {100 * SIMILAR:.0f} % more)"
            evidence = Markup(
                "{:.2f} of that of {}, weights included; a deterministic count of bytes, so without interval"
            )
            verdict: Verdict = "holds" if ratio <= 1 + SIMILAR else "does not hold"
            claims.append(Claim(text, verdict, evidence.format(ratio, code("qk"))))
    return claims


def _training(timed: tuple[TimedRow, ...], length: int) -> TimedRow | None:
    return next((it for it in timed if (it.mode, it.length) == ("train", length)), None)


def _rounds_needed(ratio: Ratio, threshold: float) -> str:
    """Return the number of rounds whose interval would exclude the threshold, at the present ratio and deviation."""
    distance = abs(math.log(ratio.ratio / threshold))
    if ratio.rounds == 1:
        return "several timing rounds"
    half_width = (math.log(ratio.high) - math.log(ratio.low)) / 2
    rounds = math.ceil(ratio.rounds * (half_width / distance) ** 2) if distance else MOST_ROUNDS
    rounds = max(rounds, ratio.rounds + 1)
    if rounds >= MOST_ROUNDS:
        return "no number of timing rounds"
    return f"about {rounds:,} timing rounds"
