"""The test suite that every attention mechanism must pass, ours or a plug-in's.

>>> check_mechanism("uniform")

A plug-in's own tests need this line and an import. Each claim is a function of its own, so that a test runner can list
them: ``@pytest.mark.parametrize("claim", CLAIMS)``.
"""

from collections.abc import Callable
from typing import Any

from inattention.testing.autocast import nothing_kept_is_rounded_by_autocast, works_under_autocast
from inattention.testing.cases import Case, valid_patterns
from inattention.testing.claims import (
    TOLERANCE,
    card_is_complete,
    changed_parameters_show_at_once,
    extreme_input_stays_finite,
    forward_is_weights_times_values,
    frames_out_of_reach_change_nothing,
    gradients_reach_every_parameter,
    junk_in_padding_changes_nothing,
    length_limit_is_kept,
    none_stands_for_a_mask_of_all_frames,
    output_is_the_same_in_any_company,
    rows_sum_to_one,
    same_seed_same_mechanism,
    weights_ignore_the_input_if_the_card_says_so,
)

__all__ = ["CLAIMS", "TOLERANCE", "Case", "check_mechanism", "valid_patterns"]

Claim = Callable[[Case], None]
CLAIMS: dict[str, Claim] = {
    claim.__name__: claim
    for claim in (
        card_is_complete,
        forward_is_weights_times_values,
        rows_sum_to_one,
        junk_in_padding_changes_nothing,
        none_stands_for_a_mask_of_all_frames,
        output_is_the_same_in_any_company,
        extreme_input_stays_finite,
        weights_ignore_the_input_if_the_card_says_so,
        gradients_reach_every_parameter,
        same_seed_same_mechanism,
        changed_parameters_show_at_once,
        frames_out_of_reach_change_nothing,
        length_limit_is_kept,
        works_under_autocast,
        nothing_kept_is_rounded_by_autocast,
    )
}


def check_mechanism(name: str, *, width: int = 48, heads: int = 12, max_length: int = 40, **options: Any) -> None:
    """Check every promise of a mechanism.

    Args:
        name: a registered mechanism.
        width: features of a frame.
        heads: heads that share the width.
        max_length: the longest input in frames.
        **options: the mechanism's own options.

    Raises:
        AssertionError: naming the broken promise and the input.
    """
    case = Case(name, options, width=width, heads=heads, max_length=max_length)
    for claim in CLAIMS.values():
        claim(case)
