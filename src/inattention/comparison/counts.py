"""Correct and all items of each test utterance: what every comparison of accuracies is computed from."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class UtteranceCounts:
    """Test results of one probe, by utterance.

    Attributes:
        utterances: ids of the test utterances that have at least one item.
        correct: number of correctly classified items of each.
        items: number of items of each.
        classes: class of each where the accuracy is a mean over classes (balanced speakers); None elsewhere.

    Raises:
        ValueError: if lengths differ, an id occurs twice, or an utterance has more correct items than items.
    """

    utterances: tuple[str, ...]
    correct: tuple[int, ...]
    items: tuple[int, ...]
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        lengths = {"correct": len(self.correct), "items": len(self.items)}
        if self.classes is not None:
            lengths["classes"] = len(self.classes)
        for name, length in lengths.items():
            if length != len(self.utterances):
                raise ValueError(f"{name} has {length} numbers for {len(self.utterances)} utterances")
        if len(set(self.utterances)) < len(self.utterances):
            twice = next(it for it in self.utterances if self.utterances.count(it) > 1)
            raise ValueError(f"the utterance {twice!r} is counted twice")
        for utterance, correct, items in zip(self.utterances, self.correct, self.items, strict=True):
            self.check_range(utterance, correct, items)

    def check_range(self, utterance: str, correct: int, items: int) -> None:
        """Raise ValueError for counts that are impossible."""
        if not 0 <= correct <= items:
            raise ValueError(f"{utterance!r}: {correct} of {items} items are correct; expected 0 to {items}")

    @property
    def scored(self) -> frozenset[str]:
        """Return the ids of the utterances that have items."""
        return frozenset(it for it, items in zip(self.utterances, self.items, strict=True) if items)

    def only(self, utterances: Collection[str]) -> "UtteranceCounts":
        """Return the counts of some of the utterances.

        >>> UtteranceCounts(("a", "b"), (1, 2), (1, 3)).only({"b"})
        UtteranceCounts(utterances=('b',), correct=(2,), items=(3,), classes=None)
        """
        kept = [index for index, it in enumerate(self.utterances) if it in utterances]

        def pick(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(values[index] for index in kept)

        return type(self)(
            utterances=tuple(self.utterances[index] for index in kept),
            correct=pick(self.correct),
            items=pick(self.items),
            classes=None if self.classes is None else pick(self.classes),
        )
