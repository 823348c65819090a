"""Run the readers of files on broken inputs, and count: taken, refused with a reason, crashed, too slow."""

import json
import math
import os
import random
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from inattention.corpora.core.audio_facts import AudioJob, Bad, Facts, inspect
from inattention.corpora.core.cut_files import cut_from
from inattention.corpora.core.file_tree import decode_text
from inattention.corpora.core.phones import LabelSymbols
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.cpc import CLASSES, CpcLabels
from inattention.corpora.labels.ctm import read_ctm
from inattention.corpora.labels.intervals import Labels, fit
from inattention.corpora.labels.textgrid import TierNames, parse_textgrid
from inattention.corpora.readers.timit import fold_phn

from . import inputs

MOST_KIB = 2**20
SECONDS = 10.0  # for any one input; most take a thousandth of a second


@dataclass
class Outcome:
    """Results of the inputs of one kind.

    Attributes:
        counts: Numbers of `taken`, `refused`, `crashed` and `slow` inputs.
        faults: Number of each input that crashed or was too slow, with the reason.
        slowest: Seconds of the slowest input.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0

    def note(self, number: int, kind: str, what: str = "", seconds: float = 0.0) -> None:
        """Count one input."""
        self.counts[kind] += 1
        self.slowest = max(self.slowest, seconds)
        if kind in ("crashed", "slow"):
            self.faults.append((number, what))


def fuzz(kind: str, count: int, seed: int) -> Outcome:
    """Run a number of inputs of a kind; input k of a seed is always the same."""
    return _fuzz_audio(count, seed) if kind == "audio" else _fuzz_parser(kind, count, seed)


def made(kind: str, number: int, seed: int) -> bytes:
    """Return one input."""
    return MAKERS[kind](random.Random(f"{seed} {kind} {number}"))


def _fuzz_parser(kind: str, count: int, seed: int) -> Outcome:
    import lhotse.cut  # noqa: F401  takes seconds, which must not count for the first input

    outcome = Outcome()
    for number in range(count):
        data = made(kind, number, seed)
        began = time.perf_counter()
        try:
            with _limited(SECONDS):
                PARSERS[kind](data)
            result = ("taken", "")
        except CorpusError as error:
            result = ("refused", "") if str(error) else ("crashed", "an error without words")
        except _TooSlowError:
            result = ("slow", f"more than {SECONDS} s")
        except Exception as error:
            result = ("crashed", f"{type(error).__name__}: {error}")
        outcome.note(number, *result, seconds=time.perf_counter() - began)
    return outcome


def _fuzz_audio(count: int, seed: int) -> Outcome:
    """Read files by their headers, then whole, then a piece of each, in workers whose memory is measured."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:

        def jobs() -> Iterator[AudioJob]:
            for number in range(count):
                path = Path(folder) / f"{number}.wav"
                path.write_bytes(made("audio", number, seed))
                truncated: Any = ("skip", "keep")[number % 2]
                yield AudioJob(path=str(path), decode=False, truncated=truncated)
                yield AudioJob(path=str(path), decode=True, truncated=truncated)
                yield AudioJob(path=str(path), decode=True, first=200, samples=300, truncated="keep")

        began = time.perf_counter()
        results = inspect(jobs(), workers=2, seconds=SECONDS, progress=False)
        for number in range(count):
            found = [next(results) for _ in range(3)]
            (Path(folder) / f"{number}.wav").unlink()
            seconds, began = time.perf_counter() - began, time.perf_counter()
            outcome.note(number, *_judged(*found), seconds=seconds)
        next(results, None)
    # The peak of a forked child begins at the memory of its parent, here of a test process.
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if (used := resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) > max(MOST_KIB, parent):
        outcome.note(count, "crashed", f"a worker took {used} KiB")
    return outcome


def _judged(header: Facts | Bad, whole: Facts | Bad, piece: Facts | Bad) -> tuple[str, str]:
    """Return what became of a file, and what is wrong with that."""
    for found in (header, whole, piece):
        if isinstance(found, Bad) and ("died" in found.reason or "Error" in found.reason.split("(")[0]):
            return "crashed", found.reason
        if isinstance(found, Bad) and "takes more than" in found.reason:
            return "slow", found.reason
    if isinstance(whole, Bad):
        return "refused", ""
    levels = (whole.peak, whole.rms, whole.clipped, whole.pause)
    if not all(level is not None and math.isfinite(level) for level in levels) or whole.samples <= 0:
        return "crashed", f"taken as {whole}"
    if isinstance(header, Bad) or header.samples != whole.samples:
        return "crashed", f"its header is read as {header}, its samples as {whole}"
    if not isinstance(piece, Bad) and (piece.samples != whole.samples or whole.samples < 500):
        return "crashed", f"a piece is read as {piece}, the whole as {whole}"
    return "taken", ""


class _TooSlowError(BaseException):
    """An input took too long; a BaseException, so that no reader catches it."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _check_times(pieces: Any) -> None:
    """Check that times are possible."""
    for _, start, end in pieces:
        assert 0 <= start <= end < math.inf, (start, end)


def _check_fit(labels: Labels, data: bytes) -> None:
    """Check that labels which are taken fit audio that is a little longer or shorter."""
    end = min(max((interval.end for interval in labels.intervals), default=1.0), 1e6)
    seconds = max(0.01, end + (0.0, 0.5, -0.008, -0.02)[len(data) % 4])
    for truncated in (True, False):
        phones = fit(labels, LabelSymbols(english=len(data) % 5 == 0), seconds, truncated=truncated).phones
        _check_times(phones)
        assert phones[-1][2] <= seconds
        assert all(before[2] <= after[1] for before, after in pairwise(phones))


def _textgrid(data: bytes) -> None:
    grid = parse_textgrid(data, "latin-1" if len(data) % 3 else None)
    _check_fit(grid.labels(TierNames(("", "phones", "words", "1")[len(data) % 7 % 4])), data)


def _ctm(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        ctm = read_ctm(file.name, "latin-1" if len(data) % 3 else None)
    refused = None
    for name in ctm.names:
        try:
            _check_fit(ctm.labels(name), data)
        except CorpusError as error:
            refused = error
    if refused is not None:
        raise refused


def _phn(data: bytes) -> None:
    _check_times(list(fold_phn(decode_text(data), 16_000)))


def _cpc(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        labels = CpcLabels(Path(file.name))
        refused = None
        for name in dict.fromkeys(line.split()[0] for line in data.decode().split("\n") if line.split()):
            try:
                phones = labels.phones(name)
            except CorpusError as error:
                refused = error
                continue
            _check_times(phones)
            assert all(0 <= int(symbol) < CLASSES for symbol, _, _ in phones)
        if refused is not None:
            raise refused


def _manifest(data: bytes) -> None:
    try:
        line = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"no JSON: {error}") from None
    cut = cut_from(line, Path("/corpus"))
    source = cut.recording.sources[0]
    assert source.type == "file"
    assert os.path.normpath(source.source).startswith("/corpus/")


MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    "audio": inputs.audio,
    "textgrid": inputs.textgrid,
    "ctm": inputs.ctm,
    "cpc": inputs.cpc,
    "phn": inputs.phn,
    "manifest": inputs.manifest,
}
"""Makers of inputs by kind; a new parser has a line here and one below."""

PARSERS: dict[str, Callable[[bytes], None]] = {
    "textgrid": _textgrid,
    "ctm": _ctm,
    "cpc": _cpc,
    "phn": _phn,
    "manifest": _manifest,
}
