"""`fixed-encoder`: heads with patterns fixed by hand, nothing learned (Raganato et al. 2020).

For query i of an utterance of n frames, each head takes one pattern of keys j from 0:

    current   j = i                 left    (j + 1)³ on j <= i - 2       end     (j + 1)³ on all j
    previous  j = i - 1             right   (n - j)³ on j >= i + 2       start   (n - j)³ on all j
    next      j = i + 1

rows scaled to sum to 1 over real keys. A query whose pattern holds no real key attends to itself. The paper has eight
heads, these seven and a learned one; here heads take the patterns in order, again from the first when they run out, and
the last `learned` of them are query-key heads.

The right-hand context is the left-hand one's mirror image, so that both weigh most what is next to the query. The
authors of the study that this project follows let it grow towards the end instead, (j + 1)³: ``right="end"``.

Shifts, running sums and two means compute all of it in time that is linear in T.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing, Reach
from inattention.attention.ops.padding import full_mask, softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import fused_attention, products, wide
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.registry import register

PATTERNS = ("current", "previous", "next", "left", "right", "end", "start")

Right = Literal["end", "query"]


def patterns_for(fixed: int) -> list[str]:
    """Return the pattern of each fixed head.

    >>> patterns_for(9)[6:]
    ['start', 'current', 'previous']
    """
    return [PATTERNS[head % len(PATTERNS)] for head in range(fixed)]


def _flops(time: int, width: int, heads: int, *, learned: int = 0, **options: object) -> int:
    head_dim = width // heads
    means = sum(pattern in ("end", "start") for pattern in patterns_for(heads - learned))
    return 2 * time * head_dim * means + learned * head_dim * (4 * time * width + 4 * time**2)


@register(
    Card(
        name="fixed-encoder",
        label="Fixed patterns",
        family="fixed",
        citation="Raganato et al. 2020, Fixed Encoder Self-Attention Patterns in Transformer-Based Machine Translation",
        options={
            "learned": "how many heads, the last ones, are query-key heads instead, as 1 of 8 in the paper; with any, "
            "the weights depend on the input",
            "right": "where the right-hand context weighs most: next to the 'query', as the left-hand one does, or at "
            "the 'end', as in the maps that `patterned` starts from",
        },
        variants={"right-end": {"right": "end"}},
        fields=("NLP",),
        training_cost="O(T d H); O(T² d) a learned head",
        inference_cost="O(T d H); O(T² d) a learned head",
        flops=_flops,
        input_independent=True,
        drawing=Drawing(heads=dict(enumerate(PATTERNS))),
    )
)
class FixedEncoder(AttentionMechanism):
    """Seven patterns fixed by hand over the heads, and query-key heads if asked for.

    >>> attention = FixedEncoder(width=14, heads=7)
    >>> hidden, valid = torch.randn(1, 5, 14), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid)[0, 1].argmax(-1).tolist()
    [0, 0, 1, 2, 3]

    Raises:
        ValueError: for more learned heads than there are, or another `right`.
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, learned: int = 0, right: Right = "query"
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if not 0 <= learned <= heads:
            raise ValueError(f"learned must be 0 to {heads} (heads), not {learned}")
        if right not in ("end", "query"):
            raise ValueError(f"right must be 'end' or 'query', not {right!r}")
        self.learned = learned
        self.right = right
        self.patterns = patterns_for(heads - learned)
        if learned:
            self.query = projection(width, learned * self.head_dim)
            self.key = projection(width, learned * self.head_dim)

    def receptive_field(self) -> Reach | None:
        """Return the reach of the three patterns of neighbours; None with any other head."""
        if self.learned or not set(self.patterns) <= {"current", "previous", "next"}:
            return None
        return Reach(int("previous" in self.patterns), int("next" in self.patterns))

    @property
    def unlimited_by(self) -> str:
        """The first head without a limit."""
        far = [it for it in self.patterns if it not in ("current", "previous", "next")]
        return f"all frames of the input, in heads of the pattern {far[0]!r}" if far else super().unlimited_by

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the patterns over real keys, then the maps of learned heads."""
        mask = full_mask(valid, hidden)
        frames = torch.arange(hidden.shape[1], device=hidden.device)
        offset = frames - frames[:, None]
        rising, falling = _cubes(mask)
        level = mask.to(rising.dtype)
        parts = {
            "current": (offset == 0, level),
            "previous": (offset == -1, level),
            "next": (offset == 1, level),
            "left": (offset <= -2, rising),
            "right": (offset >= 2, rising if self.right == "end" else falling),
            "end": (offset.abs() >= 0, rising),
            "start": (offset.abs() >= 0, falling),
        }
        maps = []
        for pattern in self.patterns:
            allowed, key = parts[pattern]
            rows = torch.where(allowed, key[:, None, :], 0.0)
            mass = rows.sum(-1, keepdim=True)
            maps.append(torch.where(mass > 0, rows / mass.where(mass > 0, 1.0), torch.diag_embed(level)))
        fixed = [torch.stack(maps, 1).to(wide(hidden).dtype)] if maps else []
        if self.learned:
            query, key = self._project(hidden, valid)
            scores = products(query, key) / self.head_dim**0.5
            fixed.append(softmax_over_valid(scores, valid))
        return torch.cat(fixed, 1)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by shifts, running sums and means; learned heads by fused attention."""
        clean, mask = zero_invalid(values, valid), full_mask(valid, hidden)
        count = len(self.patterns)
        with torch.autocast(values.device.type, enabled=False):
            unmixed = wide(clean)
            key = [cubes.to(unmixed.dtype) for cubes in _cubes(mask)]
            heads = [Tensor()] * count
            for start, pattern in enumerate(PATTERNS[:count]):
                mixed = self._mix(pattern, unmixed[:, start : count : len(PATTERNS)], *key, mask)
                heads[start :: len(PATTERNS)] = mixed.to(values.dtype).unbind(1)
        if self.learned:
            learned = fused_attention(*self._project(hidden, valid), clean[:, count:], valid)
            heads.extend(learned.to(values.dtype).unbind(1))
        return torch.stack(heads, 2).transpose(1, 2)  # time before heads in memory, as the output projection wants it

    def _mix(self, pattern: str, values: Tensor, rising: Tensor, falling: Tensor, valid: Tensor) -> Tensor:
        """Return the averages of the heads that have one pattern."""
        if pattern == "current":
            return values
        if pattern == "previous":
            return _before(values, valid)
        if pattern == "next":
            return _before(values.flip(2), valid.flip(1)).flip(2)
        if pattern == "left":
            return _past(values, rising)
        if pattern == "right":
            weighted = rising if self.right == "end" else falling
            return _past(values.flip(2), weighted.flip(1)).flip(2)
        return _mean(values, rising if pattern == "end" else falling)

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        return split_heads(self.query(hidden), self.learned), split_heads(self.key(hidden), self.learned)


