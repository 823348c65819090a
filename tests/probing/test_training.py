"""Training of a probe: what it learns, when it stops, and what decides its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from inattention.probing import training
from inattention.probing.config import TASKS, ProbeConfig
from inattention.probing.labels import Examples
from inattention.probing.training import LabelledFeatures, accuracy_of, score, train

QUICK = ProbeConfig(hidden_width=32, epochs=20, step_batch_size=50, utterance_batch_size=50, learning_rate=0.01)


def table(features: torch.Tensor, labels: torch.Tensor) -> LabelledFeatures:
    rows = np.arange(len(labels))
    return LabelledFeatures(features, Examples(rows, labels.numpy(), rows))


def separable(items: int, *, seed: int, classes: int = 4, width: int = 8) -> LabelledFeatures:
    """Return classes around distant centres, in features of one layer."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (items,), generator=generator)
    centers = 3 * torch.eye(classes, width)
    return table((centers[labels] + 0.3 * torch.randn(items, width, generator=generator))[:, None], labels)


def as_utterances(of_frames: LabelledFeatures) -> LabelledFeatures:
    return LabelledFeatures(of_frames.features[:, None], of_frames.examples)


@pytest.mark.parametrize("task", TASKS)
def test_probe_learns_what_is_separable(task: str) -> None:
    splits = [separable(400, seed=seed) for seed in range(3)]
    if task == "speaker-utterance":
        splits = [as_utterances(split) for split in splits]
    trained = train(task, splits[0], splits[1], 4, QUICK, progress=False)
    correct, _ = score(trained.probe, splits[2])
    assert correct.double().mean() > 0.99


@pytest.mark.parametrize("task", TASKS)
def test_constant_features_give_the_majority_class(task: str) -> None:
    labels = torch.tensor([0, 1, 1, 1, 2] * 20)
    splits = [table(torch.full((100, 1, 6), 0.5), labels) for _ in range(3)]
    if task == "speaker-utterance":
        splits = [as_utterances(split) for split in splits]
    trained = train(task, splits[0], splits[1], 3, QUICK, progress=False)
    correct, _ = score(trained.probe, splits[2])
    assert torch.equal(correct, labels == 1)


def test_balanced_speakers_are_learned_however_little_they_say() -> None:
    def split(seed: int) -> LabelledFeatures:
        generator = torch.Generator().manual_seed(seed)
        labels = (torch.arange(600) % 20 == 0).long()  # one frame in twenty is the second speaker's
        return table((labels + torch.randn(600, generator=generator))[:, None, None], labels)

    train_, dev, test = (split(seed) for seed in range(3))
    found = {}
    for balanced in (False, True):
        config = replace(QUICK, balanced_speakers=balanced)
        correct, _ = score(train("speaker-frame", train_, dev, 2, config, progress=False).probe, test)
        found[balanced] = accuracy_of(correct.numpy(), test.examples.labels, balanced=True)
    assert found[False] < 0.55
    assert 0.64 < found[True] < 0.74  # the optimum is 0.69: half a standard deviation to each side
    configs = [replace(QUICK, balanced_speakers=balanced) for balanced in (False, True)]
    phones = [train("phone-1-hidden", train_, dev, 2, config, progress=False).probe for config in configs]
    states = (probe.state_dict().values() for probe in phones)
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))


@pytest.mark.parametrize("right", [0, 2])
def test_weighted_layers_learn_to_choose_the_informative_layer(right: int) -> None:
    def layered(seed: int) -> LabelledFeatures:
        one = separable(600, seed=seed)
        features = torch.randn(600, 3, 8, generator=torch.Generator().manual_seed(100 + seed))
        features[:, right] = one.features[:, 0] / 3
        return LabelledFeatures(features, one.examples)

    config = ProbeConfig(learning_rate=0.01, epochs=40, patience=40)
    trained = train("speaker-frame", layered(0), layered(1), 4, config, progress=False)
    weights = trained.probe.mix.logits.softmax(0)
    assert weights.argmax() == right
    assert weights[right] > 0.8


