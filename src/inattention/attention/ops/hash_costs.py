"""Cards of hashing mechanisms: their common options, and the operations that they take."""

from collections.abc import Callable, Mapping
from typing import Any

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.candidates import STEPS_PER_KEY_TO_GATHER, block_size

HASH_COST = "O(T n (d + min(2^n, T)) H), or O(T² n d H) with vectors per query"


def hash_flops(
    time: int, width: int, heads: int, *, hashes: str = "per-head", projections: int = 1, **options: Any
) -> float:
    """Return the operations of products with hash vectors."""
    return 2 * time * width * projections * (1 if hashes == "per-head" else time)


def flops(
    time: int,
    width: int,
    heads: int,
    *,
    hashes: str = "per-head",
    projections: int = 1,
    keys: int = 32,
    labels: int = 2,
    **options: Any,
) -> float:
    """Return the operations of a forward pass, with ``labels`` values of a hash in use.

    Each set of keys pads its last block, by half on average.
    """
    if time <= keys:
        return 2 * time * width**2 + 4 * time**2 * width
    if hashes == "per-query":
        attended = time if time <= STEPS_PER_KEY_TO_GATHER * keys else keys
    elif labels == 2 and projections == 1:
        attended = 2 * keys
    else:
        sets = min(labels**projections, time)
        attended = keys * (1 + sets * (block_size(time, sets) - 1) / 2 / time)
    chosen = hash_flops(time, width, heads, hashes=hashes, projections=projections)
    return 2 * time * width**2 + chosen + 4 * time * attended * width


def hash_card(
    *,
    name: str,
    label: str,
    citation: str,
    options: Mapping[str, str] | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    flops: Callable[..., float] = flops,
) -> Card:
    """Return the card of a hashing mechanism, with what all have in common.

    Args:
        name: the mechanism's name.
        label: the name in tables.
        citation: the first publication.
        options: the meaning of its own options.
        variants: its own variants.
        flops: its operations, if they are not the usual ones.
    """
    return Card(
        name=name,
        label=label,
        family="hashing",
        citation=citation,
        options={
            "hashes": "'per-head', one set of vectors for all queries of a head, or 'per-query', one for each position",
            "projections": "how many hash vectors n rank the keys",
            "keys": "how many keys K a query attends to",
            **(options or {}),
        },
        variants={"per-query": {"hashes": "per-query"}, **(variants or {})},
        fields=("Recommender systems",),
        training_cost=f"O(T K d H), or O(T² d H) with vectors per query; hashing {HASH_COST}, without gradient",
        inference_cost=f"O(T K d H); hashing {HASH_COST}",
        flops=flops,
        hash_flops=hash_flops,
        shares_qk=True,
        drawing=Drawing(mask=True, options={"keys": 8}),
    )
