"""`xbox-qnf`: `xbox` with Q(q) = [c q; 0], c = M / |q| (Huang et al. 2018, "query normalised first"; paper, 3.2.2).

As c > 0 scales all scores of a query alike, it picks the keys that `xbox` picks. It stands for the paper's row, whose
distance from XBOX's is therefore a measure of noise.
"""

from torch import Tensor

from inattention.attention.mechanisms.xbox import XBOX
from inattention.attention.ops.hashing import Transform, hash_card
from inattention.attention.registry import register


@register(
    hash_card(
        name="xbox-qnf",
        label="XBOX (QNF)",
        citation="Huang et al. 2018, Accurate and Fast Asymmetric Locality-Sensitive Hashing Scheme for Maximum Inner "
        "Product Search",
    )
)
class NormalisedQueryXBOX(XBOX):
    """Attention to the keys that XBOX ranks highest for queries of length M.

    >>> import torch
    >>> attention = NormalisedQueryXBOX(width=8, heads=2, keys=3)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> (attention.weights(hidden, valid) > 0).sum(-1).unique().tolist()
    [3]
    """

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q(q) = [M q / |q|; 0]."""
        return Transform(largest / norm, [0.0])
