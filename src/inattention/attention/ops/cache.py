"""Keeping what a mechanism makes from its parameters alone, for as long as that is safe."""

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from inattention.attention.base import AttentionMechanism

_Made = TypeVar("_Made")


class KeepsInEvaluation(AttentionMechanism):
    """A mechanism part of whose work does not depend on the input: maps, or bands of them.

    In evaluation the last thing made is kept until a parameter changes; during one pass over an encoder's layers
    everything is made once.
    """

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self._kept: tuple[tuple, Any] | None = None
        self._pass_depth = 0
        self._in_pass: dict[Hashable, Any] = {}

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """Compute what does not depend on the input once for all layers that this pass goes through."""
        self._pass_depth += 1
        try:
            yield
        finally:
            self._pass_depth -= 1
            if not self._pass_depth:
                self._in_pass.clear()

    def train(self, mode: bool = True) -> "KeepsInEvaluation":
        """Switch between training and evaluation; what was kept is dropped."""
        self._kept = None
        return super().train(mode)

    def kept(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Give what ``make`` makes, from memory where that is safe.

        Args:
            key: what it depends on besides the parameters, such as the input's length.
            make: makes it, from nothing but the parameters and what the key says.
        """
        if key in self._in_pass:
            return self._in_pass[key]
        state = self._state(key)
        if state is not None and self._kept is not None and self._kept[0] == state:
            return self._kept[1]
        if state is None:
            made = make()
        else:  # it may meet a later pass that records gradients, so it must not hold inference tensors
            with torch.inference_mode(False), torch.no_grad():
                made = make()
            self._kept = (state, made)
        if self._pass_depth:
            self._in_pass[key] = made
        return made

    def _state(self, key: Hashable) -> tuple | None:
        """What kept things depend on, or None where none may be kept: in training, or while gradients reach them."""
        parameters = list(self.parameters())
        recorded = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
        if self.training or recorded or any(p.is_inference() for p in parameters):
            return None
        return (key, *((p.data_ptr(), p._version, p.dtype, p.device) for p in parameters))
