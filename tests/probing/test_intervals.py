"""The bootstrap interval of an accuracy, against plain loops and a known truth."""

import numpy as np
import pytest

from inattention.probing.intervals import accuracy_interval


def test_interval_is_that_of_a_plain_loop_over_utterances() -> None:
    rng = np.random.default_rng(1)
    items = rng.integers(1, 90, size=30)
    correct = rng.binomial(items, 0.6)
    draws = np.random.default_rng(5).integers(30, size=(300, 30))
    accuracies = []
    for draw in draws:
        right = sum(int(correct[u]) for u in draw)
        accuracies.append(right / sum(int(items[u]) for u in draw))
    accuracies.sort()
    low, high = accuracy_interval(correct, items, draws=300, seed=5)
    assert accuracies[6] <= low <= accuracies[8]
    assert accuracies[291] <= high <= accuracies[293]
    assert (low, high) == pytest.approx((np.quantile(accuracies, 0.025), np.quantile(accuracies, 0.975)))


def test_balanced_interval_is_that_of_a_plain_loop_over_utterances_and_classes() -> None:
    rng = np.random.default_rng(2)
    items, classes = rng.integers(1, 90, size=30), rng.integers(0, 3, size=30)
    correct = rng.binomial(items, np.array([0.9, 0.5, 0.1])[classes])
    accuracies = []
    for draw in np.random.default_rng(5).integers(30, size=(300, 30)):
        of_class = [[u for u in draw if classes[u] == c] for c in range(3)]
        shares = [sum(correct[u] for u in of) / sum(items[u] for u in of) for of in of_class if of]
        accuracies.append(sum(shares) / len(shares))
    low, high = accuracy_interval(correct, items, draws=300, seed=5, classes=classes)
    assert (low, high) == pytest.approx((np.quantile(accuracies, 0.025), np.quantile(accuracies, 0.975)))


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    # Frames of an utterance are correlated; an interval over frames would cover the truth far less often.
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        items = rng.integers(20, 80, size=60)
        correct = rng.binomial(items, np.clip(rng.normal(0.7, 0.15, size=60), 0, 1))
        low, high = accuracy_interval(correct, items, draws=200, seed=trial)
        covered += low <= 0.7 <= high
    assert 178 <= covered <= 198


def test_an_interval_drawn_in_several_chunks_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inattention.probing.intervals.CHUNK", 70)
    items = np.full(20, 10)
    low, high = accuracy_interval(np.arange(20) % 11, items, draws=400, seed=0)
    whole = (np.arange(20) % 11).sum() / 200
    assert low < whole < high
    assert 0.15 < high - low < 0.4
