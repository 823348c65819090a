"""No mechanism reads the contents of its input on the host, which would stall an accelerator or break a graph.

Inputs are fake here: they have shapes and no contents, so that any read of them, and any shape that depends on them,
raises.
"""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from inattention.attention import AttentionMechanism, card, mechanisms
from inattention.testing import Case

ROWS = [(name, variant) for name in mechanisms() for variant in ("", *card(name).variants)]
SORTED_BY_LABEL = "queries are sorted into blocks by label, and the number of blocks depends on the labels"
LENGTHS = "the pattern of an utterance depends on its length: utterances of one length are computed together"
# Mechanisms that read their input on purpose, with the reason.
READ_INPUT = {"l2-alsh": SORTED_BY_LABEL, "routing": SORTED_BY_LABEL}
# Mechanisms that read a padding mask on purpose.
READ_MASK = {
    **READ_INPUT,
    "fnet": "a Fourier transform has the utterance's own length",
    "local@per-utterance": LENGTHS,
    "sparse-fixed@per-utterance": LENGTHS,
    "sparse-strided@per-utterance": LENGTHS,
    "fnet@real": "a Fourier transform has the utterance's own length",
    "fnet@unscaled": "a Fourier transform has the utterance's own length",
}
# Mechanisms that read numbers made from their own parameters in training, once in a pass over the layers.
VANISHING = "with padding, whether a row's weights might vanish: decided for the maps, not for the input"
REACH = "which keys are in reach follows from learned widths"
READ_PARAMETERS = {
    **dict.fromkeys(("patterned", "synthesizer-random", "toeplitz-free"), VANISHING),
    **dict.fromkeys(("adaptive-span", "toeplitz", "toeplitz-convolution"), REACH),
}


LITTLE_MASS = "whether padding leaves little of a row's weights, which transforms would not resolve"


def reads(mechanism: AttentionMechanism, hidden: Tensor, values: Tensor, valid: Tensor | None) -> bool:
    """Return whether a forward pass reads contents that fake tensors do not have."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        fake = [None if x is None else mode.from_tensor(x) for x in (hidden, values, valid)]
        try:
            mechanism(*fake)
        except (DataDependentOutputException, DynamicOutputShapeException):
            return True
    return False


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("name", "variant"), ROWS, ids=[f"{n}@{v}" if v else n for n, v in ROWS])
def test_a_mechanism_reads_its_input_only_where_it_says_why(name: str, variant: str, masked: bool) -> None:
    case = Case(name, dict(card(name).variants[variant]) if variant else {})
    mechanism, (hidden, values) = case.build(), case.inputs(3, case.max_length)
    valid = torch.arange(case.max_length) < torch.tensor([[case.max_length], [13], [1]]) if masked else None
    with torch.no_grad():
        mechanism(hidden, values, valid)  # what depends on parameters alone is cached now
    row = f"{name}@{variant}" if variant else name
    assert reads(mechanism, hidden, values, valid) == (row in (READ_MASK if masked else READ_INPUT))


@pytest.mark.parametrize(("name", "variant"), ROWS, ids=[f"{n}@{v}" if v else n for n, v in ROWS])
def test_training_reads_no_more_than_that(name: str, variant: str) -> None:
    case = Case(name, dict(card(name).variants[variant]) if variant else {})
    valid = torch.arange(case.max_length) < torch.tensor([[case.max_length], [13], [1]])
    row = f"{name}@{variant}" if variant else name
    expected = row in READ_MASK or name in READ_PARAMETERS
    assert reads(case.build().train(), *case.inputs(3, case.max_length), valid) == expected


@pytest.mark.parametrize("time", [24, 800])
@pytest.mark.parametrize("masked", [False, True])
def test_a_long_table_reads_which_rows_need_the_softmax(masked: bool, time: int) -> None:
    case = Case("toeplitz", {"form": "table"}, max_length=800)
    valid = torch.arange(time) < torch.tensor([[time], [13], [1]]) if masked else None
    inputs = (*case.inputs(3, time), valid)
    mechanism = case.build()
    with torch.no_grad():
        mechanism(*inputs)  # what depends on parameters alone is cached now
    expected = LITTLE_MASS if masked and time == 800 else ""
    assert reads(mechanism, *inputs) == bool(expected)
