"""The page of a conversion as one HTML file that needs no other."""

import base64
import difflib
import json
import math
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from inattention import templates
from inattention.analysis.map_images import colour_stops, tile_png
from inattention.conversion.page import figures
from inattention.conversion.page.card import write_card
from inattention.conversion.page.sources import LayerMaps, Sources, read_sources
from inattention.files import write_text
from inattention.plotting import HALO

PAGE = "conversion.html"
LOCAL_MASS = 0.9  # of a head's weight within 64 frames, from which on it is called local
MINUS, NBSP = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
_TASKS = {"speaker-utterance": "Speakers, by utterance", "phone-1-hidden": "Phones, by frame"}
_FAMILIES = {"whisper": "Whisper", "wav2vec2": "wav2vec 2.0", "hubert": "HuBERT"}


def write_page(converted: Path, measured: Path | None = None) -> Path:
    """Write ``conversion.html`` and the model card, and return the path of the page.

    Args:
        converted: folder of a converted model with its ``conversion.json``.
        measured: folder of its measurements, where the page is written; the folder of the model by default.

    Raises:
        ValueError: if the record of the conversion is missing or damaged.
    """
    folder = measured or converted
    sources = read_sources(converted, folder)
    write_card(converted, sources)
    write_text(folder / PAGE, render_page(sources))
    return folder / PAGE


def render_page(sources: Sources) -> str:
    """Return the page."""
    environment = templates.environment("inattention.conversion.page")
    environment.filters |= {
        "error": error_text,
        "signed": signed,
        "interval": interval_text,
        "points": points_text,
        "duration": duration,
        "against": against,
        "milliseconds": milliseconds,
        "ranges": ranges,
    }
    record, measured = sources.record, sources.measurements or {}
    error, curve = record["relative_error"], sources.curve
    probes = measured.get("probes") or []
    family = record["teacher"].get("family", "")
    tasks = list(dict.fromkeys(it["task"] for it in probes))
    return environment.get_template("conversion.html.jinja").render(
        record=record,
        name=Path(record["teacher"]["name"]).name or record["teacher"]["name"],
        family=_FAMILIES.get(family, ""),
        whisper=family == "whisper",
        error=error,
        replaced=_replaced(record),
        seconds=curve[-1].get("seconds") if curve else None,
        error_figure=figures.layer_errors(error["layers_start"], error["layers_after"]),
        curve_figure=figures.held_out_curve(error["start"], curve) if curve and curve[-1]["step"] else None,
        maps=[_tiles(it) for it in sources.maps],
        map_frames=sources.map_frames,
        measured=sources.measurements,
        differing=sources.differing,
        probes=[
            (_TASKS.get(task, task), rows, figures.probe_curves(task, rows))
            for task in tasks
            for rows in [[it for it in probes if it["task"] == task]]
        ],
        times=_times(measured.get("times") or []),
        stages=record.get("stages", []),
        stage_figures=_stage_figures(record),
        heads=_heads(record.get("heads", [])),
        colours=figures.CATEGORY_COLOURS | figures.SERIES,
        scale=colour_stops(),
        halo=Markup(HALO.format("var(--paper)")),
        record_json=json.dumps(record, indent=2, ensure_ascii=False),
    )


def _replaced(record: dict[str, Any]) -> str:
    """Return which layers and heads were replaced, in words."""
    count = record["layers"]
    layers = [layer for layer, it in enumerate(record["conversion"]["layers"]) if it is not None]
    heads = next((it["heads"] for it in record["conversion"]["layers"] if it is not None), None)
    if len(layers) == count:
        which = "the only encoder layer" if count == 1 else f"all {count} encoder layers"
    else:
        which = f"encoder layer{'' if len(layers) == 1 else 's'} {ranges(layers)} of {count} (counted from 0)"
    return which if heads is None else f"head{'' if len(heads) == 1 else 's'} {ranges(heads)} of {which}"


