"""Devices by name."""

import torch


def usable_device(name: str) -> torch.device:
    """Return a device that tensors can be put on.

    Args:
        name: such as ``cpu`` or ``cuda:1``; ``auto`` for a GPU if there is one.

    Raises:
        ValueError: if there is no such device, or this build of PyTorch does not know it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # PyTorch raises either
        raise ValueError(f"device {name!r} cannot be used ({str(error).splitlines()[0]})") from error
