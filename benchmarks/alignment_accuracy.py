"""Accuracy of forced alignment, and of the rule that decides which alignments are accepted.

    python benchmarks/alignment_accuracy.py                      # small: a minute or two
    python benchmarks/alignment_accuracy.py --size full
    python benchmarks/alignment_accuracy.py --corpus corpora/queen

eSpeak reports when each phone starts (to about 20 ms). Its speech, at 11,025 Hz like the corpus `queen` and so with
5.5 kHz of bandwidth, is aligned with its own text, with the text of another utterance, and with that of another
utterance of about the same number of letters, which is harder to distinguish. Printed are the shares of utterances that
the rule accepts or refuses, and the distance of the boundaries of accepted phones from the true ones.

eSpeak and the aligner's dictionary do not always agree on the phones of a word. Boundaries are compared between phones
that match in the cheapest edit of one sequence into the other; phones without a match have no true time. One of the
figures counts them as wrong.

With `--corpus`, the same is done with the texts of a prepared corpus without known phone times: how many of its own
texts the rule accepts, and how many other texts it refuses.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import SPLITS, open_corpus
from inattention.corpora.labels.acceptance import RULE, Rule
from inattention.corpora.labels.alignment import SAMPLING_RATE, Aligner
from inattention.corpora.labels.alignment_jobs import Aligned, PhoneInterval, Refused
from inattention.corpora.readers.espeak.reader import EspeakConfig, prepare

SIZES = {"small": (0.05, 12, 40), "full": (1.0, 100, 1000)}  # hours and voices of eSpeak; utterances of a corpus
RATE = 11_025
TOLERANCE_SECONDS = 0.025


@dataclass(frozen=True)
class Utterance:
    """Speech with its text, and its phones if their times are known."""

    waveform: np.ndarray
    text: str
    phones: tuple[PhoneInterval, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--corpus", type=Path, help="a prepared corpus with texts, instead of eSpeak")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    parser.add_argument("--facts", type=Path, help="a file for the measurements of each alignment, as JSON")
    options = parser.parse_args()
    hours, voices, most = SIZES[options.size]
    if options.corpus:
        # Its phones may come from this very aligner: they are no reference.
        utterances = read(options.corpus, most, phones=False)
    else:
        with tempfile.TemporaryDirectory() as folder:
            made = prepare(
                EspeakConfig(hours=hours, voices=voices, sampling_rate=RATE, seed=1), Path(folder) / "espeak"
            )
            utterances = read(made.folder, None, phones=True)
    figures, facts = measure(utterances, RULE)
    print(json.dumps(figures, indent=2))
    for path, data in ((options.out, figures), (options.facts, facts)):
        if path:
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read(folder: Path, most: int | None, *, phones: bool) -> list[Utterance]:
    """Return utterances of a prepared corpus that have a text, shuffled.

    Args:
        folder: Of the corpus.
        most: Number of utterances; all if None.
        phones: Include the phones of the corpus.
    """
    corpus = open_corpus(folder)
    cuts = [cut for split in SPLITS for cut in corpus.cuts(split) if cut.supervisions[0].text]
    random.Random(0).shuffle(cuts)
    utterances = []
    for cut in cuts[:most]:
        (supervision,) = cut.supervisions
        items = (supervision.alignment or {}).get("phone", ()) if phones else ()
        true = tuple(PhoneInterval(item.symbol, item.start, item.end) for item in items)
        utterances.append(Utterance(cut_waveform(cut, SAMPLING_RATE).numpy(), supervision.text, true))
    return utterances


def measure(utterances: Sequence[Utterance], rule: Rule) -> tuple[dict, list]:
    """Return the figures, and the measurements of each utterance with its own text, a random one, and one as long."""
    aligner, started = Aligner(rule), time.perf_counter()
    own = [aligner.align(utterance.waveform, utterance.text) for utterance in utterances]
    seconds = sum(len(utterance.waveform) for utterance in utterances) / SAMPLING_RATE
    speed = seconds / (time.perf_counter() - started)
    others = {
        "random": [aligner.align(u.waveform, text) for u, text in zip(utterances, exchanged(utterances), strict=True)],
        "as_long": [aligner.align(u.waveform, text) for u, text in zip(utterances, as_long(utterances), strict=True)],
    }
    figures = {
        "utterances": len(utterances),
        "seconds": round(seconds, 1),
        "times_real_time": round(speed, 1),
        "accepted": share([isinstance(found, Aligned) for found in own]),
        **{
            f"{name}_text_refused": share([isinstance(found, Refused) for found in kind])
            for name, kind in others.items()
        },
    }
    pairs = [(u.phones, found.phones) for u, found in zip(utterances, own, strict=True) if isinstance(found, Aligned)]
    if pairs and all(true for true, _ in pairs):
        figures |= boundaries(pairs)
    facts = [
        [found.facts and vars(found.facts) for found in kinds] for kinds in zip(own, *others.values(), strict=True)
    ]
    return figures, facts


def exchanged(utterances: Sequence[Utterance]) -> list[str]:
    """Return for each utterance the text of another."""
    texts = [utterance.text for utterance in utterances]
    return [next(t for t in texts[n + 1 :] + texts[: n + 1] if t != texts[n]) for n in range(len(texts))]


def as_long(utterances: Sequence[Utterance]) -> list[str]:
    """Return for each utterance the text of another with the most similar length."""
    texts = sorted({utterance.text for utterance in utterances}, key=len)
    place = {text: number for number, text in enumerate(texts)}

    def other(text: str) -> str:
        at = place[text]
        return min(texts[max(0, at - 1) : at] + texts[at + 1 : at + 2], key=lambda t: abs(len(t) - len(text)))

    return [other(utterance.text) for utterance in utterances]


def boundaries(pairs: Sequence[tuple[Sequence[PhoneInterval], Sequence[PhoneInterval]]]) -> dict:
    """Return how far the starts of phones are from the true ones."""
    errors, unmatched, agreed, total = [], 0, 0.0, 0.0
    for true, found in pairs:
        matched = matches([phone.symbol for phone in true], [phone.symbol for phone in found])
        errors += [found[j].start - true[i].start for i, j in matched if j > 0 and i > 0]
        unmatched += len(found) - len(matched)
        agreed += sum(
            max(0.0, min(a.end, b.end) - max(a.start, b.start)) for a in true for b in found if a.symbol == b.symbol
        )
        total += true[-1].end
    distance = np.abs(errors)
    within = distance <= TOLERANCE_SECONDS
    return {
        "borders": len(errors),
        "borders_within_25_ms": round(float(within.mean()), 4),
        "where_phones_without_a_true_time_count_as_wrong": round(float(within.sum()) / (len(errors) + unmatched), 4),
        "median_distance_ms": round(1000 * float(np.median(distance)), 1),
        "mean_distance_ms": round(1000 * float(distance.mean()), 1),
        "median_lateness_ms": round(1000 * float(np.median(errors)), 1),
        "time_with_the_true_phone": round(agreed / total, 4),
    }


def matches(true: Sequence[str], found: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of positions that match in the cheapest edit of one sequence into the other."""
    cost = np.zeros((len(true) + 1, len(found) + 1))
    cost[:, 0], cost[0] = np.arange(len(true) + 1), np.arange(len(found) + 1)
    for i, a in enumerate(true, 1):
        for j, b in enumerate(found, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + substitution_cost(a, b), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    pairs, i, j = [], len(true), len(found)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + substitution_cost(true[i - 1], found[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def substitution_cost(a: str, b: str) -> float:
    """Return the cost of replacing a phone by another: high between silence, vowels and consonants."""
    if a == b:
        return 0.0
    vowel = [phone[0] in "aeiou" for phone in (a, b)]
    return 3.0 if "sil" in (a, b) or vowel[0] != vowel[1] else 1.0


def share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / max(1, len(flags)), 4)


if __name__ == "__main__":
    main()
