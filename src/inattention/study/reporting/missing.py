"""Gaps of a study: failed and missing jobs, unused speech, unreadable lines, and results of earlier settings."""

from collections.abc import Iterator

from markupsafe import Markup, escape

from inattention.study.comparison import RowComparison
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import Kind
from inattention.study.reporting.text_formatting import code, counted, listing
from inattention.study.results import StudyResults

# The order of kinds in the report, and what their results are called.
_RESULTS: dict[Kind, str] = {
    "pretrain": "pre-training",
    "probe": "probes",
    "curve": "probes during training",
    "time": "timing",
    "baseline": "the linear baseline",
}
# So many items and utterances are named.
_NAMED = 3


def leaks(config: StudyConfig) -> bool:
    """Return whether deltas, computed before masking, reveal masked frames."""
    return config.model.features.deltas and not config.training.masking.before_deltas


def missing_results(results: StudyResults, comparison: RowComparison) -> list[Markup]:
    """Return all that the study asks for and that is missing, and what else its file holds."""
    return [*_jobs(results), *_counts(results, comparison), *_speech(results), *_file(results)]


def _jobs(results: StudyResults) -> Iterator[Markup]:
    for it in results.failures:
        yield Markup("Failed: {}: {}").format(code(it.job.title), it.error)
    for kind, what in _RESULTS.items():
        missing = [job for job in results.missing if job.kind == kind]
        names = listing([code(job.title.partition(" ")[2]) for job in missing if job.row])
        if missing:
            yield Markup("Missing: {}{}").format(what, Markup(" of {}").format(names) if names else "")


def _counts(results: StudyResults, comparison: RowComparison) -> Iterator[Markup]:
    unpaired = comparison.unpaired
    if unpaired:
        every = len(unpaired) == len({row for row, _ in results.probes})
        rows = Markup("all rows") if every else listing([code(row) for row in unpaired])
        what = "Not measured per utterance: the probes of {} stored no counts per test utterance, so that differences "
        again = "cannot be paired. {} runs them again and stores the counts."
        yield Markup(what + again).format(rows, code("inattention study --renew"))


def _speech(results: StudyResults) -> Iterator[Markup]:
    bad = results.corpus.bad_items
    if bad.count:
        named = listing([f"{item}: {reason}" for item, reason in bad.items[:_NAMED]])
        yield Markup("Skipped when the corpus was prepared: {}, such as {}").format(counted(bad.count, "item"), named)
    skipped = {cut: why for run in results.pretraining.values() for cut, why in run.skipped.items()}
    if skipped:
        named = listing([f"{cut}: {why}" for cut, why in sorted(skipped.items())[:_NAMED]])
        yield Markup("Skipped in pre-training: {}, such as {}").format(counted(len(skipped), "utterance"), named)
    unprobed = max((record.skipped for record in results.probes.values()), default=0)
    if unprobed:
        yield Markup("Skipped by the probes: {}").format(counted(unprobed, "utterance"))


def _file(results: StudyResults) -> Iterator[Markup]:
    for problem in results.problems:
        where = f"{problem.path.name}, line {problem.line}"
        yield Markup("Unreadable: {}: {}; the line is skipped and stays in the file").format(where, problem.reason)
    if results.others:
        yield escape(results.others)
