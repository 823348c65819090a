"""The device that encoders run on."""

import torch


def device_named(name: str) -> torch.device:
    """Return a device: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.

    Raises:
        ValueError: if there is no such device.

    >>> device_named("cpu")
    device(type='cpu')
    """
    found = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    if name == "cuda" and not found:
        raise ValueError("--device cuda: PyTorch finds no GPU here; use --device cpu, or a PyTorch with CUDA")
    return torch.device(name)