def _cubes(valid: Bool[Tensor, "batch time"]) -> tuple[Float[Tensor, "batch time"], Float[Tensor, "batch time"]]:
    """Return (j + 1)³ and (n - j)³ over n³, 0 at padding; n is the place of an utterance's last real frame."""
    frames = torch.arange(1, valid.shape[1] + 1, device=valid.device, dtype=torch.float64)
    length = (valid * frames).amax(1, keepdim=True).clamp(min=1)
    rising, falling = frames / length, (length + 1 - frames) / length
    return (rising**3 * valid).float(), (falling**3 * valid).float()


def _before(
    values: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the values one frame before, where that frame is real; a frame's own value elsewhere."""
    there = valid.roll(1, 1)
    there[:, 0] = False
    return torch.where(there[:, None, :, None], values.roll(1, 2), values)


def _past(
    values: Float[Tensor, "batch heads time head_dim"], key: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the average up to two frames before, weighted by ``key``; a frame's own value without any."""
    sums = (values * key[:, None, :, None]).cumsum(2)[:, :, :-2]
    mass = key.cumsum(1)[:, None, :-2, None]
    averages = torch.where(mass > 0, sums / mass.where(mass > 0, 1.0), values[:, :, 2:])
    return torch.cat([values[:, :, :2], averages], 2)


def _mean(
    values: Float[Tensor, "batch heads time head_dim"], key: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return one average for all frames, weighted by ``key``."""
    mass = key.sum(1, keepdim=True)
    key = key / mass.where(mass > 0, 1.0)
    return (key[:, None, None, :] @ values).expand_as(values)
