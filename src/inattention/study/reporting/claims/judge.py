"""All claims and questions, in the order of the report."""

from collections.abc import Callable

from inattention.study.reporting.claims import open_questions, paper, paper_costs, paper_maps
from inattention.study.reporting.claims.claim import Claim
from inattention.study.reporting.measurements import Measurements

_CLAIMS: tuple[Callable[[Measurements], list[Claim]], ...] = (
    paper.above_mel,
    paper.sharing,
    paper.hashing,
    paper_costs.hashing_time,
    paper.families,
    paper.hand_made,
    paper_maps.maps_stay,
    paper_maps.four_cases,
    paper_costs.less_time,
    paper_costs.memory,
    open_questions.above_controls,
    open_questions.effect_of_training,
    open_questions.initialisations,
    open_questions.noise,
    open_questions.speed_of_learning,
)


def judge_claims(of: Measurements) -> list[Claim]:
    """Return all claims and questions that the study has measurements for."""
    claims = [claim for make in _CLAIMS for claim in make(of)]
    return [claim for claim in claims if claim.verdict != "not measured"]
