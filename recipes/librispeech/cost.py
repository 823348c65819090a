"""What the paper's pre-training costs, on paper: counted operations and measured memory, divided by what GPUs promise.

Operations of one training step are counted by PyTorch's counter, and its memory is measured by PyTorch's profiler, on
this machine, on a few utterances of LibriSpeech's mean length; both grow with the batch by a constant an utterance.
Hours and costs follow from the makers' peak rates, a share of them that training reaches, and prices an hour. The
share and the prices are assumptions: put in your own.

    python recipes/librispeech/cost.py
    python recipes/librispeech/cost.py --share-reached 0.2 --row patterned@logits
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
    """A GPU by its maker's data sheet, and what an hour of it may cost.

    Attributes:
        name: the GPU.
        teraflops: peak of dense bfloat16 (V100: float16) products with sums in float32.
        gigabytes: of memory.
        dollars: an hour, assumed.
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
    """Compute hours and costs of one pre-training run of the paper's setting.

    Attributes:
        rows: the mechanisms.
        share_reached: of the peak rate, on one GPU; assumed.
        share_of_eight: of eight times that, on eight GPUs with 6 or 7 utterances each; assumed.
    """

    rows: tuple[str, ...] = ("qk", "patterned@logits")
    share_reached: float = 0.25
    share_of_eight: float = 0.5


@dataclass(frozen=True)
class Step:
    """One training step of a batch, as it was counted and measured."""

    row: str
    parameters: int
    teraflops: float
    gigabytes: float


def main() -> None:
    """Measure, compute, and print two tables."""
    options = tyro.cli(Options, description=__doc__)
    study = preset("paper")
    steps = [measure(row, study.model, study.training) for row in options.rows]
    print(f"\nbatches of {study.training.batch_size}, {mean_steps(study.model)} steps an utterance, float32\n")
    print("| row | parameters, M | TFLOP a training step | memory of a training step, GB |\n|---|---|---|---|")
    for step in steps:
        print(f"| `{step.row}` | {step.parameters / 1e6:.1f} | {step.teraflops:.2f} | {step.gigabytes:.1f} |")
    print(
        f"\n{study.training.steps:,} steps, on paper: {options.share_reached:.0%} of a GPU's peak, eight GPUs as "
        f"{8 * options.share_of_eight:.0f}\n"
    )
    print("| GPU | peak, TFLOP/s | $ an hour | row | hours, one GPU | $ | hours, eight GPUs | $ |\n" + "|---" * 8 + "|")
    for device in DEVICES:
        for step in steps:
            one = step.teraflops * study.training.steps / (device.teraflops * options.share_reached) / 3600
            eight = one / 8 / options.share_of_eight
            gpu = f"{device.name}, {device.gigabytes} GB | {device.teraflops:.0f} | {device.dollars:.2f}"
            dollars = (one * device.dollars, eight * 8 * device.dollars)
            print(f"| {gpu} | `{step.row}` | {one:.1f} | {dollars[0]:.0f} | {eight:.1f} | {dollars[1]:.0f} |")


def mean_steps(config: AudioTransformerConfig) -> int:
    """Steps of an utterance of mean length."""
    return round(HOURS * 3600 / UTTERANCES / config.features.step_seconds)


def measure(row: str, config: AudioTransformerConfig, training: PretrainingConfig) -> Step:
    """Count and measure a training step on one and on three utterances, and go on from there to the batch."""
    parsed = parse_row(row)
    config = replace(config, attention=parsed.mechanism, attention_options=dict(parsed.options))
    size = target_size(training, config.features)
    model = MaskedAcousticModel(config, size)
    parameters = sum(p.numel() for p in model.parameters())
    few, more = 1, 3
    flops, memory = {}, {}
    for utterances in (few, more):
        batch = make_batch(utterances, mean_steps(config), config.input_size, size)

        def call(batch: Batch = batch) -> None:
            model.zero_grad(set_to_none=True)
            error, cells = model(batch)
            share_of_mean(error, cells).backward()

        flops[utterances] = counted_flops(call)
        model.zero_grad(set_to_none=True)
        memory[utterances] = peak_bytes(call)
    rest = training.batch_size - few
    flops_of_batch = flops[few] + rest * (flops[more] - flops[few]) / (more - few)
    memory_of_batch = memory[few] + rest * (memory[more] - memory[few]) / (more - few)
    # Beside what the step allocates, gradients included: weights, and the two moments that LAMB and AdamW keep.
    memory_of_batch += 3 * 4 * parameters
    return Step(row, parameters, flops_of_batch / 1e12, memory_of_batch / 1e9)


def make_batch(utterances: int, steps: int, size: int, target: int) -> Batch:
    """Noise of the right shape, a seventh of it masked."""
    draw = torch.Generator().manual_seed(0)
    chosen = torch.zeros(utterances, steps, dtype=torch.bool)
    chosen[:, ::7] = True
    return Batch(
        torch.randn(utterances, steps, size, generator=draw),
        torch.randn(utterances, steps, target, generator=draw),
        chosen,
        torch.ones(utterances, steps, dtype=torch.bool),
        (0, 0),
        tuple(map(str, range(utterances))),
        (),
        int(chosen.sum()) * target,
    )


if __name__ == "__main__":
    main()