def test_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    noisy = [separable(200, seed=seed) for seed in range(2)]

    def weights(seed: int) -> torch.Tensor:
        trained = train("phone-1-hidden", *noisy, 4, ProbeConfig(seed=seed, epochs=2, hidden_width=16), progress=False)
        return torch.cat([p.flatten() for p in trained.probe.parameters()])

    first = weights(0)
    torch.manual_seed(77)  # the global random state has no influence
    assert torch.equal(weights(0), first)
    assert not torch.allclose(weights(1), first)


def test_training_leaves_the_global_random_state_unchanged() -> None:
    state = torch.get_rng_state()
    train("speaker-frame", separable(50, seed=0), separable(50, seed=1), 4, ProbeConfig(epochs=2), progress=False)
    assert torch.equal(torch.get_rng_state(), state)


def test_returned_weights_are_those_of_the_best_epoch_on_dev() -> None:
    # Labels of dev and train disagree except for the bias of the classes: further training makes dev worse.
    learn, dev = separable(300, seed=0), separable(300, seed=1)
    shuffled = Examples(dev.examples.rows, (dev.examples.labels + 1) % 4, dev.examples.rows)
    dev = LabelledFeatures(dev.features, shuffled)
    config = ProbeConfig(epochs=30, patience=30, step_batch_size=32)
    trained = train("speaker-frame", learn, dev, 4, config, progress=False)
    correct, _ = score(trained.probe, dev)
    assert trained.epochs == 30
    assert trained.best_epoch < 30
    assert correct.double().mean().item() == trained.dev_accuracy
    best = ProbeConfig(epochs=trained.best_epoch, patience=30, step_batch_size=32)
    again = train("speaker-frame", learn, dev, 4, best, progress=False)
    for one, other in zip(trained.probe.parameters(), again.probe.parameters(), strict=True):
        assert torch.equal(one, other)


def test_patience_ends_training() -> None:
    learn, dev = separable(100, seed=0), separable(100, seed=1)
    dev = LabelledFeatures(dev.features, Examples(dev.examples.rows, (dev.examples.labels + 1) % 4, dev.examples.rows))
    trained = train("speaker-frame", learn, dev, 4, ProbeConfig(patience=3), progress=False)
    assert trained.epochs == trained.best_epoch + 3


def test_without_averaging_training_is_plain_adam() -> None:
    learn, dev = separable(64, seed=0), separable(64, seed=1)
    config = ProbeConfig(epochs=1, step_batch_size=64, averaging=0.0)
    trained = train("speaker-frame", learn, dev, 4, config, progress=False)
    # With every item in one batch the order has no influence: one step of Adam.
    start = train(
        "speaker-frame", learn, dev, 4, ProbeConfig(epochs=1, step_batch_size=64, learning_rate=1e-12), progress=False
    )
    plain = start.probe.requires_grad_(True)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    F.cross_entropy(plain(learn.features), torch.from_numpy(learn.examples.labels)).backward()
    optimizer.step()
    for one, other in zip(trained.probe.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_repeated_rows_train_and_score_as_items_of_their_own() -> None:
    features = torch.eye(2)[:, None]
    examples = Examples(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]))
    split = LabelledFeatures(features, examples)
    trained = train(
        "speaker-frame", split, split, 2, ProbeConfig(epochs=200, learning_rate=0.05, patience=50), progress=False
    )
    correct, _ = score(trained.probe, split)
    assert correct.tolist() == [True, True, False, True]


def test_training_continues_while_dev_loss_falls_by_a_hundredth(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(0.6, 1.0), (0.5, 0.9), (0.5, 0.8), (0.5, 0.799), (0.5, 0.795), (0.9, 0.1)])

    def scripted(*_: object) -> tuple[torch.Tensor, float]:
        accuracy, loss = next(scores)
        return torch.arange(20) < round(20 * accuracy), loss

    monkeypatch.setattr(training, "score", scripted)
    data = separable(20, seed=0)
    trained = train("speaker-frame", data, data, 4, ProbeConfig(patience=2), progress=False)
    assert (trained.epochs, trained.best_epoch, trained.dev_accuracy) == (5, 1, 0.6)
