"""`xbox`: P(k) = [k; sqrt(M^2 - |k|^2)], Q(q) = [q; 0], with M = max |k| (Bachrach et al. 2014; paper, section 3.2.2).

All P(k) have the length M, so the key with the largest q.k is the one at the smallest angle.
"""

from torch import Tensor

from inattention.attention.ops.hashing import HashedAttention, Transform, hash_card
from inattention.attention.registry import register


@register(
    hash_card(
        name="xbox",
        label="XBOX",
        citation="Bachrach et al. 2014, Speeding Up the Xbox Recommender System Using a Euclidean Transformation for "
        "Inner-Product Spaces",
    )
)
class XBOX(HashedAttention):
    """Attention to the keys that XBOX ranks highest.

    >>> import torch
    >>> attention = XBOX(width=8, heads=2, keys=3)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> (attention.weights(hidden, valid) > 0).sum(-1).unique().tolist()
    [3]
    """

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """P(k) = [k; sqrt(M^2 - |k|^2)]."""
        return Transform(1.0, [(largest**2 - norm**2).clamp_min(0).sqrt()])

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q(q) = [q; 0]."""
        return Transform(1.0, [0.0])
