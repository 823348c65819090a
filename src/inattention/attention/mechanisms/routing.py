"""`routing`: attention within clusters of frames, whose centroids are learned by k-means (Roy et al. 2021, section 4).

One projection, scaled to unit length, gives queries and keys. Each head has k centroids of unit length. For an
utterance of n real frames and w = ceil(n / k),

    cluster of query i:   c(i) = argmax over c of q_i . mu_c                  (the origin's equation 9)
    keys of a cluster:    the w real frames with the largest q_j . mu_c, ties by index

and query i attends to its cluster's keys by softmax(sqrt(d) q_i . q_j): queries and keys of length sqrt d, as the
origin's layer norm makes them, over sqrt d. With k near sqrt T the cost is of the order of T^1.5.

That clusters have equally many keys, some of which may be in several clusters or in none, is the origin's own balance.
It balances queries likewise, so that a query may be in several clusters or in none, and then gets nothing at all; here
each query has the one cluster of equation 9. The origin is causal, this looks both ways.

Centroids are no parameters: in training, after a pass, each moves towards the mean of the frames nearest to it,
mu_c <- decay mu_c + (1 - decay) mean, and is put back to unit length, so that the largest product is the nearest
centroid. They are kept with the model. In evaluation nothing moves. In distributed training, where processes share
buffers, the first process's frames move them.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card, Drawing
from inattention.attention.ops.candidates import attend_in_blocks, best_keys, block_size, group
from inattention.attention.ops.padding import full_mask, masked_softmax, zero_invalid
from inattention.attention.ops.precision import products
from inattention.attention.ops.projections import projection
from inattention.attention.registry import register


def _cluster_flops(time: int, width: int, heads: int, *, clusters: int = 0, **options: object) -> int:
    return 2 * time * width * (clusters or math.isqrt(time))


def _flops(time: int, width: int, heads: int, *, clusters: int = 0, decay: float = 0.999) -> float:
    clusters = clusters or math.isqrt(time)
    used = min(clusters, time)
    # Queries go through in blocks of one cluster; its last block is half empty.
    queries = time + used * (block_size(time, used) - 1) / 2
    products = 4 * queries * math.ceil(time / clusters) * width
    return 2 * time * width**2 + _cluster_flops(time, width, heads, clusters=clusters) + products


@register(
    Card(
        name="routing",
        label="Routing",
        family="sparse",
        citation="Roy et al. 2021, Efficient Content-Based Sparse Attention with Routing Transformers",
        options={
            "clusters": "k, how many centroids a head has; 0 for floor(sqrt(max_length))",
            "decay": "share of a centroid that is kept after a training pass",
        },
        fields=("CV", "NLP"),
        training_cost="O(T (k + T/k) d H), T^1.5 at k = T^0.5; choosing keys O(T k H log T), without gradient",
        inference_cost="O(T (k + T/k) d H), T^1.5 at k = T^0.5; choosing keys O(T k H log T)",
        flops=_flops,
        hash_flops=_cluster_flops,
        shares_qk=True,
        drawing=Drawing(mask=True),
    )
)
class Routing(AttentionMechanism):
    """Attention to the frames that are nearest to one's own centroid.

    >>> attention = Routing(width=8, heads=2, clusters=3)
    >>> hidden, valid = torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool)
    >>> attention.weights(hidden, valid).count_nonzero(dim=-1)[0, 0].tolist()
    [2, 2, 2, 2, 2, 2]

    Raises:
        ValueError: for an option out of its range, or no way to know the number of clusters.
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, clusters: int = 0, decay: float = 0.999
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if clusters < 0:
            raise ValueError(f"clusters must be 0 (for floor(sqrt(max_length))) or more, not {clusters}")
        if not clusters and max_length is None:
            raise ValueError("clusters is 0, that is floor(sqrt(max_length)); give clusters or max_length")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be between 0 and 1, not {decay}")
        self.clusters = clusters or math.isqrt(max_length or 0)
        self.decay = decay
        self.query = projection(width, width)
        self.centroids: Tensor
        self.register_buffer("centroids", F.normalize(torch.randn(heads, self.clusters, self.head_dim), dim=-1))
        # Collected until the pass is over: layers that share a mechanism share its centroids too.
        self._sums: Tensor | None = None
        self._in_pass = False
        self.register_state_dict_pre_hook(_settle_before_saving)

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """Keep the centroids during a pass over the layers; move them at its end."""
        self._settle()
        self._in_pass = True
        try:
            yield
        finally:
            self._in_pass = False
            self._settle()

    def train(self, mode: bool = True) -> "Routing":
        """Switch between training and evaluation, after moving the centroids by what training has collected."""
        self._settle()
        return super().train(mode)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of the scaled products over the keys of the query's cluster."""
        query = self._project(hidden, valid)
        nearness = self._nearness(query)
        keys, usable = self._keys(nearness, valid)
        members = torch.zeros(*nearness.shape, dtype=torch.bool, device=hidden.device)
        members = members.scatter(-1, keys, usable.expand_as(keys)) & full_mask(valid, hidden)[:, None, None]
        cluster = nearness.argmax(2)
        allowed = members.gather(2, cluster[..., None].expand(*cluster.shape, cluster.shape[-1]))
        return masked_softmax(products(query, query) / math.sqrt(self.head_dim), allowed)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values, blocks of queries of one cluster with that cluster's keys; in training, collect means."""
        if self.training and not self._in_pass:
            self._settle()
        query = self._project(hidden, valid)
        nearness = self._nearness(query)
        cluster = nearness.argmax(2)
        if self.training:
            self._collect(query, cluster, full_mask(valid, hidden))
        keys, usable = self._keys(nearness, valid)
        heads, time = query.shape[1:3]
        groups = group(cluster[:, :, None])
        member = groups.order[groups.first]
        utterance, head = member // (time * heads), member % heads
        of = cluster[utterance, head, member // heads % time]
        rows = (utterance[:, None] * time + keys[utterance, head, of]) * heads + head[:, None]
        some_usable = None if valid is None else usable[utterance, 0, 0]
        return attend_in_blocks(query, zero_invalid(values, valid), groups, rows, some_usable)

    def _project(self, hidden: Tensor, valid: Tensor | None) -> Float[Tensor, "batch heads time head_dim"]:
        """Return queries, which are also keys, of length sqrt d."""
        query = self.query(zero_invalid(hidden, valid)).unflatten(-1, (self.heads, -1))
        return (F.normalize(query, dim=-1) * math.sqrt(self.head_dim)).transpose(1, 2)

    @torch.no_grad()
    def _nearness(
        self, query: Float[Tensor, "batch heads time head_dim"]
    ) -> Float[Tensor, "batch heads clusters time"]:
        """Return the products with all centroids."""
        with torch.autocast(query.device.type, enabled=False):
            return self.centroids.float() @ query.float().transpose(-1, -2)

    def _keys(
        self, nearness: Float[Tensor, "batch heads clusters time"], valid: Bool[Tensor, "batch time"] | None
    ) -> tuple[Int[Tensor, "batch heads clusters keys"], Bool[Tensor, "batch 1 1 keys"]]:
        """Return each cluster's keys, nearest first, and which of them an utterance of that length has."""
        if valid is None:
            keys = best_keys(nearness, None, -(-nearness.shape[-1] // self.clusters))
            return keys, keys.new_ones(len(keys), 1, 1, keys.shape[-1], dtype=torch.bool)
        counts = -(-valid.sum(-1) // self.clusters)
        most = max(1, int(counts.max()))
        keys = best_keys(nearness, valid[:, None, None], most)
        # An empty utterance has one key too, whose value is zero, as each block of queries needs one.
        return keys, (torch.arange(most, device=valid.device) < counts.clamp(min=1)[:, None])[:, None, None]

    @torch.no_grad()
    def _collect(self, query: Tensor, cluster: Tensor, valid: Tensor) -> None:
        """Add up the unit vectors of the real frames that are nearest to each centroid, and their number."""
        with torch.autocast(query.device.type, enabled=False):
            mine = F.one_hot(cluster, self.clusters).float() * valid[:, None, :, None]
            unit = query.float() / math.sqrt(self.head_dim)
            unit = torch.cat([unit, torch.ones_like(unit[..., :1])], -1)
            sums = torch.einsum("bhtk,bhtd->hkd", mine, unit)
        self._sums = sums if self._sums is None else self._sums + sums

    @torch.no_grad()
    def _settle(self) -> None:
        """Move the centroids towards the collected means; one without any frame stays."""
        if self._sums is None:
            return
        sums, count = self._sums[..., :-1], self._sums[..., -1:]
        moved = self.decay * self.centroids + (1 - self.decay) * sums / count.clamp(min=1)
        self.centroids.copy_(torch.where(count > 0, F.normalize(moved, dim=-1), self.centroids))
        self._sums = None


def _settle_before_saving(module: nn.Module, *_: object) -> None:
    assert isinstance(module, Routing)
    module._settle()
