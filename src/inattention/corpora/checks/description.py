"""Statistics of a prepared corpus: hours, speakers, durations, phones, levels, clipping and silence."""

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from inattention.corpora.checks.validation import levels_of
from inattention.corpora.core.audio_facts import Bad
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.preparation import FIRST, as_lines, read_preparation
from inattention.corpora.errors import CorpusError
from inattention.files import write_bytes, write_text
from inattention.text import printable

QUIETEST_DB = -120.0
MOST_SHOWN = 20
PHONES_DRAWN = 72  # the most frequent ones; as many as the study's aligner had
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


def describe(corpus: Corpus) -> str:
    """Return a page of text: splits, speakers, phones, what was found and used, reasons, and the caveat."""
    info = corpus.info
    lines = [f"{corpus.name} corpus in {corpus.folder} (key {corpus.key})"]
    for split in SPLITS:
        counts = {"hours": 0.0, "cuts": 0, "speakers": 0, **info["splits"].get(split, {})}
        lines.append(
            f"  {split:5} {counts['hours'] * 60:8.1f} min {counts['cuts']:7} cuts {counts['speakers']:4} speakers"
        )
    lines.append(f"  {len(corpus.speakers)} speakers, {len(corpus.phones)} phones")
    if "alignment" in info:
        alignment = info["alignment"]
        of = f"{alignment['aligned']} of {alignment['lines_with_text']}"
        lines.append(f"  phones by forced alignment: {of} lines with a text")
    lines += [f"  {line}" for line in _preparation_lines(corpus)]
    lines += [f"  {count} {words}" for words, count in info.get("notes", {}).items()]
    lines.append(f"  {info['caveat']}")
    return "\n".join(lines)


def _preparation_lines(corpus: Corpus) -> Iterator[str]:
    """Yield what became of everything that was found, as far as the corpus knows."""
    try:
        preparation = read_preparation(corpus.folder)
    except CorpusError as error:
        preparation = None
        yield str(error)
    if preparation is not None:
        yield from as_lines(preparation)
        return
    bad = corpus.info["bad_items"]  # all that older versions kept
    yield f"{bad['count']} bad items skipped" + (":" if bad["count"] else "")
    for item, reason in bad["items"][:FIRST]:
        yield f"  {printable(item)}: {printable(reason)}"


@dataclass
class Description:
    """Measurements over all splits.

    Attributes:
        corpus: The corpus.
        seconds: Duration of each cut.
        speakers: Seconds of each speaker.
        phones: Seconds of each phone.
        rates: Number of cuts by sampling rate.
        level_db: Root mean square of each decoded cut, in dB of full scale.
        peak_db: Greatest sample of each decoded cut, in the same unit.
        clipped: Fraction of its samples at full scale.
        pause: Fraction of its 20 ms frames more than 40 dB below the loudest.
        bad: Number of cuts that could not be decoded.
    """

    corpus: Corpus
    seconds: list[float] = field(default_factory=list)
    speakers: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    phones: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    rates: Counter[int] = field(default_factory=Counter)
    level_db: list[float] = field(default_factory=list)
    peak_db: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)
    pause: list[float] = field(default_factory=list)
    bad: int = 0


