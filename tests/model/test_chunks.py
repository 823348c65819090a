import pytest
import torch
from torch import Tensor, nn

from inattention.attention.ops.fixed_maps import FixedMaps
from inattention.model.chunks import chunks, encode
from small_models import small_input, small_model

TOLERANCE = 2e-5


@pytest.mark.parametrize("longest", [1, 2, 3, 7, 10])
def test_every_step_is_kept_once_from_a_chunk_that_holds_it(longest: int):
    for time in range(1, 45):
        cover = chunks(time, longest)
        kept = [step for chunk in cover for step in range(chunk.keep_start, chunk.keep_end)]
        assert kept == list(range(time))
        assert all(0 <= c.start <= c.keep_start < c.keep_end <= c.end <= time for c in cover)
        assert all(c.end - c.start == min(time, longest) for c in cover)


@pytest.mark.parametrize("longest", [2, 3, 7, 10, 32])
def test_every_step_is_taken_where_it_lies_deepest(longest: int):
    """Depth is the distance to the nearer cut; where the recording itself begins or ends, nothing is cut off."""
    for time in range(longest + 1, 5 * longest):
        cover = chunks(time, longest)

        def depth(step: int, start: int, end: int, time: int = time) -> float:
            before = step - start + 1 if start else float("inf")
            return min(before, end - step if end < time else float("inf"))

        for chunk in cover:
            for step in range(chunk.keep_start, chunk.keep_end):
                best = max(depth(step, c.start, c.end) for c in cover if c.start <= step < c.end)
                assert depth(step, chunk.start, chunk.end) == best


def test_neighbours_overlap_by_half():
    starts = [chunk.start for chunk in chunks(100, 20)]
    assert starts == [0, 10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
@pytest.mark.parametrize("layer", [-1, 0, 1, 2, -2, -3])
def test_short_utterances_come_out_as_from_forward_in_any_batch(layer: int, batch_size: int):
    model = small_model()
    utterances = [small_input(1, time, seed=time)[0] for time in (20, 3, 48, 1, 17)]
    for steps, values in zip(
        utterances, encode(model.encoder, utterances, layer=layer, batch_size=batch_size), strict=True
    ):
        states = model(steps[None], output_hidden_states=True).hidden_states
        torch.testing.assert_close(values, states[layer][0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_long_utterance_is_put_together_from_its_chunks(batch_size: int):
    model = small_model(max_length=20)
    steps, short = small_input(1, 67)[0], small_input(1, 9)[0]
    values, other = encode(model.encoder, [steps, short], batch_size=batch_size)
    for chunk in chunks(67, 20):
        alone = model(steps[None, chunk.start : chunk.end]).last_hidden_state[0]
        expected = alone[chunk.keep_start - chunk.start : chunk.keep_end - chunk.start]
        torch.testing.assert_close(values[chunk.keep_start : chunk.keep_end], expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(other, model(short[None]).last_hidden_state[0], atol=TOLERANCE, rtol=0)


def test_all_layers_come_as_a_first_axis():
    model = small_model(max_length=20)
    steps = small_input(1, 33)[0]
    (everything,) = encode(model.encoder, [steps], layer=None)
    assert everything.shape == (3, 33, 24)
    for layer in range(3):
        torch.testing.assert_close(everything[layer], encode(model.encoder, [steps], layer=layer)[0])


def test_nothing_is_nothing():
    assert encode(small_model().encoder, []) == []


def test_what_is_encoded_can_be_learned_from():
    (values,) = encode(small_model().encoder, [small_input(1, 9)[0]])
    assert not values.requires_grad
    probe = nn.Linear(24, 2)
    probe(values).sum().backward()
    assert probe.weight.grad is not None


def test_it_is_done_in_evaluation_mode_and_the_model_left_as_it_was():
    model = small_model(dropout=0.5).train()
    model.encoder.layers.eval()
    modes = [module.training for module in model.modules()]
    steps = [small_input(1, 9)[0]]
    assert torch.equal(encode(model.encoder, steps)[0], encode(model.encoder, steps)[0])
    assert [module.training for module in model.modules()] == modes


def test_a_mechanism_keeps_its_maps_from_one_call_to_the_next(monkeypatch: pytest.MonkeyPatch):
    model = small_model(attention="patterned")
    made = []
    mechanism = model.encoder.mechanisms[0]
    assert isinstance(mechanism, FixedMaps)
    make = mechanism.logits

    def logits(time: int) -> Tensor:
        made.append(time)
        return make(time)

    monkeypatch.setattr(mechanism, "logits", logits)
    for _ in range(3):
        encode(model.encoder, [small_input(1, 9)[0]])
    assert made == [9]


def test_the_last_layer_by_its_number_costs_no_other(monkeypatch: pytest.MonkeyPatch):
    model = small_model()
    asked = []
    forward = model.encoder.forward

    def spy(features: Tensor, valid: Tensor | None, *, output_hidden_states: bool) -> object:
        asked.append(output_hidden_states)
        return forward(features, valid, output_hidden_states=output_hidden_states)

    monkeypatch.setattr(model.encoder, "forward", spy)
    steps = [small_input(1, 9)[0]]
    assert torch.equal(encode(model.encoder, steps, layer=2)[0], encode(model.encoder, steps)[0])
    assert asked == [False, False]


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused(layer: int):
    with pytest.raises(ValueError, match=f"no layer {layer}: the model has hidden states 0 to 2"):
        encode(small_model().encoder, [small_input(1, 9)[0]], layer=layer)


@pytest.mark.parametrize("shape", [(0, 48), (9, 1), (9, 47)])
def test_utterances_of_another_form_are_refused(shape: tuple[int, int]):
    with pytest.raises(ValueError, match=r"utterance 1 must be of \(time, 48\)"):
        encode(small_model().encoder, [small_input(1, 9)[0], torch.zeros(shape)])


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_of_nothing_are_refused(batch_size: int):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        encode(small_model().encoder, [small_input(1, 9)[0]], batch_size=batch_size)