def ranges(numbers: list[int]) -> str:
    """Return numbers as the command line takes them.

    >>> ranges([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{it[0]}-{it[-1]}" if len(it) > 1 else str(it[0]) for it in parts)


def _stage_figures(record: dict[str, Any]) -> list[tuple[str, Markup]]:
    """Return titles and figures of a conversion layer by layer; none of one of all layers together."""
    stages = record.get("stages", [])
    if not stages:
        return []
    measure, _, number = record["config"]["until"].replace(" ", "").partition("=")
    found = [("Error of the output", figures.stage_errors(stages, float(number) if measure == "error" else None))]
    if all(it["words"] for it in stages):
        found.append(("Words", figures.stage_words(stages, float(number) if measure == "wer" else None)))
    return found


def _heads(heads: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return figures and rows of the teacher's heads, those first whose replacement costs most; None without any."""
    ranked = figures.most_resistant(heads)
    if not ranked:
        return None
    return {
        "rows": ranked,
        "total": len(heads),
        "local": sum(it["near_mass"] > LOCAL_MASS for it in heads),
        "categories": [(figures.GLYPHS[it], it) for it in figures.MARKERS if any(h["category"] == it for h in heads)],
        "counts": {it: sum(h["category"] == it for h in heads) for it in figures.MARKERS},
        "by_head": {(it["layer"], it["head"]): it for it in heads},
        "figures": [
            ("Weight within 64 frames", figures.head_errors(ranked, "near_mass", "share of weight within 64 frames")),
            ("Input dependence", figures.head_errors(ranked, "input_dependence", "input dependence of the maps")),
        ],
    }


def _tiles(maps: LayerMaps) -> dict[str, Any]:
    def tile(weights: Any) -> str:
        return f"data:image/png;base64,{base64.b64encode(tile_png(weights)).decode()}"

    student = [None] * len(maps.teacher) if maps.student is None else [tile(it) for it in maps.student]
    return {"layer": maps.layer, "heads": list(zip(map(tile, maps.teacher), student, maps.replaced, strict=True))}


def _times(times: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each length of speech, with both encoders."""
    rows: dict[int, dict[str, Any]] = {}
    for it in times:
        rows.setdefault(it["speech_seconds"], {"seconds": it["speech_seconds"]})[it["model"]] = it
    return [row for _, row in sorted(rows.items()) if {"student", "teacher"} <= row.keys()]


def error_text(value: float | None) -> str:
    """Return a rate or a relative error.

    >>> error_text(0.16249), error_text(12.345), error_text(0.00012), error_text(None)
    ('0.162', '12.3', '0.00012', '–')
    """
    if value is None:
        return "\N{EN DASH}"
    if value >= 10:
        return f"{value:.3g}"
    return f"{value:.3f}" if value >= 0.0005 or value <= 0 else f"{value:.2g}"


def signed(value: float) -> str:
    """Return a difference with its sign.

    >>> signed(-0.0141), signed(0.0)
    ('−0.014', '0.000')
    """
    text = f"{value:+.3f}"
    return text[1:] if not float(text) else text.replace("-", MINUS)


def interval_text(interval: list[float] | None) -> str:
    """Return a difference with its 95 % interval.

    >>> interval_text([0.041, 0.007, 0.077])
    '+0.041 [+0.007, +0.077]'
    """
    if not interval:
        return "\N{EN DASH}"
    middle, low, high = map(signed, interval)
    return f"{middle} [{low}, {high}]"


def points_text(interval: list[float] | None) -> str:
    """Return a difference of accuracies in percentage points, with its 95 % interval.

    >>> points_text([-0.0249, -0.05, 0.0])
    '−2.5 [−5.0, +0.0]'
    """
    if not interval:
        return "\N{EN DASH}"
    middle, low, high = (f"{100 * it:+.1f}".replace("-", MINUS) for it in interval)
    return f"{middle} [{low}, {high}]"


def duration(seconds: float) -> str:
    r"""Return a time in the unit that suits it.

    >>> duration(12.4), duration(600), duration(9000)
    ('12\xa0s', '10\xa0min', '2.5\xa0h')
    """
    if seconds < 90:
        return f"{seconds:.0f}{NBSP}s"
    return f"{seconds / 60:.0f}{NBSP}min" if seconds < 5400 else f"{seconds / 3600:.1f}{NBSP}h"


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds to three digits.

    >>> milliseconds(0.01234), milliseconds(1.5)
    ('12.3', '1500')
    """
    value = 1000 * seconds
    places = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{places}f}"


def against(text: str, reference: str | None) -> Markup:
    """Return a transcript whose words that the reference lacks are marked; all of it if that is None or empty.

    >>> against("the cat sits", "The cat, sat.")
    Markup('the cat <mark>sits</mark>')
    """
    words = text.split()
    if not reference or not words:
        return Markup(escape(text))
    plain, wanted = ([_plain(word) for word in it] for it in (words, reference.split()))
    out: list[Markup] = []
    for kind, _, _, start, end in difflib.SequenceMatcher(None, wanted, plain, autojunk=False).get_opcodes():
        section = escape(" ".join(words[start:end]))
        if section:
            out.append(section if kind == "equal" else Markup("<mark>{}</mark>").format(section))
    return Markup(" ").join(out)


def _plain(word: str) -> str:
    return re.sub(r"\W+", "", word).casefold()
