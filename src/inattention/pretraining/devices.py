"""Distribution of a run over processes: devices, strategy, sharding, and the writing of checkpoint files."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.optim import Optimizer

from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.stopping import RunError


def placement(config: PretrainingConfig) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer for devices, nodes and strategy.

    Raises:
        RunError: if torchrun started other processes than the settings ask for.
    """
    devices, nodes = config.devices, config.nodes
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
        if (config.devices, config.nodes) not in ((1, 1), (devices, nodes)):
            raise RunError(
                f"torchrun started {devices} processes on each of {nodes} machines, but the settings ask for "
                f"{config.devices} on each of {config.nodes}; do not set devices and nodes under torchrun"
            )
    return {"devices": devices, "num_nodes": nodes, "strategy": _strategy(config.strategy, devices * nodes)}


def _strategy(name: str, processes: int) -> Strategy | str:
    if name in ("auto", "ddp", "fsdp") and processes == 1:
        return "auto"
    if name in ("auto", "ddp"):
        # Buffers are constants. Synchronising them at each pass would require equal numbers of passes, too.
        return DDPStrategy(forward_sync_buffers=False)
    if name == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    return name


def shard(model: nn.Module, strategy: Strategy) -> None:
    """Under FSDP, shard each layer that has its own weights, and the rest of the model; otherwise do nothing.

    A layer that is shared over depth stays with the rest: gathering it again at each depth would save no memory.
    """
    if not isinstance(strategy, ModelParallelStrategy):
        return
    from torch.distributed.fsdp import fully_shard

    mesh = strategy.device_mesh["data_parallel"]
    assert isinstance(model, MaskedAcousticModel)
    layers = model.encoder.encoder.layers
    if len(layers) > 1:
        for layer in layers:
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


class CheckpointFile(TorchCheckpointIO):
    """Writes checkpoints directly to their path and flushes them to the disk.

    Lightning's default goes through the system's temporary folder, which may be small or on another disk, and leaves
    files of killed processes there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; after this call it survives a power cut."""
        buffer = io.BytesIO()  # torch.save to a file reports a full disk without an errno
        torch.save(checkpoint, buffer)
        with Path(path).open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())


def optimiser_state_by_model_order(state: dict[str, Any], module: nn.Module, optimiser: Optimizer) -> dict[str, Any]:
    """Return an optimizer's state with parameters numbered in the order of the model, not of the parameter groups.

    FSDP reads checkpoints this way; everything else goes by position within groups and ignores the numbers.
    """
    order = {id(parameter): number for number, parameter in enumerate(module.parameters())}
    numbers = [order[id(parameter)] for group in optimiser.param_groups for parameter in group["params"]]
    return {
        "state": {numbers[place]: values for place, values in state["state"].items()},
        "param_groups": [
            {**group, "params": [numbers[place] for place in group["params"]]} for group in state["param_groups"]
        ],
    }
