"""The study's report: two tables, figures and words in one HTML file that needs nothing else.

table1.csv, table2.csv    the tables
claims.md                 the paper's claims, judged
figures/                  each figure by itself, as SVG or PNG
report.html               all of it, to be read, printed or sent
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from inattention.analysis.map_images import (
    CLOSE_UP,
    close_up,
    colour_stops,
    draw_maps,
    load_maps,
    moved,
    shrink,
    tile_png,
)
from inattention.analysis.mechanism_sheet import pictures_of, sheet_svg
from inattention.analysis.run import ATLAS, DEFAULT_FOLDER
from inattention.attention.rows import parse_row
from inattention.files import write_bytes, write_text
from inattention.plotting import GRID, HALO, INK, MUTED, PAPER
from inattention.study.planning.rows import file_name
from inattention.study.records import PretrainingRecord
from inattention.study.reporting import missing as account
from inattention.study.reporting import text_formatting as wording
from inattention.study.reporting.claims.paper import Claim, as_markdown, judge
from inattention.study.reporting.families import RowInfo, families_of, infos_of
from inattention.study.reporting.figures.accuracy import (
    AGAINST,
    AccuracyPoint,
    accuracy_svg,
    accuracy_time_svg,
    inline,
    loss_svg,
    marker_path,
)
from inattention.study.reporting.findings import findings, opening
from inattention.study.reporting.paper_results import CITATION
from inattention.study.reporting.row_pairs import comparisons
from inattention.study.reporting.tables import (
    TASK_TITLES,
    CostRow,
    accuracy_rows,
    cost_rows,
    settings_of,
    table1_csv,
    table2_csv,
)
from inattention.study.results import StudyResults
from inattention.study.store import load

REPORT = "report.html"
CLAIMS = "claims.md"
FIGURES = "figures"
# Sizes in pixels of the page; the second is shown on narrow screens.
_TIME_FIGURE_SIZES = {"wide": (880, 440), "narrow": (360, 520)}


@dataclass(frozen=True)
class Head:
    """One head's map before and after pre-training.

    Attributes:
        tiles: the map, as addresses of images that hold them.
        close_ups: its middle.
        largest: its largest weights.
        moved: the share of weight that lies elsewhere afterwards.
    """

    tiles: tuple[str, str]
    close_ups: tuple[str, str]
    largest: tuple[float, float]
    moved: float


@dataclass(frozen=True)
class LearnedMaps:
    """A row's learned maps, or why they are not there.

    Attributes:
        info: which row.
        seed: of the run they are from.
        steps: queries and keys in a map.
        layers: heads by layer, or one group of heads that all layers share.
        sheet: all of it as one PNG.
        why: why there are none.
    """

    info: RowInfo
    seed: int | None = None
    steps: int = 0
    layers: tuple[tuple[Head, ...], ...] = ()
    sheet: bytes = b""
    why: str = ""


def write_report(folder: str | Path) -> Path:
    """Make tables, figures and the report from a study's results; each file is whole or not there.

    Args:
        folder: the study's folder, with `results.jsonl` in it.

    Returns:
        Where the report is.

    Raises:
        ResultsError: if the results are missing or broken.
    """
    results = load(folder)
    folder = results.folder
    drawn, maps = _draw(results), _maps(results)
    claims = judge(results)
    page = _page(results, drawn, maps, claims)
    files = {f"{name}.svg": svg.encode() for name, svg in drawn.items()}
    files |= {f"maps-{file_name(it.info.name)}.png": it.sheet for it in maps if it.sheet}
    _write_figures(folder / FIGURES, files)
    write_text(folder / "table1.csv", table1_csv(results))
    write_text(folder / "table2.csv", table2_csv(results))
    if claims:
        write_text(folder / CLAIMS, as_markdown(claims))
    write_text(folder / REPORT, page)
    return folder / REPORT


def _write_figures(folder: Path, files: dict[str, bytes]) -> None:
    """Write figures, and take away those of rows that are no longer in the study."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
    for old in folder.iterdir():
        if old.name not in files and old.suffix in (".svg", ".png"):
            old.unlink()


