"""The study's report, built once from its results and written beside them.

table1.csv, table2.csv    the tables
curves.csv                accuracies during training, if rows were probed then
claims.md                 the paper's claims, with verdicts
figures/                  each figure on its own, as SVG or PNG
report.html               all of it on one page that needs no other file
"""

from pathlib import Path

from inattention.files import write_bytes, write_text
from inattention.study.comparison import RowComparison, measured_rows
from inattention.study.learning_curves import learning_curves
from inattention.study.planning.rows import file_name
from inattention.study.reporting.claims.claim import as_markdown
from inattention.study.reporting.claims.judge import judge_claims
from inattention.study.reporting.csv_tables import curves_csv, table1_csv, table2_csv
from inattention.study.reporting.figures.study_figures import draw_figures
from inattention.study.reporting.findings import findings
from inattention.study.reporting.learned_maps import learned_maps
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.missing import missing_results
from inattention.study.reporting.page import Report, render_page
from inattention.study.reporting.row_pairs import row_pairs
from inattention.study.reporting.tables import build_tables
from inattention.study.results import StudyResults

REPORT = "report.html"
CLAIMS = "claims.md"
FIGURES = "figures"


def build_report(results: StudyResults) -> Report:
    """Return everything that a study's report shows."""
    comparison = RowComparison(measured_rows(results))
    tables = build_tables(results, comparison)
    measurements = Measurements(results, tables, comparison)
    pairs = row_pairs(tables, comparison)
    curves = learning_curves(results)
    return Report(
        results=results,
        tables=tables,
        pairs=tuple(pairs),
        claims=tuple(judge_claims(measurements)),
        findings=tuple(findings(measurements, pairs)),
        curves=tuple(curves),
        figures=draw_figures(results, tables, curves),
        maps=tuple(learned_maps(results, [it.row for it in tables.accuracy])),
        missing=tuple(missing_results(results, comparison)),
    )


def write_report(report: Report) -> Path:
    """Write tables, figures and the report to the study's folder; each file is complete or absent.

    Returns:
        Where the report is.
    """
    folder = report.results.folder
    files = {f"{name}.svg": svg.encode() for name, svg in report.figures.items()}
    files |= {f"maps-{file_name(it.row.name)}.png": it.sheet for it in report.maps if it.sheet}
    page = render_page(report)
    _write_figures(folder / FIGURES, files)
    write_text(folder / "table1.csv", table1_csv(report.tables))
    write_text(folder / "table2.csv", table2_csv(report.tables))
    if report.curves:
        write_text(folder / "curves.csv", curves_csv(report.curves))
    if report.claims:
        write_text(folder / CLAIMS, as_markdown(report.claims))
    write_text(folder / REPORT, page)
    return folder / REPORT


def _write_figures(folder: Path, files: dict[str, bytes]) -> None:
    """Write figures, and remove those of rows that are no longer in the study."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
    for old in folder.iterdir():
        if old.name not in files and old.suffix in (".svg", ".png"):
            old.unlink()
