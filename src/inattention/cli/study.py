"""``inattention study``: pre-train, probe and time several mechanisms, and write one report."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from inattention.cli.terminal.output import table_width
from inattention.cli.terminal.parsing import Quiet, flat, parse, value_of


def run(arguments: list[str]) -> int:
    """Pre-train, probe and time several mechanisms, and write one report."""
    from inattention.study.planning.config import StudyConfig
    from inattention.study.planning.presets import PRESETS, preset

    @dataclass(frozen=True, kw_only=True)
    class Study(Quiet):
        """Pre-train, probe and time several mechanisms, and write one report. Run again, it resumes.

        Attributes:
            preset: smoke (minutes), short (most of an hour), laptop (hours), desktop (half a day) or paper (GPUs).
            only: rows to run, in place of the preset's.
            out: output folder; default: runs/PRESET.
            jobs: jobs that run at once, one thread each; 0: one per processor.
            renew: also train and probe again the rows that an earlier version probed without counts per test utterance,
                which differences between rows need.
            executor: where jobs run: local, in processes of this machine; or ray, on a Ray cluster (RAY_ADDRESS).
            settings: the study's settings.
        """

        preset: str = "smoke"
        only: tuple[str, ...] = ()
        out: Path | None = None
        jobs: int = 0
        renew: bool = False
        executor: Literal["local", "ray"] = "local"
        settings: flat(StudyConfig) = field(default_factory=lambda: PRESETS["smoke"])  # ty: ignore[invalid-type-form]

    named = value_of("--preset", arguments) or "smoke"
    chosen = "smoke" if named.startswith("-") else named  # `parse` explains a missing value
    options = parse(Study, "study", arguments, default=Study(preset=chosen, settings=preset(chosen)))
    settings = replace(options.settings, rows=options.only) if options.only else options.settings

    from inattention.files import check_writable
    from inattention.study.execution.run import run_study
    from inattention.study.reporting.report import build_report, write_report
    from inattention.study.reporting.tables import terminal_table

    folder = options.out or Path("runs") / options.preset
    check_writable(folder)
    how = {"jobs": options.jobs, "executor": options.executor, "renew": options.renew, "progress": not options.quiet}
    results = run_study(settings, folder, preset=options.preset, **how)
    report = build_report(results)
    page = write_report(report)
    if not options.quiet:
        print(terminal_table(report.tables, table_width()))
    for problem in results.problems:
        print(problem, file=sys.stderr)
    for failure in results.failures:
        print(f"failed: {failure.job.title}: {failure.error}", file=sys.stderr)
    if not options.quiet:
        print(*([f"\n{results.others}"] if results.others else []), f"\nreport: {page}", sep="\n")
    return 1 if results.failures else 0
