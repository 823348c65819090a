"""Training one probe on frozen features: best epoch by dev, everything drawn from one seed."""

import copy
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from inattention.probing.config import ProbeConfig, Task
from inattention.probing.features import SECONDS_BEFORE_PROGRESS
from inattention.probing.labels import Examples
from inattention.probing.probes import Probe, build
from inattention.seeding import derive_seed

# Items scored at once.
SCORE_BATCH = 8192
# The dev loss falls if it loses this share of its lowest value; slower than that, it falls for long and to no end.
LOSS_GAIN = 0.01


@dataclass(frozen=True)
class Table:
    """Features of a split, a row a step or an utterance, and what to say of them."""

    features: Float[Tensor, "rows *time layers width"]
    examples: Examples


@dataclass(frozen=True)
class Trained:
    """A probe as it was at its best epoch.

    Attributes:
        probe: with the weights of that epoch.
        dev_accuracy: at that epoch.
        best_epoch: counted from 1.
        epochs: passes that were made.
    """

    probe: Probe
    dev_accuracy: float
    best_epoch: int
    epochs: int


def train(task: Task, train: Table, dev: Table, classes: int, config: ProbeConfig, *, progress: bool) -> Trained:
    """Train a task's probe until dev gets no better.

    What is scored, and given back, are the weights' running averages: Adam at a constant rate leaves the weights
    themselves jumping about, and with them both the accuracy and the epoch that is chosen.

    The best epoch is that of the highest dev accuracy and, among equals, of the lowest dev loss. While the loss still
    falls, training goes on too: a weak signal shows there first. What is drawn comes from ``config.seed`` alone;
    torch's own random state is left as it was.
    """
    of_utterances = task == "speaker-utterance"
    batch_size = config.utterance_batch_size if of_utterances else config.step_batch_size
    patience = config.utterance_patience if of_utterances else config.patience
    seed = derive_seed(config.seed, "probe", task)
    layers, width = train.features.shape[-2:]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        probe = build(task, layers=layers, width=width, classes=classes, hidden_width=config.hidden_width)
    probe.to(device_of(config))
    averaged = copy.deepcopy(probe).requires_grad_(False)
    weights = class_weights(train.examples.labels, classes).to(device_of(config)) if config.balanced(task) else None
    optimizer = torch.optim.Adam(probe.parameters(), lr=config.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    best, best_epoch, best_state = (-1.0, 0.0), 0, {}
    lowest_loss, last_gain, epoch, updates = math.inf, 0, 0, 0
    bar = tqdm(
        range(1, config.epochs + 1),
        desc=f"probe {task}",
        unit="epoch",
        delay=SECONDS_BEFORE_PROGRESS,
        disable=not progress,
        file=sys.stderr,
        leave=False,
    )
    for epoch in bar:
        for features, labels in _batches(train, batch_size, generator):
            logits = probe(features.to(device_of(config)))
            loss = F.cross_entropy(logits, labels.to(device_of(config)), weight=weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            _average(averaged, probe, min(config.averaging, (updates - 1) / (updates + 9)))
        correct, dev_loss = score(averaged, dev, weights)
        accuracy = accuracy_of(correct.numpy(), dev.examples.labels, balanced=config.balanced(task))
        if (accuracy, -dev_loss) > best:
            best, best_epoch, last_gain = (accuracy, -dev_loss), epoch, epoch
            best_state = {name: tensor.clone() for name, tensor in averaged.state_dict().items()}
        if dev_loss < (1 - LOSS_GAIN) * lowest_loss:
            lowest_loss, last_gain = dev_loss, epoch
        bar.set_postfix(dev=f"{accuracy:.3f}", best=f"{best[0]:.3f}", refresh=False)
        if epoch - last_gain >= patience:
            break
    bar.close()
    averaged.load_state_dict(best_state)
    return Trained(averaged, best[0], best_epoch, epoch)


def _batches(table: Table, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give all items in a new order, in batches of nearly one size: one of a single item would weigh as much as any."""
    rows, labels = torch.from_numpy(table.examples.rows), torch.from_numpy(table.examples.labels)
    for batch in torch.randperm(len(rows), generator=generator).tensor_split(-(-len(rows) // size)):
        yield table.features[rows[batch]], labels[batch]


@torch.no_grad()
def _average(averaged: Probe, probe: Probe, decay: float) -> None:
    """Move averaged weights towards the newest; early on by more, so that the random start is soon forgotten."""
    for average, newest in zip(averaged.parameters(), probe.parameters(), strict=True):
        average.lerp_(newest, 1 - decay)


def class_weights(labels: Int[np.ndarray, " items"], classes: int) -> Float[Tensor, " classes"]:
    """Give each class the weight that makes all that occur count alike; their mean over items is 1.

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
    """Give the share of items that are right or, balanced, the mean of the shares of each class.

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
    probe: Probe, table: Table, weights: Float[Tensor, " classes"] | None = None
) -> tuple[Bool[Tensor, " items"], float]:
    """Say which items a probe gets right, and its mean loss, weighted by class if weights are given."""
    device = next(probe.parameters()).device
    correct, loss, weight = [], 0.0, 0.0
    rows, labels = torch.from_numpy(table.examples.rows), torch.from_numpy(table.examples.labels)
    for some_rows, some_labels in zip(rows.split(SCORE_BATCH), labels.split(SCORE_BATCH), strict=True):
        logits, wanted = probe(table.features[some_rows].to(device)), some_labels.to(device)
        loss += F.cross_entropy(logits, wanted, weight=weights, reduction="sum").item()
        weight += len(wanted) if weights is None else weights[wanted].sum().item()
        correct.append((logits.argmax(-1) == wanted).cpu())
    return torch.cat(correct), loss / max(weight, 1e-9)


def device_of(config: ProbeConfig) -> torch.device:
    """Give the device that the settings ask for."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)
