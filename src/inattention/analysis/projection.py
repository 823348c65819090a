"""Maps as points on a plane (the study's Fig. 6): flattened, reduced by PCA, then laid out by t-SNE.

A point is one head's map for one utterance. PCA and t-SNE are scikit-learn's; equal seeds give equal points on one
machine. Distances between far clusters of a t-SNE plot mean nothing, and neither do the sizes of clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from inattention.analysis.capture import Captured, Single
from inattention.seeding import derive_seed


@dataclass(frozen=True)
class Projection:
    """Maps laid out on a plane.

    Attributes:
        layer: whose maps; from 0.
        points: a row a map.
        heads: which head each is of; from 0.
        explained: the share of variance that each principal component explains, largest first.
        perplexity: of t-SNE.
        seed: of PCA and t-SNE.
    """

    layer: int
    points: Float[np.ndarray, "maps 2"]
    heads: Int[np.ndarray, " maps"]
    explained: Float[np.ndarray, " components"]
    perplexity: float
    seed: int


def project(captured: Captured, *, layer: int = -1, components: int = 50, perplexity: float = 30.0) -> Projection:
    """Lay out a layer's single maps.

    Args:
        captured: whose single maps; the seed is made of its seed.
        layer: -1 is the last.
        components: of PCA; no more than there are maps.
        perplexity: of t-SNE; at most a third of the maps.

    Raises:
        ValueError: if there is no such layer, or there are fewer than four maps.
    """
    layers = captured.mean.shape[0]
    if not -layers <= layer < layers:
        raise ValueError(f"there is no layer {layer} to lay out: the encoder has {layers}, and -1 is the last")
    layer %= layers
    flat, heads = flatten(captured.singles, layer)
    seed = derive_seed(captured.seed, "projection") % 2**32
    points, explained, used = reduce(flat, components=components, perplexity=perplexity, seed=seed)
    return Projection(layer, points, heads, explained, used, seed)


def flatten(
    singles: Sequence[Single], layer: int
) -> tuple[Float[np.ndarray, "maps weights"], Int[np.ndarray, " maps"]]:
    """Make each map of a layer one row of time x time numbers, utterance by utterance; say which head it is of."""
    maps = np.stack([single.maps[layer] for single in singles]).astype(np.float32)
    utterances, heads = maps.shape[:2]
    return maps.reshape(utterances * heads, -1), np.tile(np.arange(heads), utterances)


def reduce(
    flat: Float[np.ndarray, "maps weights"], *, components: int, perplexity: float, seed: int
) -> tuple[Float[np.ndarray, "maps 2"], Float[np.ndarray, " components"], float]:
    """Reduce by PCA, then by t-SNE to the plane.

    Returns:
        The points, the share of variance that each component explains, and the perplexity used.

    Raises:
        ValueError: if there are fewer than four maps.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(flat) < 4:
        raise ValueError(f"t-SNE needs at least 4 maps, there are {len(flat)}: keep more single maps")
    pca = PCA(n_components=min(components, *flat.shape), svd_solver="full", random_state=seed)
    with np.errstate(invalid="ignore"):  # maps that are all the same have no variance to take shares of
        reduced = pca.fit_transform(flat)
    used = min(perplexity, (len(flat) - 1) / 3)
    tsne = TSNE(n_components=2, perplexity=used, init="pca", random_state=seed)
    return tsne.fit_transform(reduced), np.nan_to_num(pca.explained_variance_ratio_), used
