"""Peak memory of a call, above the memory in use when it begins.

On CUDA it is read from PyTorch's allocator. On a CPU the profiler reports each allocation and each release of tensor
memory, temporaries inside operations included; the peak is the highest running sum. Buffers of the matrix-product
libraries and the reserve of the allocator are not included.
"""

import itertools
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(call: Callable[[], object], device: str = "cpu") -> int:
    """Return the peak memory of a call in bytes, above the start.

    >>> peak_bytes(lambda: torch.ones(1000).sum())
    4004
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with _without_native_messages():
        profiler.start()
    try:
        call()
    finally:
        with _without_native_messages():
            profiler.stop()
    assert profiler.profiler is not None
    # The public results sum memory per operation; the single events in order are available only here.
    results: Any = profiler.profiler.kineto_results
    events = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
    return max(itertools.accumulate((size for _, size in events), initial=0))


@contextmanager
def _without_native_messages() -> Generator[None]:
    """Silence stderr while the profiler starts or stops, because its library writes a line there each time."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