def _draw(results: StudyResults) -> dict[str, str]:
    """Draw all figures but the maps, as SVG by name."""
    accuracy, setting = accuracy_rows(results), _setting(results)
    forward = {row.info.name: row.forward for row in cost_rows(results, setting)}
    drawn = {}
    for task in results.tasks:
        points = []
        for row in accuracy:
            timed = forward.get(row.info.trained_name)
            ratio = (timed.ratio, timed.ratio_low, timed.ratio_high) if timed else None
            points.append(AccuracyPoint(row.info, row.scores[task], row.absent[task], row.collapsed, ratio))
        chance = next((row.chance[task] for row in accuracy if task in row.chance), None)
        if any(point.score for point in points):
            drawn[f"accuracy-{task}"] = accuracy_svg(points, chance, f"accuracy-{task}")
        if any(point.score and point.ratio for point in points):
            for size, (width, height) in _TIME_FIGURE_SIZES.items():
                name = f"time-{task}-{size}"
                drawn[name] = accuracy_time_svg(points, name, width=width, height=height)
    runs = [(info, [run for run in results.runs_of(info.name) if run.curve]) for info in infos_of(results)]
    runs = [(info, of_row) for info, of_row in runs if of_row]
    if runs:
        references = {"predicting the mean": runs[0][1][0].mean_l1}
        if results.baseline is not None:
            references["neighbour regression"] = results.baseline
        drawn["loss-step"] = loss_svg(runs, references, "loss-step", against="step")
        ratios = results.step_times()
        if timed := [(info, of_row) for info, of_row in runs if info.name in ratios]:
            drawn["loss-time"] = loss_svg(timed, references, "loss-time", against="time", ratios=ratios)
        else:
            drawn["loss-time"] = loss_svg(runs, references, "loss-time", against="seconds")
    if rows := [info.name for info in infos_of(results) if _can_be_drawn(info)]:
        drawn["mechanisms"] = sheet_svg(rows)
    return drawn


def _can_be_drawn(info: RowInfo) -> bool:
    """Whether a row's mechanism is here and can be drawn; untrained copies and other settings look like the row."""
    if info.is_mel or info.untrained or info.settings or info.card is None:
        return False
    try:
        pictures_of(parse_row(info.name))
    except ValueError:
        return False
    return True


def _maps(results: StudyResults) -> list[LearnedMaps]:
    """Draw learned maps, from the first seed that has them."""
    learned = [
        info
        for info in infos_of(results)
        if info.card
        and info.card.input_independent
        and info.card.linear_map
        and not info.untrained
        and info.family.name != "control"
    ]
    return [_maps_of(results, info, results.runs_of(info.name)) for info in learned]


def _atlases(results: StudyResults) -> list[tuple[str, str]]:
    """List the atlases that `inattention analyze` left beside trained models: the model's name, and its address."""
    names = [f"{file_name(row)}-{seed}" for row, seed in results.pretraining]
    found = [(name, f"{name}/{DEFAULT_FOLDER}/{ATLAS}") for name in names]
    return [(name, quote(path)) for name, path in found if (results.folder / path).is_file()]


def _maps_of(results: StudyResults, info: RowInfo, runs: Sequence[PretrainingRecord]) -> LearnedMaps:
    path, seed = next(((results.path(run.maps), run.seed) for run in runs if run.maps), (None, None))
    if path is None:
        return LearnedMaps(info, why="not there: the step that keeps them was not run, or failed")
    try:
        before, after = load_maps(path)
    except (OSError, ValueError) as error:
        return LearnedMaps(info, why=f"not there: {error}")
    layers = list(zip(before, after, strict=True))
    strips = []
    for number, layer in enumerate(layers, start=1):
        where = f", layer {number}" if len(layers) > 1 else ""
        strips += [(f"{when}{where}", weights) for when, weights in zip(("before", "after"), layer, strict=True)]
    sheet = io.BytesIO()
    draw_maps(strips).savefig(sheet, format="png", metadata={"Software": None})
    return LearnedMaps(
        info, seed, before.shape[-1], tuple(tuple(_heads(*layer)) for layer in layers), sheet=sheet.getvalue()
    )


