"""Description of the machine that times were measured on."""

import os
import platform
from pathlib import Path


def machine(device: str, threads: int) -> dict[str, str | int]:
    """Return a description of the machine.

    Args:
        device: device of the run; a GPU is named.
        threads: number of threads of PyTorch.
    """
    import torch

    described: dict[str, str | int] = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "threads": threads,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
    }
    if torch.device(device).type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
