"""The paper's claims about attention maps. Their intervals are over the heads of one model."""

from collections.abc import Sequence
from contextlib import suppress

from markupsafe import Markup
from scipy.stats import binomtest

from inattention.analysis.heads import read_categories
from inattention.analysis.map_images import load_maps, moved
from inattention.analysis.measures import CATEGORIES
from inattention.analysis.run import DEFAULT_FOLDER, MEASURES_CSV
from inattention.comparison import Difference, Verdict, opposite, seed_difference, verdict_of
from inattention.study.comparison import REFERENCE
from inattention.study.reporting.claims.claim import Claim, needed_text
from inattention.study.reporting.claims.paper import HAND_MADE
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.text_formatting import code, listing

# "Close to their initialisation": on average at most this fraction of a map's weight has moved after training.
CLOSE = 0.25
# "All maps fall into four cases": at most this fraction of heads in none of them.
FEW = 0.05
MOST_HEADS = 100_000


def maps_stay(of: Measurements) -> list[Claim]:
    """Learned maps end close to their initialisation."""
    found: dict[str, Difference] = {}
    numbers = []
    for name in ("patterned", HAND_MADE, "synthesizer-random"):
        run = next((run for run in of.results.runs_of(name) if run.maps and of.results.path(run.maps).is_file()), None)
        if run and run.maps:
            with suppress(ValueError):  # a broken file only costs its own number; the report names the error
                by_head = dict(enumerate(moved(*load_maps(of.results.path(run.maps))).ravel().tolist()))
                # Heads take the place of seeds: both are independent numbers whose mean has Student's t interval.
                if difference := seed_difference(by_head, CLOSE, None):
                    found[name] = difference
                    low, high = (100 * (CLOSE + it) for it in (difference.low, difference.high))
                    middle = 100 * (CLOSE + difference.estimate)
                    numbers.append(Markup("{} {:.0f} % [{:.0f}, {:.0f}]").format(code(name), middle, max(low, 0), high))
    text = f"Maps end close to their initialisation (at most {100 * CLOSE:.0f} % of their weight moved)"
    evidence = Markup("Weight that moved in training, mean over heads: {}").format(listing(numbers))
    hand_made = found.get(HAND_MADE)
    return [Claim(text, opposite(verdict_of(hand_made)), evidence, needed_text({"": hand_made}, "heads"))]


def four_cases(of: Measurements) -> list[Claim]:
    """Almost all maps of query-key attention fall into four categories."""
    claims = []
    for run in of.results.pretraining.values():
        if run.row.mechanism != REFERENCE or not of.sound([run.row.name]):
            continue
        table = of.results.path(run.folder) / DEFAULT_FOLDER / MEASURES_CSV
        if not table.is_file():
            continue
        with suppress(ValueError):  # a broken file only costs its own claim
            claims.append(_four_cases(f"{run.row.name}-{run.seed}", read_categories(table)))
    return claims


def _four_cases(name: str, categories: Sequence[str]) -> Claim:
    heads = len(categories)
    *cases, other = (categories.count(it) for it in CATEGORIES)
    low, high = _exact_interval(other, heads)
    verdict: Verdict = "holds" if high <= FEW else "does not hold" if low > FEW else "cannot be told"
    text = Markup("All maps fall into four categories ({}; at most {:.0f} % of heads in none)")
    counts = [f"{count} {it}" for count, it in zip(cases, CATEGORIES, strict=False)]
    evidence = Markup("Of {} heads: {}, and {} in none ({:.0f} % [{:.0f}, {:.0f}], Clopper and Pearson)").format(
        heads, listing(counts), other, 100 * other / heads, 100 * low, 100 * high
    )
    decided_by = _heads_needed(other, heads) if verdict == "cannot be told" else ""
    return Claim(text.format(code(name), 100 * FEW), verdict, evidence, decided_by)


def _exact_interval(count: int, total: int) -> tuple[float, float]:
    found = binomtest(count, total).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def _heads_needed(count: int, heads: int) -> str:
    """Return the number of heads that would decide the claim at the present fraction."""
    for times in range(2, MOST_HEADS // heads):
        low, high = _exact_interval(times * count, times * heads)
        if high <= FEW or low > FEW:
            return f"{times * heads:,} heads, such as those of further seeds"
    return "no number of heads, at this fraction"
