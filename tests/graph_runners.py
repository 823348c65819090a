"""Graphs of encoders, run by PyTorch in place of an exported file: no exporter is run."""

from collections.abc import Sequence

import numpy as np
import torch

from inattention.export.checks.parity import Runner
from inattention.export.config import ExportConfig
from inattention.export.prepare import prepare
from inattention.export.subject import Subject


def graph_runner(subject: Subject, states: Sequence[int], noise: float = 0.0) -> Runner:
    """Return what a file would compute, with as much noise in it."""
    prepared = prepare(subject.model, ExportConfig(form="dense"), subject.longest, 20)
    graph = subject.graph(prepared.model, states).eval()
    generator = torch.Generator().manual_seed(0)

    def run(features: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            found = graph(torch.from_numpy(features), torch.from_numpy(mask))
        return [(it + noise * torch.randn(it.shape, generator=generator)).numpy() for it in found]

    return run
