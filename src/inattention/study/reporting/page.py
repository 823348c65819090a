"""The report as one HTML page."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from inattention import templates
from inattention.analysis.map_images import CLOSE_UP, colour_stops
from inattention.analysis.run import ATLAS, DEFAULT_FOLDER
from inattention.comparison import MARKS, mark_of
from inattention.plotting import GRID, HALO, INK, MUTED, PAPER, inline
from inattention.study.learning_curves import LearningCurve
from inattention.study.planning.rows import file_name
from inattention.study.reporting import text_formatting
from inattention.study.reporting.claims.claim import LEGEND, Claim
from inattention.study.reporting.figures.drawing import marker_path
from inattention.study.reporting.figures.loss import AGAINST
from inattention.study.reporting.figures.study_figures import description
from inattention.study.reporting.findings import opening
from inattention.study.reporting.learned_maps import LearnedMaps
from inattention.study.reporting.missing import leaks
from inattention.study.reporting.paper_results import CITATION
from inattention.study.reporting.rerun_command import rerun_command
from inattention.study.reporting.row_pairs import RowPair
from inattention.study.reporting.tables import TASK_TITLES, Tables, utterances_text
from inattention.study.results import StudyResults


@dataclass(frozen=True)
class Report:
    """Everything that a study's report shows, computed once.

    Attributes:
        results: the study.
        tables: both tables.
        pairs: the rows that are compared.
        claims: the paper's claims and open questions.
        findings: paragraphs by heading.
        curves: accuracies during training.
        figures: SVG by name.
        maps: learned maps by row.
        missing: what the study lacks.
    """

    results: StudyResults
    tables: Tables
    pairs: tuple[RowPair, ...]
    claims: tuple[Claim, ...]
    findings: tuple[tuple[str, list[Markup]], ...]
    curves: tuple[LearningCurve, ...]
    figures: dict[str, str]
    maps: tuple[LearnedMaps, ...]
    missing: tuple[Markup, ...]


def render_page(report: Report) -> str:
    """Return the report as HTML."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(**_study(report.results), **_tables(report), **_figures(report), **_texts(report))
    )


def _environment() -> Environment:
    environment = templates.environment("inattention.study.reporting")
    environment.filters |= {
        "breakable": text_formatting.breakable,
        "code": text_formatting.code,
        "counted": text_formatting.counted,
        "duration": text_formatting.duration,
        "formula": text_formatting.formula,
        "mark": mark_of,
        "percent": text_formatting.percent,
        "points": text_formatting.points_text,
        "three": text_formatting.three_digits,
    }
    return environment


def _study(results: StudyResults) -> dict[str, Any]:
    return {
        "results": results,
        "config": results.config,
        "corpus": results.corpus,
        "leaks": leaks(results.config),
        "step_times": results.step_times(),
        "atlases": _atlases(results),
        "command": rerun_command(results),
        "config_json": json.dumps(results.config.to_dict(), indent=2, ensure_ascii=False),
    }


def _tables(report: Report) -> dict[str, Any]:
    tables = report.tables
    setting = tables.setting
    timings = report.results.timing.values()
    products = [it for timing in timings for it in timing.products if (it.length, it.batch) == setting]
    others = [(it, {row.row.name: row for row in rows}) for it, rows in tables.costs.items() if it != setting]
    return {
        "tasks": tables.tasks,
        "task_titles": TASK_TITLES,
        "accuracy": tables.accuracy,
        "utterances_text": utterances_text(tables),
        "chance": next((row.chance for row in tables.accuracy if row.chance), {}),
        "collapsed": [row.row.name for row in tables.accuracy if row.collapsed],
        "costs": tables.costs[setting],
        "setting": setting,
        "other_settings": others,
        "products": products,
        "pairs": report.pairs,
    }


def _figures(report: Report) -> dict[str, Any]:
    families = report.tables.families
    colours = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
    colours |= {family.light: f"var(--family-{place})" for place, family in enumerate(families)}
    return {
        "families": families,
        "place": {family.name: place for place, family in enumerate(families)},
        "markers": {family.name: marker_path(family.marker) for family in families},
        "figures": {
            name: Markup(inline(svg, name, description(name, report.results), colours))
            for name, svg in report.figures.items()
        },
        "halo": Markup(HALO.format("var(--paper)")),
        "learning": [
            (it, title)
            for it, title in AGAINST.items()
            if any(re.fullmatch(f"learning-.*-{it}", name) for name in report.figures)
        ],
        "maps": report.maps,
        "scale": colour_stops(),
        "close_up": CLOSE_UP,
    }


def _texts(report: Report) -> dict[str, Any]:
    return {
        "opening": opening(report.results),
        "findings": report.findings,
        "claims": report.claims,
        "legend_of_claims": LEGEND,
        "marks": MARKS,
        "missing": report.missing,
        "citation": CITATION,
    }


def _atlases(results: StudyResults) -> list[tuple[str, str]]:
    """Return name and address of the atlases that `inattention analyze` wrote beside trained models."""
    names = [f"{file_name(row)}-{seed}" for row, seed in results.pretraining]
    found = [(name, f"{name}/{DEFAULT_FOLDER}/{ATLAS}") for name in names]
    return [(name, quote(path)) for name, path in found if (results.folder / path).is_file()]
