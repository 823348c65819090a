"""On how many processes a run goes on, how they share the work, and how checkpoints get to disk."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn

from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.stopping import RunError


def placement(config: PretrainingConfig) -> dict[str, Any]:
    """Give what Lightning's Trainer must know: devices, nodes and strategy.

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
                f"{config.devices} on each of {config.nodes}; leave devices and nodes out under torchrun"
            )
    return {"devices": devices, "num_nodes": nodes, "strategy": _strategy(config.strategy, devices * nodes)}


def _strategy(name: str, processes: int) -> Strategy | str:
    if name in ("auto", "ddp", "fsdp") and processes == 1:
        return "auto"  # there is nothing to share
    if name in ("auto", "ddp"):
        # Buffers are constants. Sending them around at each pass would need equal numbers of passes, too.
        return DDPStrategy(forward_sync_buffers=False)
    if name == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    return name


def spread(model: nn.Module, strategy: Strategy) -> None:
    """Under FSDP, leave each process a part of the weights: of each layer that has its own, and of the rest.

    A layer that serves every depth stays with the rest: gathering it again at each depth would save nothing.
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
    """Writes checkpoints where they belong, and to the disk itself.

    Lightning's own way goes through the system's temporary folder, which may be small, or on another disk, and keeps
    what a killed process left there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; a power cut after this call leaves it whole."""
        buffer = io.BytesIO()  # torch's own writer turns a full disk into an error without a number
        torch.save(checkpoint, buffer)
        with Path(path).open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())


def optimiser_state_by_model_order(state: dict[str, Any], module: nn.Module, optimiser: Any) -> dict[str, Any]:
    """Number an optimiser's state by the order of the model's parameters, not by that of its groups.

    FSDP reads checkpoints so; everything else goes by places within groups, whatever the numbers.
    """
    order = {id(parameter): number for number, parameter in enumerate(module.parameters())}
    numbers = [order[id(parameter)] for group in optimiser.param_groups for parameter in group["params"]]
    return {
        "state": {numbers[place]: values for place, values in state["state"].items()},
        "param_groups": [
            {**group, "params": [numbers[place] for place in group["params"]]} for group in state["param_groups"]
        ],
    }
