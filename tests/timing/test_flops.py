"""Counted operations agree with a count by hand and with the cards."""

import pytest
import torch
import torch.nn.functional as F

from inattention.attention import build, card, mechanisms
from inattention.attention.rows import parse_row
from inattention.timing.config import TimingConfig
from inattention.timing.flops import counted_flops
from inattention.timing.run import encoder, forward_task, training_task

SIZES = TimingConfig(width=48, heads=4, layers=3, feed_forward=96, threads=1)
TIME, BATCH, INPUT = 20, 2, 480


def by_hand(mechanism: str) -> int:
    """Return multiplications and additions of a forward pass over the batch."""
    width, hidden = SIZES.width, SIZES.feed_forward
    linear = 2 * TIME * (2 * width * width + 2 * width * hidden)  # values, output, and the feed-forward part
    mixing = {
        "none": 0,
        "patterned": 2 * TIME * TIME * width,
        "qk": 2 * TIME * 2 * width * width + 2 * 2 * TIME * TIME * width,
    }[mechanism]
    return BATCH * (2 * TIME * INPUT * width + SIZES.layers * (linear + mixing))


@pytest.mark.parametrize("mechanism", ["none", "patterned", "qk"])
def test_the_cost_of_an_encoder_agrees_with_a_count_by_hand(mechanism: str) -> None:
    model = encoder(parse_row(mechanism), TIME, SIZES)
    assert counted_flops(forward_task(model, TIME, BATCH, SIZES)) == by_hand(mechanism)


def test_a_training_step_costs_three_forward_passes_except_for_the_input() -> None:
    model = encoder(parse_row("none"), TIME, SIZES)
    embedding = BATCH * 2 * TIME * INPUT * SIZES.width  # no gradient goes on to the features
    assert counted_flops(training_task(model, TIME, BATCH, SIZES)) == 3 * by_hand("none") - embedding


def test_fused_attention_counts_forward_and_backward() -> None:
    query = torch.randn(2, 3, 16, 8, requires_grad=True)
    product = 2 * 2 * 3 * 16 * 16 * 8
    assert counted_flops(lambda: F.scaled_dot_product_attention(query, query, query)) == 2 * product
    # Backward makes the scores again, and then four products.
    assert counted_flops(lambda: F.scaled_dot_product_attention(query, query, query).sum().backward()) == 7 * product


@pytest.mark.parametrize("name", mechanisms())
def test_the_cost_of_a_mechanism_is_that_of_its_card(name: str) -> None:
    time, width, heads = 256, 192, 12
    torch.manual_seed(0)
    mechanism = build(name, width=width, heads=heads, max_length=time).eval()
    hidden, values = torch.randn(1, time, width), torch.randn(1, heads, time, width // heads)
    with torch.no_grad():
        mechanism(hidden, values)  # what is cached in the first pass is not computed again
        counted = counted_flops(lambda: mechanism(hidden, values))
    assert counted == pytest.approx(card(name).flops(time, width, heads), rel=0.05)