def _heads(before: Float[np.ndarray, "heads time time"], after: Float[np.ndarray, "heads time time"]) -> list[Head]:
    return [
        Head(
            tiles=(_data(tile_png(shrink(one))), _data(tile_png(shrink(other)))),
            close_ups=(_data(tile_png(close_up(one))), _data(tile_png(close_up(other)))),
            largest=(float(one.max()), float(other.max())),
            moved=float(share),
        )
        for one, other, share in zip(before, after, moved(before, after), strict=True)
    ]


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _page(results: StudyResults, drawn: dict[str, str], maps: Sequence[LearnedMaps], claims: Sequence[Claim]) -> str:
    """Fill the template."""
    accuracy, setting = accuracy_rows(results), _setting(results)
    costs = cost_rows(results, setting)
    families = families_of(results)
    colours = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
    colours |= {family.light: f"var(--family-{place})" for place, family in enumerate(families)}
    environment = Environment(
        loader=PackageLoader("inattention.study.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": wording.code,
        "counted": wording.counted,
        "percent": wording.percent,
        "breakable": wording.breakable,
        "signed": wording.signed,
        "three": wording.three_digits,
        "duration": wording.duration,
        "formula": wording.formula,
        "listing": wording.listing,
    }
    return environment.get_template("report.html.jinja").render(
        results=results,
        config=results.config,
        corpus=results.corpus,
        opening=opening(results),
        findings=findings(results, accuracy, costs),
        claims=claims,
        collapsed=[row.info.name for row in accuracy if row.collapsed],
        accuracy=accuracy,
        costs=costs,
        chance=next((row.chance for row in accuracy if row.chance), {}),
        setting=setting,
        products=[
            product
            for timing in results.timing.values()
            for product in timing.products
            if (product.length, product.batch) == setting
        ],
        other_settings=_other_settings(results),
        comparisons=comparisons(accuracy, results.tasks),
        families=families,
        place={family.name: place for place, family in enumerate(families)},
        markers={family.name: marker_path(family.marker) for family in families},
        figures={name: Markup(inline(svg, name, _description(name, results), colours)) for name, svg in drawn.items()},
        halo=Markup(HALO.format("var(--paper)")),
        maps=maps,
        atlases=_atlases(results),
        scale=colour_stops(),
        close_up=CLOSE_UP,
        task_titles=TASK_TITLES,
        tasks=results.tasks,
        leaks=account.leaks(results.config),
        step_times=results.step_times(),
        gaps=account.gaps(results),
        command=account.command(results),
        citation=CITATION,
        config_json=json.dumps(results.config.to_dict(), indent=2, ensure_ascii=False),
    )


def _setting(results: StudyResults) -> tuple[int, int] | None:
    """The length and batch size of the table and the figure."""
    return next(iter(settings_of(results)), None)


def _other_settings(results: StudyResults) -> list[tuple[tuple[int, int], dict[str, CostRow]]]:
    """Further lengths and batch sizes, with each row's costs by name."""
    return [
        (setting, {row.info.name: row for row in cost_rows(results, setting)}) for setting in settings_of(results)[1:]
    ]


def _description(name: str, results: StudyResults) -> str:
    """Words for those who do not see a figure; its numbers stand in the tables."""
    kind, _, rest = name.partition("-")
    task = TASK_TITLES.get(rest.removesuffix("-wide").removesuffix("-narrow"), rest)
    if kind == "mechanisms":
        return "Which keys each query of a short sequence attends to, for each row, by family."
    if kind == "accuracy":
        return f"{task}: accuracy of each row with its 95 % interval, as in table 2."
    if kind == "time":
        return f"{task}: accuracy of each row against its forward time relative to qk, as in tables 1 and 2."
    best = min((run for run in results.pretraining.values() if run.curve), key=lambda run: run.held_out_l1)
    against = AGAINST["step" if rest == "step" else "time" if results.step_times() else "seconds"]
    lowest = f"{best.held_out_l1:.3f} ({best.row.name})"
    return f"Held-out masked L1 of each row against {against}; the lowest ends at {lowest}."
