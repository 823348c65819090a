"""Estimate compute hours and costs of the paper's pre-training from counted operations and data sheets of GPUs.

PyTorch's counter counts the operations of one training step, and PyTorch's profiler measures its memory, on this
machine, on a few utterances of LibriSpeech's mean length; both grow linearly with the batch. Hours and costs follow
from the GPUs' peak rates, the share of them that training reaches, and prices per hour. The share and the prices are
assumptions: replace them by your own.

    python recipes/librispeech/cost.py
    python recipes/librispeech/cost.py --share-reached 0.2 --rows patterned@logits
"""

from dataclasses import dataclass, replace

import torch
import tyro

from inattention.attention.rows import parse_row
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import Batch, target_size
from inattention.pretraining.objective import MaskedAcousticModel, share_of_mean
from inattention.study.planning.presets import preset
from inattention.timing.flops import counted_flops
from inattention.timing.memory import peak_bytes

# train-clean-360 as OpenSLR describes it.
HOURS, UTTERANCES = 363.6, 104_014


@dataclass(frozen=True)
class Device:
    """A GPU according to its data sheet, with an assumed price.

    Attributes:
        name: Of the GPU.
        teraflops: Peak of dense bfloat16 (V100: float16) products with sums in float32, per second.
        gigabytes: Of memory.
        dollars: Per hour, assumed.
    """

    name: str
    teraflops: float
    gigabytes: int
    dollars: float


DEVICES = (
    Device("V100", 125, 32, 0.8),
    Device("RTX 4090", 165, 24, 0.5),
    Device("A100", 312, 80, 1.6),
    Device("H100", 989, 80, 3.0),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of the estimate, for one pre-training run with the paper's settings.

    Attributes:
        rows: Rows of a study.
        share_reached: Of the peak rate, on one GPU; assumed.
        share_of_eight: Of eight times that, on eight GPUs with 6 or 7 utterances each; assumed.
    """

    rows: tuple[str, ...] = ("qk", "patterned@logits")
    share_reached: float = 0.25
    share_of_eight: float = 0.5


@dataclass(frozen=True)
class Step:
    """The cost of one training step of a batch.

    Attributes:
        row: Row of a study.
        parameters: Of the model and its head.
        teraflops: Operations, in 10^12.
        gigabytes: Peak memory.
    """

    row: str
    parameters: int
    teraflops: float
    gigabytes: float


def main() -> None:
    """Print two tables: the cost of a step, and hours and costs on each GPU."""
    options = tyro.cli(Options, description=__doc__)
    study = preset("paper")
    steps = [measure(row, study.model, study.training) for row in options.rows]
    print(f"\nbatches of {study.training.batch_size}, {mean_frames(study.model)} frames per utterance, float32\n")
    print("| row | parameters, M | TFLOP per step | memory of a step, GB |\n|---|---|---|---|")
    for step in steps:
        print(f"| `{step.row}` | {step.parameters / 1e6:.1f} | {step.teraflops:.2f} | {step.gigabytes:.1f} |")
    print(
        f"\n{study.training.steps:,} steps, estimated: {options.share_reached:.0%} of a GPU's peak, eight GPUs as "
        f"{8 * options.share_of_eight:.0f}\n"
    )
    print(
        "| GPU | peak, TFLOP/s | $ per hour | row | hours, one GPU | $ | hours, eight GPUs | $ |\n" + "|---" * 8 + "|"
    )
    for device in DEVICES:
        for step in steps:
            one = step.teraflops * study.training.steps / (device.teraflops * options.share_reached) / 3600
            eight = one / 8 / options.share_of_eight
            gpu = f"{device.name}, {device.gigabytes} GB | {device.teraflops:.0f} | {device.dollars:.2f}"
            dollars = (one * device.dollars, eight * 8 * device.dollars)
            print(f"| {gpu} | `{step.row}` | {one:.1f} | {dollars[0]:.0f} | {eight:.1f} | {dollars[1]:.0f} |")


def mean_frames(config: AudioTransformerConfig) -> int:
    """Return the frames of an utterance of mean length."""
    return round(HOURS * 3600 / UTTERANCES / config.features.step_seconds)


def measure(row: str, config: AudioTransformerConfig, training: PretrainingConfig) -> Step:
    """Return the cost of a training step, extrapolated to the batch from one and three utterances."""
    parsed = parse_row(row)
    config = replace(config, attention=parsed.mechanism, attention_options=dict(parsed.options))
    size = target_size(training, config.features)
    model = MaskedAcousticModel(config, size)
    parameters = sum(p.numel() for p in model.parameters())
    few, more = 1, 3
    flops, memory = {}, {}
    for utterances in (few, more):
        batch = make_batch(utterances, mean_frames(config), config.input_size, size)

        def call(batch: Batch = batch) -> None:
            model.zero_grad(set_to_none=True)
            error, masked = model(batch)
            share_of_mean(error, masked).backward()

        flops[utterances] = counted_flops(call)
        model.zero_grad(set_to_none=True)
        memory[utterances] = peak_bytes(call)
    rest = training.batch_size - few
    flops_of_batch = flops[few] + rest * (flops[more] - flops[few]) / (more - few)
    memory_of_batch = memory[few] + rest * (memory[more] - memory[few]) / (more - few)
    # The step allocates activations and gradients; added are the weights and the two moments of LAMB and AdamW.
    memory_of_batch += 3 * 4 * parameters
    return Step(row, parameters, flops_of_batch / 1e12, memory_of_batch / 1e9)


def make_batch(utterances: int, frames: int, size: int, target: int) -> Batch:
    """Return a batch of noise, with every seventh frame masked."""
    draw = torch.Generator().manual_seed(0)
    masked = torch.zeros(utterances, frames, dtype=torch.bool)
    masked[:, ::7] = True
    return Batch(
        torch.randn(utterances, frames, size, generator=draw),
        torch.randn(utterances, frames, target, generator=draw),
        masked,
        torch.ones(utterances, frames, dtype=torch.bool),
        (0, 0),
        tuple(map(str, range(utterances))),
        (),
        int(masked.sum()) * target,
    )


if __name__ == "__main__":
    main()
