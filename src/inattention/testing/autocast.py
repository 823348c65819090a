"""Promises under bfloat16 autocast: the numbers of float32 within tolerances, and nothing that is kept is rounded."""

import copy
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from inattention.attention import AttentionMechanism, card
from inattention.testing.cases import Case, seed_generators, valid_patterns

# Largest errors under bfloat16 autocast: the norm of the difference from float32, relative to that of float32. Ours
# reach .01 in outputs and gradients; .08 in gradients through a ReLU, as a feature near zero changes its sign; and .2
# where keys are selected (the card has `hash_flops`), as others are selected where scores are nearly equal. A wrong
# result has errors of about 1.
AUTOCAST_ERRORS = {"output": 0.02, "gradient": 0.15, "selection": 0.4, "row sum": 0.01}
# Of all gradients together; what is smaller is measured against it. The gradient of a key's bias is 0 but for rounding.
SMALL_GRADIENT = 0.05
LONG = 320  # frames: in bfloat16, a sum of ones ends at 256


def works_under_autocast(case: Case) -> None:
    """Under bfloat16 autocast output and gradients are those of float32 within tolerances (see `AUTOCAST_ERRORS`).

    Inputs of hundreds of frames are among those tried: a sum of so many that is kept in bfloat16 fails.
    """
    long = replace(case, max_length=LONG)
    for at, lengths in ((case, (case.max_length, 13, 1)), (long, (LONG, LONG - 31))):
        valid = torch.arange(lengths[0]) < torch.tensor(lengths)[:, None]
        mechanism = at.build().train(not card(case.name).stochastic)
        kept = copy.deepcopy(mechanism.state_dict())
        wanted = _pass(mechanism, at, valid, autocast=False)
        mechanism.load_state_dict(kept)
        got = _pass(mechanism, at, valid, autocast=True)
        where = f"({len(lengths)} utterances of up to {lengths[0]} frames)"
        _near_float32(case.name, got, wanted, where)
        _rows_sum_to_one_under_autocast(mechanism.eval(), at, valid, where)


def nothing_kept_is_rounded_by_autocast(case: Case) -> None:
    """Parameters, buffers and gradients are float32 under autocast, and what it computes is not reused without it."""
    mechanism, (hidden, values) = case.build(), case.inputs(2, 16)
    valid = valid_patterns(16)["lengths"][:2]
    with torch.no_grad():
        before = case.build()(hidden, values, valid)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mechanism(hidden, values.bfloat16(), valid)
        assert torch.equal(mechanism(hidden, values, valid), before), (
            f"{case.name}: what was computed under autocast is used again without it"
        )
    _, gradients = _pass(mechanism.train(), case, valid, autocast=True)
    tensors = {**dict(mechanism.named_parameters()), **dict(mechanism.named_buffers()), **gradients}
    for name, tensor in tensors.items():
        assert tensor.dtype not in (torch.bfloat16, torch.float16), f"{case.name}: {name} becomes {tensor.dtype}"


def _pass(
    mechanism: AttentionMechanism, case: Case, valid: Bool[Tensor, "batch time"], *, autocast: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the output at real frames, in float32 or under autocast, and the gradients of inputs and parameters."""
    # Both get the same inputs, which bfloat16 can represent. Hidden states stay float32 under autocast, values do not.
    hidden, values = (x.bfloat16().float().requires_grad_() for x in case.inputs(*valid.shape))
    mechanism.zero_grad()
    with torch.random.fork_rng(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        seed_generators(5)
        output = mechanism(hidden, values.bfloat16() if autocast else values, valid)
    assert output.dtype == (torch.bfloat16 if autocast else torch.float32), (
        f"{case.name}: values of another type than the output's, {output.dtype}"
    )
    real = output.float().masked_fill(~valid[:, None, :, None], 0.0)
    (real * case.inputs(*valid.shape, seed=9)[1]).sum().backward()
    named = {"the layer's input": hidden, "the values": values, **dict(mechanism.named_parameters())}
    return real.detach(), {name: it.grad for name, it in named.items() if it.grad is not None}


def _near_float32(
    name: str, got: tuple[Tensor, dict[str, Tensor]], wanted: tuple[Tensor, dict[str, Tensor]], where: str
) -> None:
    """Check a pass under autocast against one in float32."""
    selects = card(name).hash_flops is not None
    most = AUTOCAST_ERRORS["selection" if selects else "output"]
    whole = sum(float(gradient.norm()) ** 2 for gradient in wanted[1].values()) ** 0.5
    assert got[1].keys() == wanted[1].keys(), f"{name}: gradients under autocast reach other parameters {where}"
    scale = max(float(wanted[0].norm()), 1e-30)
    checks = {"the output": (got[0], wanted[0], scale, most)}
    most = AUTOCAST_ERRORS["selection" if selects else "gradient"]
    for it, gradient in wanted[1].items():
        scale = max(float(gradient.norm()), SMALL_GRADIENT * whole, 1e-30)
        checks[f"the gradient of {it}"] = (got[1][it], gradient, scale, most)
    for what, (mixed, full, scale, most) in checks.items():
        assert mixed.isfinite().all(), f"{name}: {what} is not finite under autocast {where}"
        error = float((mixed.float() - full).norm()) / scale
        assert error <= most, f"{name}: {what} differs under autocast by {error:.2g}, more than {most:g} {where}"


def _rows_sum_to_one_under_autocast(
    mechanism: AttentionMechanism, case: Case, valid: Bool[Tensor, "batch time"], where: str
) -> None:
    if not (mechanism.card.linear_map and mechanism.card.averages):
        return
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        weights = mechanism.weights(case.inputs(*valid.shape)[0].bfloat16(), valid)
    sums = weights.float().sum(-1).masked_fill(~valid[:, None, :], 1.0)
    error = float((sums - 1).abs().max())
    assert error <= AUTOCAST_ERRORS["row sum"], f"{case.name}: rows under autocast sum to 1 ± {error:.2g} {where}"
