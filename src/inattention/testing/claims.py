"""The promises of the contract, each a function that raises AssertionError where a mechanism breaks it."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention import AttentionMechanism, card
from inattention.testing.cases import Case, seed_generators, valid_patterns

TOLERANCE = 2e-5


def card_is_complete(case: Case) -> None:
    """The card has everything that tables and tests read from it."""
    it = card(case.name)
    assert it.name == case.name
    for words in (it.label, it.family, it.citation, it.training_cost, it.inference_cost):
        assert words.strip(), f"{case.name}: a text on the card is empty"
    flops = it.flops(100, 48, 12, **case.options)
    assert flops >= 0, f"{case.name}: negative cost"
    assert it.flops(200, 48, 12, **case.options) >= flops, f"{case.name}: longer input costs less"


def forward_is_weights_times_values(case: Case) -> None:
    """`forward` equals the definition, in evaluation and, with the same random state, in training."""
    for training in (False, True):
        mechanism = case.build().train(training)
        for time in case.lengths():
            hidden, values = case.inputs(3, time)
            for pattern, valid in valid_patterns(time).items():
                with torch.no_grad(), torch.random.fork_rng():
                    seed_generators(5)
                    fast = mechanism(hidden, values, valid)
                    seed_generators(5)
                    defined = _defined(mechanism, hidden, values, valid)
                where = f"time {time}, mask: {pattern}, training: {training}"
                _close(fast, defined, valid, f"{case.name}: forward differs from its definition ({where})")
                assert fast.isfinite().all(), f"{case.name}: forward is not finite at padding ({where})"


def rows_sum_to_one(case: Case) -> None:
    """Rows of real frames sum to 1, weights are not negative, and none falls on padding.

    A mechanism that is no average by its card must still ignore padding; one that is no linear map must raise.
    """
    mechanism = case.build()
    averages = card(case.name).averages
    if not card(case.name).linear_map:
        _refuses(lambda: mechanism.weights(*_hidden_and_valid(case)), case.name, f"{case.name}: it returns weights")
        return
    for time in case.lengths():
        hidden, _ = case.inputs(3, time)
        for pattern, valid in valid_patterns(time).items():
            weights = mechanism.weights(hidden, valid).detach()
            where = f"(time {time}, mask: {pattern})"
            on_invalid = weights.masked_fill(valid[:, None, None, :], 0.0).abs()
            on_invalid = on_invalid.masked_fill(~valid[:, None, :, None], 0.0)
            assert not on_invalid.any(), f"{case.name}: weight falls on padding {where}"
            if averages:
                sums = weights.sum(-1).masked_fill(~valid[:, None, :], 1.0)
                assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5), (
                    f"{case.name}: rows do not sum to 1 {where}"
                )
                assert weights.isfinite().all(), f"{case.name}: weights are not finite {where}"
                real = weights.masked_fill(~valid[:, None, :, None], 0.0)
                assert (real >= 0).all(), f"{case.name}: weights are negative {where}"


def junk_in_padding_changes_nothing(case: Case) -> None:
    """The content of padding changes no real frame, and gradients stay finite."""
    for time in (7, case.max_length):
        hidden, values = case.inputs(3, time)
        for pattern, valid in valid_patterns(time).items():
            mechanism = case.build()
            reference = mechanism(hidden, values, valid).detach()
            for junk in (float("nan"), float("inf"), -1e30):
                dirty_hidden = torch.where(valid[:, :, None], hidden, junk)
                dirty_values = torch.where(valid[:, None, :, None], values, junk).requires_grad_()
                mechanism.zero_grad()
                output = mechanism(dirty_hidden, dirty_values, valid)
                where = f"(time {time}, mask: {pattern}, junk: {junk})"
                _close(output.detach(), reference, valid, f"{case.name}: junk in padding changes the output {where}")
                output.masked_fill(~valid[:, None, :, None], 0.0).square().sum().backward()
                for gradient in [dirty_values.grad, *(p.grad for p in mechanism.parameters())]:
                    assert gradient is None or gradient.isfinite().all(), (
                        f"{case.name}: a gradient is not finite {where}"
                    )


def none_stands_for_a_mask_of_all_frames(case: Case) -> None:
    """Without a mask, and with one that is True everywhere, output and weights are the same."""
    mechanism = case.build()
    hidden, values = case.inputs(3, case.max_length)
    valid = torch.ones(3, case.max_length, dtype=torch.bool)
    with torch.no_grad():
        _close(mechanism(hidden, values, None), mechanism(hidden, values, valid), valid, f"{case.name}: None differs")
        if card(case.name).linear_map:
            without, given = mechanism.weights(hidden, None), mechanism.weights(hidden, valid)
            assert torch.allclose(without, given, atol=TOLERANCE), f"{case.name}: weights differ without a mask"


def output_is_the_same_in_any_company(case: Case) -> None:
    """An utterance has the same output alone, in any batch, in any order, and under any extra padding."""
    mechanism = case.build()
    hidden, values = case.inputs(4, case.max_length)
    lengths = torch.tensor([case.max_length, case.max_length - 3, case.max_length // 2, 1])
    valid = torch.arange(case.max_length) < lengths[:, None]
    with torch.no_grad():
        together = mechanism(hidden, values, valid)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = mechanism(hidden[order], values[order], valid[order])
        _close(shuffled, together[order], valid[order], f"{case.name}: the order of a batch changes the output")
        for i, length in enumerate(lengths.tolist()):
            for padding in {0, 1, 5}:
                end = min(length + padding, case.max_length)
                alone = mechanism(hidden[i : i + 1, :end], values[i : i + 1, :, :end], valid[i : i + 1, :end])
                message = f"{case.name}: an utterance of {length} frames, alone with {end - length} of padding, differs"
                _close(alone[:, :, :length], together[i : i + 1, :, :length], valid[i : i + 1, :length], message)


def extreme_input_stays_finite(case: Case) -> None:
    """Large and constant inputs give finite output and gradients."""
    mechanism = case.build()
    _, values = case.inputs(2, 16)
    valid = valid_patterns(16)["lengths"][:2]
    for scale in (0.0, 1e-6, 1e3):
        hidden = (scale * case.inputs(2, 16)[0]).requires_grad_()
        output = mechanism(hidden, values, valid)
        assert output.isfinite().all(), f"{case.name}: input times {scale} gives output that is not finite"
        if output.requires_grad:
            output.sum().backward()
        if hidden.grad is not None:
            assert hidden.grad.isfinite().all(), f"{case.name}: input times {scale} gives a gradient that is not finite"


def weights_ignore_the_input_if_the_card_says_so(case: Case) -> None:
    """A mechanism is input-independent if and only if its card says so."""
    mechanism = case.build()
    values, valid = case.inputs(1, 16)[1], torch.ones(1, 16, dtype=torch.bool)
    with torch.no_grad():
        one, other = (mechanism(case.inputs(1, 16, seed=s)[0] * 5, values, valid) for s in (1, 2))
    assert torch.equal(one, other) == card(case.name).input_independent, f"{case.name}: see input_independent"


def gradients_reach_every_parameter(case: Case) -> None:
    """Every parameter gets a gradient (biases may be without effect, as that of a key projection is)."""
    mechanism = case.build().train()
    hidden, values = case.inputs(3, case.max_length)
    valid = torch.ones(3, case.max_length, dtype=torch.bool)
    target = case.inputs(3, case.max_length, seed=9)[1]
    (mechanism(hidden, values.requires_grad_(), valid) * target).sum().backward()
    assert values.grad is not None, f"{case.name}: no gradient reaches the values"
    assert values.grad.any(), f"{case.name}: the gradient of the values is zero"
    for name, parameter in mechanism.named_parameters():
        assert parameter.grad is not None, f"{case.name}: no gradient reaches {name}"
        assert parameter.grad.isfinite().all(), f"{case.name}: the gradient of {name} is not finite"
        assert name.endswith("bias") or parameter.grad.any(), f"{case.name}: the gradient of {name} is zero"


def same_seed_same_mechanism(case: Case) -> None:
    """The same seed gives the same bits, evaluation is deterministic, and state travels through `state_dict`."""
    mechanism, twin, other = case.build(), case.build(), case.build(seed=1)
    hidden, values = case.inputs(3, 16)
    valid = valid_patterns(16)["lengths"]
    with torch.no_grad():
        output = mechanism(hidden, values, valid)
        assert torch.equal(output, mechanism(hidden, values, valid)), f"{case.name}: evaluation is not deterministic"
        assert torch.equal(output, twin(hidden, values, valid)), f"{case.name}: the same seed gives another result"
        other.load_state_dict(copy.deepcopy(mechanism.state_dict()), strict=True)
        assert torch.equal(output, other(hidden, values, valid)), f"{case.name}: state_dict does not carry everything"


def changed_parameters_show_at_once(case: Case) -> None:
    """Nothing cached in evaluation outlives the parameters that it was computed from."""
    mechanism = case.build()
    hidden, values = case.inputs(1, 16)
    valid = torch.ones(1, 16, dtype=torch.bool)
    with torch.no_grad():
        mechanism(hidden, values, valid)
        for parameter in mechanism.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        fast, defined = mechanism(hidden, values, valid), _defined(mechanism, hidden, values, valid)
    _close(fast, defined, valid, f"{case.name}: a changed parameter has no effect")


def frames_out_of_reach_change_nothing(case: Case) -> None:
    """An output depends on its receptive field alone, and is the same in a block of the input."""
    mechanism = case.build()
    limited = mechanism.limited()
    assert mechanism.receptive_field() is None or limited is not None, f"{case.name}: has a reach, but no limited form"
    if limited is None:
        return
    reach = limited.receptive_field()
    assert reach is not None, f"{case.name}: its limited form has no receptive field"
    time = case.max_length + reach.back + reach.ahead
    hidden, values = case.inputs(1, time)
    start = -(-(time // 3) // reach.grid) * reach.grid
    first = max(0, (start - reach.back) // reach.grid * reach.grid)
    block, short = slice(first, start + 5 + reach.ahead), slice(case.max_length)
    with torch.no_grad():
        whole = limited(hidden, values)[:, :, start : start + 5]
        part = limited(hidden[:, block], values[:, :, block])[:, :, start - first : start - first + 5]
        expected = mechanism(hidden[:, short], values[:, :, short])
        got = limited(hidden[:, short], values[:, :, short])
    _close(part, whole, torch.ones(1, 5, dtype=torch.bool), f"{case.name}: a block differs from the whole")
    every = torch.ones(1, case.max_length, dtype=torch.bool)
    _close(got, expected, every, f"{case.name}: its limited form computes something else")


def length_limit_is_kept(case: Case) -> None:
    """Input beyond `longest` raises; without a longest, no length does."""
    mechanism = case.build()
    if card(case.name).needs_max_length:
        assert mechanism.longest == case.max_length, (
            f"{case.name}: it needs a maximum length, and `longest` differs from it"
        )
    time = (mechanism.longest or case.max_length) + 1
    hidden, values = case.inputs(1, time)
    valid = torch.ones(1, time, dtype=torch.bool)
    if mechanism.longest is None:
        mechanism(hidden, values, valid)
        return
    for call in (lambda: mechanism(hidden, values, valid), lambda: _defined(mechanism, hidden, values, valid)):
        _refuses(call, str(mechanism.longest), f"{case.name}: input beyond its longest is accepted")


def _defined(
    mechanism: AttentionMechanism,
    hidden: Float[Tensor, "batch time width"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"],
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the defined output: weights times values, or the reference of a mechanism that is no linear map."""
    if mechanism.card.linear_map:
        return mechanism.weights(hidden, valid) @ values
    return mechanism.reference(hidden, values, valid)


def _hidden_and_valid(case: Case) -> tuple[Tensor, Tensor]:
    return case.inputs(1, 7)[0], torch.ones(1, 7, dtype=torch.bool)


def _refuses(call: Callable[[], object], named: str, otherwise: str) -> None:
    """Check that a call raises ValueError with a message that contains ``named``."""
    message = ""
    try:
        call()
    except ValueError as error:
        message = str(error)
    assert message, otherwise
    assert named in message, f"{otherwise}, or the message does not contain {named}: {message}"


def _close(
    got: Float[Tensor, "batch heads time head_dim"],
    wanted: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"],
    message: str,
) -> None:
    difference = (got - wanted).masked_fill(~valid[:, None, :, None], 0.0).abs()
    worst = float(difference.max()) if difference.numel() else 0.0
    assert worst <= TOLERANCE, f"{message}: by up to {worst:.2g}"
