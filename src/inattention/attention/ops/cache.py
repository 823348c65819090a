"""Reuse of what a mechanism computes from its parameters alone, for as long as that is safe."""

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from inattention.attention.base import AttentionMechanism
from inattention.attention.ops.padding import tracing

_Value = TypeVar("_Value")


class CachesInEvaluation(AttentionMechanism):
    """A mechanism part of whose work does not depend on the input: maps, or bands of them.

    In evaluation the last value is reused until a parameter changes. During one pass over an encoder's layers each
    value is computed once, in training too. While `tracing` nothing outlives the pass, since a graph computes its maps
    from the parameters that it is given.
    """

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self._cached: tuple[tuple, Any] | None = None
        self._pass_depth = 0
        self._in_pass: list[tuple[Hashable, Any]] = []

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """Compute what does not depend on the input once for all layers of this pass."""
        self._pass_depth += 1
        try:
            yield
        finally:
            self._pass_depth -= 1
            if not self._pass_depth:
                self._in_pass.clear()

    def train(self, mode: bool = True) -> "CachesInEvaluation":
        """Switch between training and evaluation, and drop the cached value."""
        self._cached = None
        return super().train(mode)

    def cached(self, key: Hashable, compute: Callable[[], _Value]) -> _Value:
        """Return the cached value, computing it if needed.

        Args:
            key: what the value depends on besides the parameters, such as the input's length.
            compute: computes it from the parameters and the key alone.
        """
        for known, value in self._in_pass:  # a list, as lengths in a traced graph cannot be hashed
            if known == key:
                return value
        state = None if tracing() else self._state(key)
        if state is None:
            value = compute()
        elif self._cached is not None and self._cached[0] == state:
            return self._cached[1]
        else:  # a later pass may record gradients, so the cache must not hold inference tensors
            with torch.inference_mode(False), torch.no_grad():
                value = compute()
            self._cached = (state, value)
        if self._pass_depth:
            self._in_pass.append((key, value))
        return value

    def _state(self, key: Hashable) -> tuple | None:
        """Return what a cached value depends on, or None in training and while gradients are recorded."""
        parameters = list(self.parameters())
        recorded = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
        if self.training or recorded or any(p.is_inference() for p in parameters):
            return None
        return (key, *((p.data_ptr(), p._version, p.dtype, p.device) for p in parameters))
