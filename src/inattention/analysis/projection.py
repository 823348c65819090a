"""Maps as points on a plane (the study's Fig. 6): flattened, reduced by PCA, then embedded by t-SNE.

A point is the map of one head for one utterance. PCA and t-SNE are scikit-learn's; the same seed yields the same points
on one machine. Distances between distant clusters and sizes of clusters have no meaning in a t-SNE plot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from inattention.analysis.capture import Captured, Single
from inattention.seeding import derive_seed


@dataclass(frozen=True)
class Projection:
    """Maps as points on a plane.

    Attributes:
        layer: layer of the maps, from 0.
        points: one row per map.
        heads: head of each map, from 0.
        explained: share of variance that each principal component explains, largest first.
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
    """Project the single maps of a layer.

    Args:
        captured: the capture; the seed is derived from its seed.
        layer: layer, -1 for the last.
        components: of PCA; limited by the number of maps.
        perplexity: of t-SNE; limited to a third of the number of maps.

    Raises:
        ValueError: if there is no such layer, or there are fewer than four maps.
    """
    layers = captured.mean.shape[0]
    if not -layers <= layer < layers:
        raise ValueError(f"there is no layer {layer} to project: the encoder has {layers}, and -1 is the last")
    layer %= layers
    flat, heads = flatten(captured.singles, layer)
    seed = derive_seed(captured.seed, "projection") % 2**32
    points, explained, used = reduce(flat, components=components, perplexity=perplexity, seed=seed)
    return Projection(layer, points, heads, explained, used, seed)


def flatten(
    singles: Sequence[Single], layer: int
) -> tuple[Float[np.ndarray, "maps weights"], Int[np.ndarray, " maps"]]:
    """Return each map of a layer as one row, utterance by utterance, with its head."""
    maps = np.stack([single.maps[layer] for single in singles]).astype(np.float32)
    utterances, heads = maps.shape[:2]
    return maps.reshape(utterances * heads, -1), np.tile(np.arange(heads), utterances)


def reduce(
    flat: Float[np.ndarray, "maps weights"], *, components: int, perplexity: float, seed: int
) -> tuple[Float[np.ndarray, "maps 2"], Float[np.ndarray, " components"], float]:
    """Reduce by PCA, then by t-SNE to two dimensions.

    Returns:
        The points, the share of variance that each component explains, and the perplexity that was used.

    Raises:
        ValueError: if there are fewer than four maps.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(flat) < 4:
        raise ValueError(f"t-SNE needs at least 4 maps, there are {len(flat)}; capture more single maps")
    pca = PCA(n_components=min(components, *flat.shape), svd_solver="full", random_state=seed)
    with np.errstate(invalid="ignore"):  # equal maps have no variance to take shares of
        reduced = pca.fit_transform(flat)
    used = min(perplexity, (len(flat) - 1) / 3)
    tsne = TSNE(n_components=2, perplexity=used, init="pca", random_state=seed)
    return tsne.fit_transform(reduced), np.nan_to_num(pca.explained_variance_ratio_), used
