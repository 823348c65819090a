"""Floating-point operations by PyTorch's counter; a multiplication and an addition count as two.

Matrix products, attention and Fourier transforms are counted; sorting, gathering, norms and exponentials are not.
Counting runs the call once with real tensors: meta tensors do not work, because mechanisms read the padding mask.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def counted_flops(call: Callable[[], object]) -> int:
    """Return the number of floating-point operations of a call, its backward pass included.

    >>> x = torch.ones(2, 3)
    >>> counted_flops(lambda: x @ x.T)
    24
    """
    with FlopCounterMode(display=False, custom_mapping=_FURTHER) as counter:
        call()
    return round(counter.get_total_flops())


def _forward(query: Any, key: Any, values: Any, *rest: Any, **named: Any) -> int:
    return sdpa_flop_count(query, key, values)


def _backward(gradient: Any, query: Any, key: Any, values: Any, *rest: Any, **named: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, values)


def _fft(shape: Sequence[int], dims: Sequence[int], *rest: Any, **named: Any) -> float:
    """Return the conventional 5 N log2 N for each complex transform of N numbers."""
    length = math.prod(shape[dim] for dim in dims)
    return 5 * math.prod(shape) * math.log2(max(2, length))


def _fft_of_real(shape: Sequence[int], dims: Sequence[int], *rest: Any, **named: Any) -> float:
    return _fft(shape, dims) / 2


def _fft_to_real(shape: Sequence[int], dims: Sequence[int], *rest: Any, out_shape: Any = None, **named: Any) -> float:
    return _fft(out_shape, dims) / 2


# PyTorch's counter covers fused attention on CUDA, but not on a CPU, and no Fourier transforms.
_FURTHER = {
    torch.ops.aten._fft_c2c: _fft,
    torch.ops.aten._fft_r2c: _fft_of_real,
    torch.ops.aten._fft_c2r: _fft_to_real,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
