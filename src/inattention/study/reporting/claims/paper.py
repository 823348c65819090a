"""The paper's claims one by one, and questions that it leaves open, each judged from a study's numbers.

*holds* and *does not hold* are said only where a 95 % interval is on one side of what is claimed; what lies in between
cannot be told. What a claim needs and the study lacks makes it *not measured*.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from markupsafe import Markup

from inattention.analysis.heads import read_categories
from inattention.analysis.map_images import load_maps, moved
from inattention.analysis.measures import CATEGORIES
from inattention.analysis.run import DEFAULT_FOLDER, MEASURES_CSV
from inattention.study.reporting.measurements import (
    PHONES,
    SPEAKERS,
    Evidence,
    Gap,
    Judgement,
    all_above,
    judged,
    mean,
    most,
)
from inattention.study.reporting.text_formatting import TASK_WORDS, code, listing, signed
from inattention.study.results import StudyResults

HASHING = ("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh")
SPARSE = ("sparse-strided", "sparse-fixed")
SYNTHESIZERS = ("synthesizer-dense", "synthesizer-dense-multihead", "synthesizer-random")
HAND_MADE = "patterned@logits"
CONTROLS = ("none", "uniform", "local")
# "Close to where they started": at most this share of a map's weight lies elsewhere after training.
CLOSE = 0.25
# "All maps fall into four cases": at most this share of heads in none of them.
FEW = 0.05
# "20 % less time", "similar memory": as far as measurements of the same thing differ from day to day.
LESS_TIME, SIMILAR = 0.85, 0.1


@dataclass(frozen=True)
class Claim:
    """A claim, judged.

    Attributes:
        text: what is claimed, or asked.
        judgement: whether it holds; None for a question, whose answer is the evidence.
        evidence: the numbers, in words.
        paper: whether the paper claims it.
    """

    text: str
    judgement: Judgement | None
    evidence: Markup
    paper: bool = True


def judge(results: StudyResults) -> list[Claim]:
    """Judge all claims that the study has rows for."""
    evidence = Evidence(results)
    claims = [claim for make in (*_PAPER, *_BEYOND) for claim in make(evidence)]
    return [claim for claim in claims if claim.judgement != "not measured"]


def as_markdown(claims: Sequence[Claim]) -> str:
    """Lay claims out as two tables for where HTML is not rendered: judged ones of the paper, and open questions."""
    lines = ["# Claim by claim", ""]
    for heading, of_paper in (("What the paper claims", True), ("What it could not say", False)):
        some = [claim for claim in claims if claim.paper == of_paper]
        if some:
            judged_ = any(claim.judgement for claim in some)
            head = ["claim", "judgement", "evidence"] if judged_ else ["question", "answer"]
            lines += [f"## {heading}", "", _line(head), _line(["---"] * len(head))]
            for claim in some:
                cells = [_plain(claim.text), _plain(claim.evidence)]
                lines.append(_line([cells[0], claim.judgement or "", cells[1]] if judged_ else cells))
            lines.append("")
    lines += [
        "Differences are in points of accuracy, with 95 % intervals that add those of both sides; where a row has one",
        "seed, its interval is widened by the deviation between seeds of the rows that have several. *Holds* and *does",
        "not hold* are said where the interval lies on one side; rows that collapsed support no claim.",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _plain(text: str) -> str:
    marked = text.replace("<code>", "`").replace("</code>", "`")
    return Markup(marked).unescape() if isinstance(text, Markup) else marked


def told(gap: Gap | None) -> str:
    """A difference with its interval, in points."""
    return f"{signed(gap.points)} [{signed(gap.low)}, {signed(gap.high)}]" if gap else "not measured"


def _by_task(gaps: dict[str, Gap]) -> Markup:
    return listing([f"{TASK_WORDS[task]} {told(gap)}" for task, gap in gaps.items()])


def _names(names: Sequence[str]) -> Markup:
    return listing([code(name) for name in names])


def _above_mel(of: Evidence) -> list[Claim]:
    claims = []
    for row in dict.fromkeys(["qk", of.baseline or "qk", HAND_MADE]):
        gaps = of.gaps([row], ["mel"])
        text = Markup("Pre-training beats Mel by far ({})").format(code(row))
        claims.append(Claim(text, all_above(list(gaps.values())), _by_task(gaps)))
    return claims


def _sharing(of: Evidence) -> list[Claim]:
    better = of.baseline or "qk", of.better_start("shared-qk") or "shared-qk"
    return [_sharing_of(of, *pair) for pair in dict.fromkeys([("qk", "shared-qk"), better])]


def _sharing_of(of: Evidence, own: str, shared: str) -> Claim:
    gaps = of.gaps([own], [shared])
    speakers, phones = ([gaps[task] for task in tasks if task in gaps] for tasks in (SPEAKERS, PHONES))
    more = mean(phones) - mean(speakers) if speakers and phones else None
    text = Markup("Sharing Q and K costs little on speakers, more on phones ({} against {})").format(
        code(shared), code(own)
    )
    verdict: Judgement = judged(more)
    if verdict == "holds" and all_above(phones) != "holds":
        verdict = "cannot be told"  # it costs nothing on phones either, as far as can be seen
    said = Markup("{} less {}: {}. Phones less speakers: {}").format(
        code(own), code(shared), _by_task(gaps), told(more)
    )
    return Claim(text, verdict, said)


def _hashing(of: Evidence) -> list[Claim]:
    rows = of.sound(HASHING)
    if not rows or not of.baseline:
        return []
    base = of.baseline
    gaps = of.gaps(rows, [base])
    lower = [{"holds": False, "does not hold": True}.get(gap.above) for gap in gaps.values()]
    head = Markup("{} less {}: {}").format(_names(rows), code(base), _by_task(gaps))
    claims = [Claim("Hashing hurts most tasks", most(lower), head)]
    if set(SPEAKERS) <= set(gaps):
        more = gaps["speaker-utterance"] - gaps["speaker-frame"]
        text = "Hashing hurts speakers by frame more than by utterance, where pooling makes up for it"
        claims.append(Claim(text, judged(more), Markup("by utterance less by frame: {}").format(told(more))))
    return claims


def _hashing_time(of: Evidence) -> list[Claim]:
    claims = []
    for length in (500, 1000):
        times = {name: row.forward for name, row in of.costs(length).items() if name in HASHING and row.forward}
        slower = [True if it.ratio_low >= 1 else False if it.ratio_high < 1 else None for it in times.values()]
        said = listing([Markup("{} {:.2f}").format(code(name), it.ratio) for name, it in times.items()])
        text = f"Hashing is no faster at {length} steps"
        claims.append(Claim(text, most(slower), Markup("forward time relative to {}: {}").format(code("qk"), said)))
    return claims


def _families(of: Evidence) -> list[Claim]:
    hashing = of.sound(HASHING)
    sparse = of.sound(SPARSE)
    synthesizers = of.sound(SYNTHESIZERS)
    claims = []
    for text, ones, others in (
        ("Sparse attention does better than hashing", sparse, hashing),
        ("Synthesizers do better than hashing and sparse on average", synthesizers, [*hashing, *sparse]),
    ):
        gaps = of.gaps(ones, others)
        if gaps:
            average = mean(list(gaps.values()))
            said = Markup("mean over tasks {}; {}").format(told(average), _by_task(gaps))
            claims.append(Claim(text, judged(average), said))
    for shared in dict.fromkeys(["shared-qk", of.better_start("shared-qk") or "shared-qk"]):
        frame = of.gap("speaker-frame", [shared], synthesizers)
        text = Markup("Synthesizers miss {} on speakers by frame").format(code(shared))
        claims.append(Claim(text, judged(frame), Markup(told(frame))))
    return claims


def _hand_made(of: Evidence) -> list[Claim]:
    gaps = of.gaps([HAND_MADE], ["synthesizer-random"])
    if not gaps:
        return []
    average = mean(list(gaps.values()))
    said = Markup("{} less {}: mean over tasks {}; {}").format(
        code(HAND_MADE), code("synthesizer-random"), told(average), _by_task(gaps)
    )
    claims = [Claim("The hand-made start beats the random one", judged(average), said)]
    others = [gap for task, gap in gaps.items() if task != "speaker-frame"]
    if "speaker-frame" in gaps and others:
        more = gaps["speaker-frame"] - mean(others)
        said = Markup("by frame less the mean of the other tasks: {}").format(told(more))
        claims.append(Claim("It does so most on speakers by frame", judged(more), said))
    for base in dict.fromkeys(["qk", of.baseline or "qk"]):
        frame = of.gap("speaker-frame", [HAND_MADE], [base])
        text = Markup("On speakers by frame it beats {}").format(code(base))
        claims.append(Claim(text, judged(frame), Markup(told(frame))))
    return claims


def _maps_stay(of: Evidence) -> list[Claim]:
    shares = {}
    for name in ("patterned", HAND_MADE, "synthesizer-random"):
        paths = [of.results.path(run.maps) for run in of.results.runs_of(name) if run.maps]
        path = next((path for path in paths if path.is_file()), None)
        if path:
            with suppress(ValueError):  # a broken file costs its share alone; the report says what is wrong with it
                shares[name] = float(moved(*load_maps(path)).mean())
    verdict: Judgement = "not measured"
    if HAND_MADE in shares:
        verdict = "holds" if shares[HAND_MADE] <= CLOSE else "does not hold"
    said = listing([Markup("{} {:.0f} %").format(code(name), 100 * share) for name, share in shares.items()])
    text = f"Maps end close to where they started (at most {100 * CLOSE:.0f} % of their weight elsewhere)"
    return [Claim(text, verdict, Markup("weight elsewhere after training: {}").format(said))]


def _four_cases(of: Evidence) -> list[Claim]:
    claims = []
    for run in of.results.pretraining.values():
        if run.row.name not in of.sound([run.row.name]) or run.row.mechanism != "qk":
            continue
        table = of.results.path(run.folder) / DEFAULT_FOLDER / MEASURES_CSV
        if not table.is_file():
            continue
        try:
            found = read_categories(table)
        except ValueError:  # a broken file costs its claim alone
            continue
        *cases, other = (found.count(name) for name in CATEGORIES)
        text = Markup("All maps fall into four cases ({}; at most {:.0f} % of heads in none)")
        said = [f"{count} {name}" for count, name in zip(cases, CATEGORIES, strict=False)]
        claims.append(
            Claim(
                text.format(code(f"{run.row.name}-{run.seed}"), 100 * FEW),
                "holds" if other <= FEW * len(found) else "does not hold",
                Markup("of {} heads: {}, and {} in none").format(len(found), listing(said), other),
            )
        )
    return claims


def _time(of: Evidence) -> list[Claim]:
    row = of.costs(500).get(HAND_MADE)
    if not row or not row.forward or not row.train:
        return []
    claims = []
    for word, it in (("inference", row.forward), ("training", row.train)):
        verdict: Judgement = "holds" if it.ratio_high <= LESS_TIME else "cannot be told"
        verdict = "does not hold" if it.ratio_low > LESS_TIME else verdict
        said = Markup("{:.2f} [{:.2f}, {:.2f}] of fused {} at 500 steps").format(
            it.ratio, it.ratio_low, it.ratio_high, code("qk")
        )
        claims.append(Claim(f"20 % less time in {word} (at most {LESS_TIME} of it)", verdict, said))
    return claims


def _memory(of: Evidence) -> list[Claim]:
    row, base = of.results.timing.get(HAND_MADE), of.results.timing.get("qk")
    if not row or not base:
        return []
    pairs = {"the study's own size": (row.own, base.own)}
    # All layers share one set of weights and maps, which weigh more beside the activations of fewer layers.
    if base.config.layers >= of.results.config.model.layers:
        pairs["500 steps"] = tuple(
            next((it for it in timed if (it.mode, it.length) == ("train", 500)), None)
            for timed in (row.timed, base.timed)
        )
    claims = []
    for where, (one, other) in pairs.items():
        if one and other:
            share = (one.peak_bytes + one.weight_bytes) / (other.peak_bytes + other.weight_bytes)
            text = f"Similar memory in training, at {where} (at most {100 * SIMILAR:.0f} % more)"
            verdict: Judgement = "holds" if share <= 1 + SIMILAR else "does not hold"
            claims.append(Claim(text, verdict, Markup(f"{share:.2f} of it, with weights")))
    return claims


def _controls(of: Evidence) -> list[Claim]:
    claims = []
    controls = [row for row in CONTROLS if row in of.rows]
    for row in dict.fromkeys(
        ["qk", of.baseline or "qk", of.better_start("shared-qk") or "shared-qk", HAND_MADE, "patterned", "toeplitz"]
    ):
        found = []
        for task in of.results.tasks:
            known = {name: it.points for name in controls if (it := of.accuracy(task, name))}
            best = max(known, key=lambda name: known[name], default="")
            gap = of.gap(task, [row], [best]) if best else None
            if gap:
                found.append(Markup("{} {} over {}").format(TASK_WORDS[task], told(gap), code(best)))
        if found:
            text = Markup("How far is {} above the best control?").format(code(row))
            claims.append(Claim(text, None, listing(found), paper=False))
    for name, row in of.rows.items():
        trained = row.info.trained_name
        gaps = of.gaps([trained], [name]) if row.info.untrained else {}
        if gaps:
            text = Markup("What did training add to {}?").format(code(trained))
            claims.append(Claim(text, None, _by_task(gaps), paper=False))
    return claims


def _starts(of: Evidence) -> list[Claim]:
    claims = []
    for one, other, text in (
        ("patterned", HAND_MADE, "Hand-made maps as log-weights or as logits?"),
        ("qk@identity", "qk", "Query-key attention from the identity or from the usual start?"),
        ("patterned", "qk@identity", "The best hand-made start against query-key attention from its better start?"),
        ("toeplitz", "qk@identity", "One bump a head against query-key attention from its better start?"),
    ):
        gaps = of.gaps([one], [other])
        if gaps:
            said = Markup("{} less {}: {}").format(code(one), code(other), _by_task(gaps))
            claims.append(Claim(Markup(text), None, said, paper=False))
    return claims


def _noise(of: Evidence) -> list[Claim]:
    parts = []
    if of.seed_deviation:
        tasks = listing([f"{TASK_WORDS[task]} {points:.1f}" for task, points in of.seed_deviation.items()])
        parts.append(Markup("pooled standard deviation over seeds, in points: {}").format(tasks))
    gaps = of.gaps(["xbox"], ["xbox-qnf"])
    if gaps:
        told_ = listing([f"{TASK_WORDS[task]} {signed(gap.points)}" for task, gap in gaps.items()])
        parts.append(
            Markup("{} less {}, one mechanism in two forms, at one seed: {}").format(
                code("xbox"), code("xbox-qnf"), told_
            )
        )
    return [Claim("How large is the noise of seeds?", None, Markup("; ").join(parts), paper=False)] if parts else []


def _speed_of_learning(of: Evidence) -> list[Claim]:
    losses = {name: row.loss.mean for name, row in of.rows.items() if row.loss and not row.info.untrained}
    if "none" not in losses or not of.baseline:
        return []
    target = (losses["none"] + losses[of.baseline]) / 2
    ratios = of.results.step_times()
    said = []
    reached = {name: of.steps_to(name, target) for name in losses}
    for name in sorted(reached, key=lambda name: reached[name] or float("inf")):
        steps = reached[name]
        if steps is not None:
            time = f" ({steps * ratios[name]:.0f} in time)" if name in ratios else ""
            said.append(Markup("{} {:.0f}{}").format(code(name), steps, time))
    never = [name for name in losses if reached[name] is None]
    text = Markup("How fast does each learn? Steps to a held-out loss of {:.3f}, half-way from {} to {}").format(
        target, code("none"), code(of.baseline)
    )
    words = listing(said) if said else Markup("none reaches it")
    if never:
        words = words + Markup("; never: {}").format(_names(never))
    if ratios:
        words = words + Markup(". In time: in training steps of {}").format(code("qk"))
    return [Claim(text, None, words, paper=False)]


_PAPER: tuple[Callable[[Evidence], list[Claim]], ...] = (
    _above_mel,
    _sharing,
    _hashing,
    _hashing_time,
    _families,
    _hand_made,
    _maps_stay,
    _four_cases,
    _time,
    _memory,
)
_BEYOND: tuple[Callable[[Evidence], list[Claim]], ...] = (_controls, _starts, _noise, _speed_of_learning)