def measure(corpus: Corpus, *, cuts: int = 1000, workers: int | None = None, progress: bool = True) -> Description:
    """Count all cuts of a corpus, and decode some of them.

    Args:
        corpus: The corpus.
        cuts: Number of cuts to decode for levels, at regular intervals; 0 for all.
        workers: Number of processes that decode; one per core by default.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: A manifest is damaged.
    """
    found = Description(corpus)
    whole = sum(corpus.info["splits"].get(split, {}).get("cuts", 0) for split in SPLITS)
    every = max(1, whole // cuts) if cuts else 1

    def sampled() -> Any:
        number = 0
        for split in SPLITS:
            for cut in corpus.cuts(split):  # ty: ignore[not-iterable]
                _count(found, cut)
                if number % every == 0:
                    yield cut
                number += 1

    for _, facts in levels_of(sampled(), workers=workers, progress=progress, total=-(-whole // every)):
        if isinstance(facts, Bad):
            found.bad += 1
            continue
        assert facts.rms is not None
        assert facts.peak is not None
        assert facts.clipped is not None
        assert facts.pause is not None
        found.level_db.append(_decibel(facts.rms))
        found.peak_db.append(_decibel(facts.peak))
        found.clipped.append(facts.clipped)
        found.pause.append(facts.pause)
    return found


def _count(found: Description, cut: Any) -> None:
    found.seconds.append(cut.duration)
    found.rates[cut.recording.sampling_rate] += 1
    for supervision in cut.supervisions:
        if supervision.speaker is not None:
            found.speakers[str(supervision.speaker)] += cut.duration
        for item in (supervision.alignment or {}).get("phone", ()):
            found.phones[item.symbol] += item.duration


def _decibel(amplitude: float) -> float:
    return max(QUIETEST_DB, 20 * float(np.log10(max(amplitude, 1e-12))))


def rows(found: Description) -> list[tuple[str, str]]:
    """Return the measurements as names and values, for people."""
    speakers, phones = found.speakers, found.phones
    lines = [
        ("hours", f"{sum(found.seconds) / 3600:.3f} in {len(found.seconds)} cuts"),
        ("sampling rates", ", ".join(f"{rate} Hz ({count} cuts)" for rate, count in sorted(found.rates.items()))),
        ("seconds a cut", _quantiles(found.seconds, "{:.2f}")),
        ("speakers", f"{len(speakers)}; minutes of each: {_quantiles([s / 60 for s in speakers.values()], '{:.2f}')}"),
    ]
    if phones:
        most = sorted(phones, key=lambda phone: -phones[phone])
        total = sum(phones.values())
        lines.append(("phones", f"{len(phones)} in {total / 3600:.3f} labelled hours"))
        lines.append(("commonest", ", ".join(f"{p} {100 * phones[p] / total:.1f} %" for p in most[:6])))
        lines.append(("rarest", ", ".join(f"{p} {100 * phones[p] / total:.2f} %" for p in most[-4:])))
    if found.level_db:
        touched = sum(share > 0 for share in found.clipped)
        lines += [
            ("decoded", f"{len(found.level_db)} cuts for what follows" + (f", {found.bad} failed" * bool(found.bad))),
            ("level, dBFS", _quantiles(found.level_db, "{:.1f}")),
            ("peak, dBFS", _quantiles(found.peak_db, "{:.1f}")),
            ("clipping", f"{touched} cuts touch full scale, {100 * float(np.mean(found.clipped)):.4f} % of samples"),
            ("silence, %", _quantiles([100 * share for share in found.pause], "{:.1f}")),
        ]
    elif found.bad:
        lines.append(("decoded", f"none: {found.bad} failed (inattention corpus validate says why)"))
    return lines


def _quantiles(values: list[float], form: str) -> str:
    if not values:
        return "none"
    low, some, middle, most, high = np.quantile(np.asarray(values), _QUANTILES)
    ends = f"{form} to {form}".format(low, high)
    return f"{form} (90 %: {form} to {form}; all: {ends})".format(middle, some, most)


def as_text(found: Description) -> str:
    """Return a page of plain text."""
    width = max(len(name) for name, _ in rows(found))
    measured = "\n".join(f"  {name:<{width}}  {value}" for name, value in rows(found))
    return f"{describe(found.corpus)}\n\n{measured}"


def write_page(found: Description, path: Path) -> None:
    """Write the measurements as a figure (.png), or as a page that needs no other file (.html).

    Raises:
        CorpusError: The path has another suffix, or cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".html"):
        raise CorpusError(f"{path} must end in .html or .png")
    content = _drawing(found)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".png":
            write_bytes(path, content)
        else:
            write_text(path, _page(found, content))
    except OSError as error:
        raise CorpusError(f"{path} cannot be written ({error.strerror})") from error


def _page(found: Description, drawing: bytes) -> str:
    from jinja2 import Environment

    # The name of a speaker may hold markup: everything is escaped.
    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(
        name=found.corpus.name,
        key=found.corpus.key,
        caveat=found.corpus.info.get("caveat", ""),
        rows=rows(found),
        splits=[(split, found.corpus.info["splits"].get(split, {})) for split in SPLITS],
        speakers=sorted(found.speakers.items(), key=lambda item: -item[1]),
        bad=found.corpus.info.get("bad_items", {"count": 0, "items": []}),
        most=MOST_SHOWN,
        drawing=base64.b64encode(drawing).decode(),
    )


def _drawing(found: Description) -> bytes:
    """Draw histograms of cuts, speakers and levels, and the share of each phone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 6)
    _histogram(figure.add_subplot(grid[0, :3]), found.seconds, "seconds a cut", "cuts")
    minutes = [seconds / 60 for seconds in found.speakers.values()]
    _histogram(figure.add_subplot(grid[0, 3:]), minutes, "minutes a speaker", "speakers")
    _bars(figure.add_subplot(grid[1, :]), found.phones)
    _histogram(figure.add_subplot(grid[2, :2]), found.level_db, "level, dBFS", "cuts")
    _histogram(figure.add_subplot(grid[2, 2:4]), found.peak_db, "peak, dBFS", "cuts")
    _histogram(figure.add_subplot(grid[2, 4:]), [100 * share for share in found.pause], "silence, % of a cut", "cuts")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _histogram(axis: Any, values: list[float], label: str, counted: str) -> None:
    axis.set_xlabel(label)
    axis.set_ylabel(counted)
    axis.locator_params(axis="x", nbins=6)
    axis.spines[["top", "right"]].set_visible(False)
    if not values:
        axis.text(0.5, 0.5, "nothing measured", ha="center", transform=axis.transAxes)
        return
    edges: Float[np.ndarray, " edges"] = np.histogram_bin_edges(np.asarray(values), bins=30)
    axis.hist(values, bins=edges, color="#33658a")


def _bars(axis: Any, phones: dict[str, float]) -> None:
    axis.set_ylabel("phones, % of the time")
    axis.spines[["top", "right"]].set_visible(False)
    if not phones:
        axis.text(0.5, 0.5, "no phones", ha="center", transform=axis.transAxes)
        return
    total = sum(phones.values())
    shown = sorted(phones, key=lambda phone: -phones[phone])[:PHONES_DRAWN]
    axis.bar(range(len(shown)), [100 * phones[phone] / total for phone in shown], color="#33658a")
    axis.set_xlim(-0.7, len(shown) - 0.3)
    # Symbols are text, not formulas, whatever characters they hold.
    axis.set_xticks(range(len(shown)), shown, fontsize=9, parse_math=False)


_TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ name }}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; margin: 1rem 0; }
  td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top; }
  img { max-width: 100%; }
</style>
<h1>{{ name }}</h1>
<p>{{ caveat }} Key {{ key }}.</p>
<table>
  <tr><th>split<th>hours<th>cuts<th>speakers
  {% for split, counts in splits %}
  <tr><td>{{ split }}<td>{{ "%.2f" | format(counts.hours or 0) }}<td>{{ counts.cuts }}<td>{{ counts.speakers }}
  {% endfor %}
</table>
<table>
  {% for name, value in rows %}<tr><th>{{ name }}<td>{{ value }}
  {% endfor %}
</table>
<img alt="Histograms of durations, speakers, phones, levels, peaks and silence"
  src="data:image/png;base64,{{ drawing }}">
<h2>Speakers</h2>
<table>
  <tr><th>speaker<th>minutes
  {% for speaker, seconds in speakers %}<tr><td>{{ speaker }}<td>{{ "%.2f" | format(seconds / 60) }}
  {% endfor %}
</table>
<h2>Skipped: {{ bad.count }}</h2>
<table>
  {% for item, reason in bad["items"][:most] %}<tr><td>{{ item }}<td>{{ reason }}
  {% endfor %}
</table>
</html>
"""
