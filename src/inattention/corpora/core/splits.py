"""Division of utterances into train, dev and test, so that no recording is in two of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from inattention.corpora.core.corpus import SPLITS
from inattention.corpora.errors import CorpusError


@dataclass(frozen=True)
class Member:
    """An utterance to split.

    Attributes:
        id: Its name.
        speaker: Its speaker.
        recording: What it is a part of: a chapter, a session, a file.
        seconds: Its duration.
    """

    id: str
    speaker: str
    recording: str
    seconds: float


@dataclass
class Splits:
    """The split of each utterance, and the speakers that could not be divided as asked.

    Attributes:
        of: Splits by the utterances' ids.
        one_recording: Speakers with a single recording, which had to be split within it.
        two_recordings: Speakers with two, whose dev and test share one; train has the other to itself.
        too_few: Speakers with fewer than three utterances, all in train.
    """

    of: dict[str, str] = field(default_factory=dict)
    one_recording: list[str] = field(default_factory=list)
    two_recordings: list[str] = field(default_factory=list)
    too_few: list[str] = field(default_factory=list)

    def notes(self) -> dict[str, int]:
        """Return the numbers of such speakers, by a description for `corpus.json`."""
        counts = {
            "speakers with one recording, split by utterance": len(self.one_recording),
            "speakers with two recordings, whose dev and test share one": len(self.two_recordings),
            "speakers with fewer than three utterances, in train only": len(self.too_few),
        }
        return {words: count for words, count in counts.items() if count}


def check_fractions(dev: float, test: float) -> None:
    """Raise if fractions leave nothing for a split.

    Raises:
        CorpusError: They are not above 0, or leave less than a tenth for training.
    """
    if not (dev > 0 and test > 0 and dev + test <= 0.9):
        raise CorpusError(f"dev and test must be above 0 and sum to at most 0.9, not {dev} and {test}")


def check_all_fractions(train: float, dev: float, test: float) -> None:
    """Raise if the fractions of all splits are not a partition.

    Raises:
        CorpusError: One is not above 0, or they do not sum to 1.
    """
    if min(train, dev, test) <= 0 or abs(train + dev + test - 1) > 1e-6:
        raise CorpusError(f"train, dev and test must be above 0 and sum to 1, not {train}, {dev}, {test}")


def split_within_speakers(members: Iterable[Member], *, dev: float, test: float, seed: int) -> Splits:
    """Split each speaker's recordings, so that each speaker is in all splits and no recording is in two.

    A speaker with one recording is split by utterance; of two recordings, one is for training, and the utterances of
    the other go to dev and test. Both kinds of speakers are counted.

    Args:
        members: The utterances, in any order, which does not matter.
        dev: Fraction of each speaker's seconds for tuning.
        test: Fraction for testing; 0 if the test set is chosen elsewhere.
        seed: Seed of the order in which recordings are taken.
    """
    speakers: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        speakers[member.speaker].append(member)
    splits = Splits()
    for speaker in sorted(speakers):
        own = sorted(speakers[speaker], key=lambda member: member.id)
        recordings: dict[str, list[Member]] = defaultdict(list)
        for member in own:
            recordings[member.recording].append(member)
        names = sorted(recordings, key=lambda name: _order(seed, speaker, name))
        if len(own) < 3:
            splits.too_few.append(speaker)
            splits.of.update((member.id, "train") for member in own)
        elif len(names) >= 3:
            weights = [sum(member.seconds for member in recordings[name]) for name in names]
            for name, split in zip(names, _share(weights, dev, test), strict=True):
                splits.of.update((member.id, split) for member in recordings[name])
        else:
            _split_few(splits, speaker, recordings, dev, test, seed)
    return splits


def _split_few(
    splits: Splits, speaker: str, recordings: dict[str, list[Member]], dev: float, test: float, seed: int
) -> None:
    """Split a speaker who has one recording, or two."""
    held_out = [member for own in recordings.values() for member in own]
    if len(recordings) == 2:
        small, large = sorted(recordings.values(), key=lambda own: (sum(m.seconds for m in own), own[0].id))
        if len(small) < 2:  # too few for dev and test: the larger one is held out
            small, large = large, small
        splits.two_recordings.append(speaker)
        splits.of.update((member.id, "train") for member in large)
        held_out = small
        share = dev / (dev + test)
        count = min(max(1, round(share * len(held_out))), len(held_out) - 1) if test else len(held_out)
        held_out.sort(key=lambda member: _order(seed, speaker, member.id))
        splits.of.update((member.id, "dev" if i < count else "test") for i, member in enumerate(held_out))
        return
    splits.one_recording.append(speaker)
    held_out.sort(key=lambda member: _order(seed, speaker, member.id))
    shares = _share([member.seconds for member in held_out], dev, test)
    splits.of.update((member.id, split) for member, split in zip(held_out, shares, strict=True))


def split_at_random(members: Iterable[Member], *, dev: float, test: float, seed: int) -> Splits:
    """Split utterances at random, as the paper does: parts of one recording may be in several splits."""
    own = sorted(members, key=lambda member: _order(seed, "random", member.id))
    shares = _share([1.0] * len(own), dev, test) if len(own) >= 3 else ["train"] * len(own)
    return Splits({member.id: split for member, split in zip(own, shares, strict=True)})


def _share(weights: list[float], dev: float, test: float) -> list[str]:
    """Return a split for each of three or more items, as near to the fractions as possible, and none of them empty."""
    total = sum(weights)
    shares = ["train"] * len(weights)
    left = len(weights)
    place = 0
    held_out = [(split, fraction) for split, fraction in ((SPLITS[1], dev), (SPLITS[2], test)) if fraction]
    for number, (split, fraction) in enumerate(held_out):
        got, taken = 0.0, 0
        still_wanted = len(held_out) - number  # splits after this one, train among them, which need an item each
        # An item is taken as long as that brings the split nearer to its share.
        while left > still_wanted and (not taken or got + weights[place] / 2 <= fraction * total):
            shares[place] = split
            got += weights[place]
            place, left, taken = place + 1, left - 1, taken + 1
    return shares


def _order(seed: int, *names: str) -> bytes:
    """Return a sort key that depends only on the names and the seed."""
    return hashlib.sha256("\0".join([str(seed), *names]).encode("utf-8", "surrogateescape")).digest()
