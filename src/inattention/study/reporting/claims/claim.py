"""A claim with its verdict, and the forms that evidence takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from inattention.comparison import MARKS, Difference, Needed, Verdict, verdict_of
from inattention.study.reporting.text_formatting import TASK_WORDS, code, listing, points_text

LEGEND = (
    "Differences are in percentage points of accuracy, with 95 % intervals paired over test utterances. A claim holds "
    "if the interval of its difference is above 0, does not hold if it is below, and cannot be told otherwise. Rows "
    "that collapsed support no claim."
)


@dataclass(frozen=True)
class Claim:
    """A claim or a question, answered from a study's results.

    Attributes:
        text: the claim or question.
        verdict: whether the claim holds; None for a question, whose answer is the evidence.
        evidence: the numbers, as a sentence.
        decided_by: what would decide it, where it cannot be told.
        paper: whether the paper claims it.
    """

    text: str
    verdict: Verdict | None
    evidence: Markup
    decided_by: str = ""
    paper: bool = True


def claim_above(text: str, difference: Difference | None, evidence: Markup | None = None) -> Claim:
    """Return the claim that a difference is above 0.

    Args:
        text: the claim.
        difference: "not measured" if None.
        evidence: the difference itself by default.
    """
    return Claim(
        text,
        verdict_of(difference),
        Markup(points_text(difference)) if evidence is None else evidence,
        needed_text({"": difference}),
    )


def needed_text(differences: Mapping[str, Difference | None], what: str = "") -> str:
    """Return what would decide those of the differences that cannot be told.

    Args:
        differences: by name, which is skipped where it is empty.
        what: what numbers of seeds count, if not seeds.
    """
    parts: dict[str, list[str]] = {}
    for name, it in differences.items():
        if it and it.needed:
            parts.setdefault(_needed(it.needed, what), []).append(name)
    return "; ".join(f"{listing(names)}: {text}" if any(names) else text for text, names in parts.items())


def by_task(differences: Mapping[str, Difference]) -> Markup:
    """Return differences task by task."""
    return listing([f"{TASK_WORDS[task]} {points_text(it)}" for task, it in differences.items()])


def in_task_words(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Return differences by the words for their task."""
    return {TASK_WORDS[task]: it for task, it in differences.items()}


def codes(names: Sequence[str]) -> Markup:
    """Return a list of row names."""
    return listing([code(name) for name in names])


def as_markdown(claims: Sequence[Claim]) -> str:
    """Return claims as Markdown: a table of the paper's claims, and one of open questions."""
    lines = ["# The paper's claims", ""]
    for heading, of_paper in (("What the paper claims", True), ("What the paper leaves open", False)):
        some = [claim for claim in claims if claim.paper == of_paper]
        if not some:
            continue
        judged = any(claim.verdict for claim in some)
        head = ["claim", "verdict", "evidence", "what would decide it"] if judged else ["question", "answer"]
        lines += [f"## {heading}", "", _line(head), _line(["---"] * len(head))]
        for claim in some:
            text, evidence = _plain(claim.text), _plain(claim.evidence)
            cells = [text, claim.verdict or "", evidence, _plain(claim.decided_by)] if judged else [text, evidence]
            lines.append(_line(cells))
        lines.append("")
    return "\n".join([*lines, LEGEND, "", MARKS]) + "\n"


def _needed(needed: Needed, what: str) -> str:
    text = str(needed).removesuffix(" would decide it")
    return text.replace("seeds", what) if what else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _plain(text: str) -> str:
    marked = text.replace("<code>", "`").replace("</code>", "`")
    return Markup(marked).unescape() if isinstance(text, Markup) else marked
