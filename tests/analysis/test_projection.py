"""PCA and t-SNE: scikit-learn's own results, seeded."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from inattention.analysis.capture import Captured
from inattention.analysis.projection import project, reduce
from made_captures import captured_of
from made_maps import make

HEADS = ("diagonal", "increasing", "sparse")


@pytest.fixture(scope="module")
def captured() -> Captured:
    maps = np.stack([make(category, 15, 16, 0.3, seed=place) for place, category in enumerate(HEADS)], axis=1)
    return captured_of(maps[:, None])  # utterances layers heads time time


def test_points_are_those_of_scikit_learn_called_by_hand(captured: Captured) -> None:
    found = project(captured, components=10, perplexity=8)
    rows, heads = [], []
    for single in captured.singles:
        for head in range(len(HEADS)):
            rows.append(single.maps[0, head].astype(np.float32).ravel())
            heads.append(head)
    pca = PCA(n_components=10, svd_solver="full", random_state=found.seed)
    reduced = pca.fit_transform(np.stack(rows))
    points = TSNE(n_components=2, perplexity=8, init="pca", random_state=found.seed).fit_transform(reduced)
    np.testing.assert_array_equal(found.points, points)
    np.testing.assert_array_equal(found.explained, pca.explained_variance_ratio_)
    np.testing.assert_array_equal(found.heads, heads)


def test_the_same_seed_gives_the_same_points(captured: Captured) -> None:
    np.testing.assert_array_equal(project(captured).points, project(captured).points)


def test_heads_of_different_kinds_form_separate_clusters(captured: Captured) -> None:
    found = project(captured, perplexity=8)
    middles = np.stack([found.points[found.heads == head].mean(0) for head in range(2)])
    spread = max(found.points[found.heads == head].std(0).max() for head in range(2))
    assert np.hypot(*(middles[0] - middles[1])) > spread


def test_perplexity_and_components_stay_within_what_the_maps_allow() -> None:
    flat = np.random.default_rng(0).random((7, 9), dtype=np.float32)
    points, explained, used = reduce(flat, components=50, perplexity=30, seed=0)
    assert points.shape == (7, 2)
    assert explained.shape == (7,)
    assert used == 2
    with pytest.raises(ValueError, match="at least 4 maps"):
        reduce(flat[:3], components=2, perplexity=30, seed=0)


def test_layers_that_do_not_exist_are_refused(captured: Captured) -> None:
    with pytest.raises(ValueError, match="no layer 1"):
        project(captured, layer=1)
