"""Training of one probe on frozen features; dev chooses the epoch, and one seed decides all randomness."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inattention.devices import usable_device
from inattention.probing.config import ProbeConfig, Task
from inattention.probing.labels import Examples
from inattention.probing.probes import Probe, build
from inattention.progress import bar as progress_bar
from inattention.seeding import derive_seed

# Items scored at once.
SCORE_BATCH = 8192
# The dev loss counts as falling if it drops by this share of its lowest value; slower progress can last very long.
LOSS_GAIN = 0.01


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of a split, one row per frame or utterance, and the items that are trained or scored on."""

    features: Float[Tensor, "rows *time layers width"]
    examples: Examples


@dataclass(frozen=True)
class TrainedProbe:
    """A probe with the averaged weights of its best epoch.

    Attributes:
        probe: the probe.
        dev_accuracy: accuracy on dev at that epoch.
        best_epoch: counted from 1.
        epochs: number of epochs trained.
    """

    probe: Probe
    dev_accuracy: float
    best_epoch: int
    epochs: int


def train(
    task: Task, train: LabelledFeatures, dev: LabelledFeatures, classes: int, config: ProbeConfig, *, progress: bool
) -> TrainedProbe:
    """Train a task's probe until it no longer improves on dev.

    Running averages of the weights are scored and returned: with Adam at a constant rate the weights themselves
    fluctuate, and with them both the accuracy and the choice of the epoch.

    The best epoch has the highest dev accuracy and, among equals, the lowest dev loss. Training also continues while
    the dev loss falls, because a weak signal shows there first. All randomness derives from ``config.seed``; torch's
    global random state is left unchanged.
    """
    device, balanced = device_of(config), config.balanced(task)
    batch_size, patience = config.step_batch_size, config.patience
    if task == "speaker-utterance":
        batch_size, patience = config.utterance_batch_size, config.utterance_patience
    probe = _fresh_probe(task, train, classes, config).to(device)
    averaged = copy.deepcopy(probe).requires_grad_(False)
    weights = class_weights(train.examples.labels, classes).to(device) if balanced else None
    optimizer = torch.optim.Adam(probe.parameters(), lr=config.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "probe", task))
    best, best_epoch, best_state = (-1.0, 0.0), 0, {}
    lowest_loss, last_gain, epoch, updates = math.inf, 0, 0, 0
    bar = progress_bar(range(1, config.epochs + 1), desc=f"probe {task}", unit="epoch", show=progress)
    for epoch in bar:
        for features, labels in _batches(train, batch_size, generator):
            loss = F.cross_entropy(probe(features.to(device)), labels.to(device), weight=weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            _average(averaged, probe, min(config.averaging, (updates - 1) / (updates + 9)))
        correct, dev_loss = score(averaged, dev, weights)
        accuracy = accuracy_of(correct.numpy(), dev.examples.labels, balanced=balanced)
        if (accuracy, -dev_loss) > best:
            best, best_epoch, last_gain = (accuracy, -dev_loss), epoch, epoch
            best_state = {name: tensor.clone() for name, tensor in averaged.state_dict().items()}
        if dev_loss < (1 - LOSS_GAIN) * lowest_loss:
            lowest_loss, last_gain = dev_loss, epoch
        bar.set_postfix_str(f"dev={accuracy:.3f}, best={best[0]:.3f}", refresh=False)
        if epoch - last_gain >= patience:
            break
    bar.close()
    averaged.load_state_dict(best_state)
    return TrainedProbe(averaged, best[0], best_epoch, epoch)


def _fresh_probe(task: Task, train: LabelledFeatures, classes: int, config: ProbeConfig) -> Probe:
    """Return a task's probe as initialised by its seed."""
    layers, width = train.features.shape[-2:]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(config.seed, "probe", task))
        return build(task, layers=layers, width=width, classes=classes, hidden_width=config.hidden_width)


def _batches(data: LabelledFeatures, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all items in a new order, in batches of nearly equal size, as each batch has the same weight."""
    rows, labels = torch.from_numpy(data.examples.rows), torch.from_numpy(data.examples.labels)
    for batch in torch.randperm(len(rows), generator=generator).tensor_split(-(-len(rows) // size)):
        yield data.features[rows[batch]], labels[batch]


@torch.no_grad()
def _average(averaged: Probe, probe: Probe, decay: float) -> None:
    """Update the running averages of the weights."""
    for average, newest in zip(averaged.parameters(), probe.parameters(), strict=True):
        average.lerp_(newest, 1 - decay)


def class_weights(labels: Int[np.ndarray, " items"], classes: int) -> Float[Tensor, " classes"]:
    """Return weights with which all classes that occur count equally; their mean over items is 1.

    >>> class_weights(np.array([0, 0, 0, 2]), 3).tolist()
    [0.6666666865348816, 0.0, 2.0]
    """
    from sklearn.utils.class_weight import compute_class_weight

    present = np.unique(labels)
    weights = torch.zeros(classes)
    weights[present] = torch.from_numpy(compute_class_weight("balanced", classes=present, y=labels)).float()
    return weights


def accuracy_of(
    correct: Bool[np.ndarray, " items"], labels: Int[np.ndarray, " items"], *, balanced: bool = False
) -> float:
    """Return the share of correct items or, if balanced, the mean of that share over classes.

    >>> accuracy_of(np.array([True, True, True, False]), np.array([0, 0, 0, 2]), balanced=True)
    0.5
    """
    if not balanced:
        return float(correct.mean())
    counts = np.bincount(labels)
    right = np.bincount(labels, weights=correct)
    return float((right[counts > 0] / counts[counts > 0]).mean())


@torch.inference_mode()
def score(
    probe: Probe, data: LabelledFeatures, weights: Float[Tensor, " classes"] | None = None
) -> tuple[Bool[Tensor, " items"], float]:
    """Return which items a probe classifies correctly, and its mean loss, weighted by class if weights are given."""
    device = next(probe.parameters()).device
    correct, loss, weight = [], 0.0, 0.0
    rows, labels = torch.from_numpy(data.examples.rows), torch.from_numpy(data.examples.labels)
    for batch_rows, batch_labels in zip(rows.split(SCORE_BATCH), labels.split(SCORE_BATCH), strict=True):
        logits, target = probe(data.features[batch_rows].to(device)), batch_labels.to(device)
        loss += F.cross_entropy(logits, target, weight=weights, reduction="sum").item()
        weight += len(target) if weights is None else weights[target].sum().item()
        correct.append((logits.argmax(-1) == target).cpu())
    return torch.cat(correct), loss / max(weight, 1e-9)


def device_of(config: ProbeConfig) -> torch.device:
    """Return the device to train on.

    Raises:
        ValueError: if there is no such device.
    """
    return usable_device(config.device)
