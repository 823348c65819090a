"""Operations counted by PyTorch's counter, a multiplication and an addition counting as two.

Counted are matrix products and attention; sorting, gathering, norms and exponentials count nothing. Counting runs the
call once, for real: tensors without data will not do, as mechanisms ask whether all steps are valid.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def counted_flops(call: Callable[[], object]) -> int:
    """Count the floating-point operations of a call, backward pass included if it makes one.

    >>> x = torch.ones(2, 3)
    >>> counted_flops(lambda: x @ x.T)
    24
    """
    with FlopCounterMode(display=False, custom_mapping=_FUSED_ON_CPU) as counter:
        call()
    return counter.get_total_flops()


def _forward(query: Any, key: Any, values: Any, *rest: Any, **named: Any) -> int:
    return sdpa_flop_count(query, key, values)


def _backward(gradient: Any, query: Any, key: Any, values: Any, *rest: Any, **named: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, values)


# The counter knows fused attention on CUDA; left alone, it counts nothing for the CPU's.
_FUSED_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
