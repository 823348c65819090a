"""What a time was measured on: numbers without their machine say nothing."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine(device: str, threads: int) -> dict[str, str | int]:
    """Describe the machine that a run uses."""
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


def versions() -> dict[str, str]:
    """Give the versions that times depend on."""
    packages = ("torch", "inattention")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
