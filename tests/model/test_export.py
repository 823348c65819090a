"""Whole encoders as graphs: `torch.export` and `torch.compile` take them, for any batch, length and padding."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from inattention.attention import build
from inattention.model.encoder import EncoderOutput
from inattention.model.transformer import AudioTransformer
from small_models import small_input, small_model

pytestmark = pytest.mark.slow

NAMES = ("toeplitz", "patterned", "synthesizer-random", "uniform", "none", "qk")
LONGEST = 48
# (batch, time) of inputs, none of them that of the example a graph is made from.
SHAPES = ((2, LONGEST), (5, 33), (3, 7))
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def unchecked_shapes() -> Iterator[None]:
    """Turn shape checks off, since they would compare the symbols of a graph with numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def padding_mask(batch: int, time: int) -> Tensor:
    """Return a mask of one full utterance and shorter ones."""
    lengths = [time, *(max(1, time // (1 + i)) for i in range(1, batch))]
    return torch.arange(time) < torch.tensor(lengths)[:, None]


def one_layer(name: str) -> AudioTransformer:
    """Return a model of one layer, as each takes seconds to trace."""
    return small_model(attention=name, layers=1)


def exported(name: str, mask: Tensor | None) -> ExportedProgram:
    shape = {0: Dim("batch", max=64), 1: Dim("time", max=LONGEST)}
    args, shapes = (small_input(4, 20),), {"features": shape}
    if mask is not None:
        args, shapes = (*args, mask), {**shapes, "valid": shape}
    with torch.no_grad():
        return torch.export.export(one_layer(name), args, dynamic_shapes=shapes, strict=False)


def assert_same(graph: Callable[..., EncoderOutput], name: str, *, masked: bool) -> None:
    model = one_layer(name)
    for batch, time in SHAPES:
        features, valid = small_input(batch, time, seed=time), padding_mask(batch, time)
        dirty = torch.where(valid[..., None], features, float("nan")) if masked else features
        args = (dirty, valid) if masked else (dirty,)
        with torch.no_grad():
            expected, got = model(*args).last_hidden_state, graph(*args).last_hidden_state
        real = valid if masked else torch.ones_like(valid)
        torch.testing.assert_close(got[real], expected[real], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_encoder_takes_any_padding(name: str) -> None:
    assert_same(exported(name, padding_mask(4, 20)).module(), name, masked=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_encoder_without_a_mask_takes_any_length(name: str) -> None:
    assert_same(exported(name, None).module(), name, masked=False)


def test_a_mask_of_all_frames_is_not_built_into_the_graph() -> None:
    graph = exported("patterned", torch.ones(4, 20, dtype=torch.bool))
    assert_same(graph.module(), "patterned", masked=True)


def test_what_is_cached_in_evaluation_does_not_enter_the_graph() -> None:
    """The graph's maps are made from its own parameters, and no encoder is left with a graph's tensors."""
    model = small_model(attention="patterned")
    features = small_input(4, 20)
    with torch.no_grad():
        expected = model(features).last_hidden_state  # fills the cache
        graph = torch.export.export(model, (features,), strict=False).module()
        for part in (model, graph):
            maps = next(p for name, p in part.named_parameters() if name.endswith("maps"))
            maps.add_(torch.randn(maps.shape, generator=torch.Generator().manual_seed(0)))
        changed = model(features).last_hidden_state
        assert not torch.allclose(changed, expected, atol=1e-3)
        torch.testing.assert_close(graph(features).last_hidden_state, changed, atol=TOLERANCE, rtol=0)


def test_weights_that_nearly_vanish_are_as_exact_in_a_graph() -> None:
    model = small_model(attention="synthesizer-random")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("maps"):
                parameter.mul_(60)
        features, valid = small_input(4, 20), padding_mask(4, 20)
        graph = torch.export.export(model, (features, valid), strict=False).module()
        expected, got = model(features, valid).last_hidden_state, graph(features, valid).last_hidden_state
    torch.testing.assert_close(got[valid], expected[valid], atol=TOLERANCE, rtol=0)


def test_an_exported_table_takes_every_length_up_to_its_longest() -> None:
    mechanism = build("toeplitz", width=12, heads=3, max_length=900, form="table").eval()

    def inputs(time: int) -> tuple[Tensor, Tensor, Tensor]:
        values = torch.randn(1, 3, time, 4, generator=torch.Generator().manual_seed(time))
        return torch.zeros(1, time, 12), values, torch.arange(time)[None] < 700

    time = Dim("time", min=2, max=900)
    graph = torch.export.export(mechanism, inputs(800), dynamic_shapes=({1: time}, {2: time}, {1: time})).module()
    with torch.no_grad():
        for length in (30, 800, 900):
            got, expected = (call(*inputs(length))[:, :, :700] for call in (graph, mechanism))
            torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_compiled_encoders_are_one_graph_each() -> None:
    """In a process of its own, as the functions that check shapes in tests cannot be compiled."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def compile_all() -> None:
    for name, masked in (*((name, True) for name in NAMES), ("patterned", False)):
        compiled = torch.compile(one_layer(name), fullgraph=True, dynamic=True, backend="eager")
        assert_same(compiled, name, masked=masked)
        torch.compiler.reset()


if __name__ == "__main__":
    compile_all()
