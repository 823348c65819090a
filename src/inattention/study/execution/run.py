"""Running a study: its steps side by side, each kept as it ends, then timing alone, then the report.

report.html, table1.csv, table2.csv, results.jsonl   what came out
patterned-0, ...                                     the trained models, for `AudioTransformer.from_pretrained`
steps/                                               every step's outcome, under the name of all it depends on
study.json                                           the settings
"""

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from inattention.corpora.core.corpus import Corpus, corpus_key, open_corpus
from inattention.corpora.readers.espeak import reader as espeak
from inattention.files import folder_lock, write_json
from inattention.provenance import provenance
from inattention.study.execution.jobs import measure_times
from inattention.study.execution.local import Executor, make_executor
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import Step, make_plan
from inattention.study.restore import MODEL, restore
from inattention.study.store import RESULTS, fraction_done, write_results

Failures = dict[str, str]
TITLES_SHOWN = 8


def run_study(
    config: StudyConfig,
    folder: str | Path,
    *,
    preset: str = "",
    jobs: int = 0,
    executor: str = "local",
    progress: bool = True,
) -> tuple[Path, Failures]:
    """Run a study in a folder, or go on where it stopped.

    Args:
        config: what to compare.
        folder: where everything is kept.
        preset: the preset that the settings come from, for the report.
        jobs: steps that run at once, a thread each; 0 for one a processor.
        executor: ``local`` for processes of this machine, ``ray`` for a Ray cluster.
        progress: show progress bars.

    Returns:
        The report's path, and the steps that failed with their reasons.

    Raises:
        ValueError: if the corpus or a row cannot be used, another study is at work in the folder, or there is no Ray.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        return _run_study(config, folder, preset, jobs, executor, progress)


def _run_study(
    config: StudyConfig, folder: Path, preset: str, jobs: int, executor: str, progress: bool
) -> tuple[Path, Failures]:
    from inattention.study.reporting.report import write_report

    corpus = open_study_corpus(config, folder, progress=progress)
    plan = make_plan(config, corpus)
    write_json(folder / "study.json", {"preset": preset, "config": config.to_dict(), "provenance": provenance()})

    def keep(failures: Failures) -> None:
        write_results(folder, config, preset, corpus, plan, failures)

    failures: Failures = {}
    restored = restore(plan, folder)
    if restored and progress:
        print(f"{restored} outcomes are taken from {folder / RESULTS}", file=sys.stderr)
    todo = [step for step in plan if step.kind != "time" and not step.done(folder)]
    already = sum(step.done(folder) for step in plan)
    if already and progress:
        print(f"{already} of {len(plan)} steps are done already", file=sys.stderr)
    if todo:
        workers = make_executor(executor, config, corpus, folder, jobs=jobs, todo=len(todo))
        with _terminated_as_interrupted():
            failures = _run_side_by_side(todo, config, folder, workers, keep, progress)
    _link_models(plan, folder)
    timing = [step for step in plan if step.kind == "time" and not step.done(folder)]
    if timing:
        try:
            measure_times(timing, config, folder, progress=progress)
        except Exception as error:
            failures["time"] = _reason(error)
    keep(failures)
    return write_report(folder), failures


def open_study_corpus(config: StudyConfig, folder: Path, *, progress: bool) -> Corpus:
    """Open the corpus that the settings name, or prepare the embedded one beside the steps."""
    if config.corpus is not None:
        return open_corpus(config.corpus)
    key = corpus_key(espeak.NAME, asdict(config.espeak), espeak.GENERATOR)
    return espeak.prepare(config.espeak, folder / "corpora" / f"espeak-{key[:8]}", progress=progress)


def _run_side_by_side(
    todo: list[Step],
    config: StudyConfig,
    folder: Path,
    executor: Executor,
    keep: Callable[[Failures], None],
    progress: bool,
) -> Failures:
    """Have steps done as soon as what they need is there; a failed step costs only those that need it."""
    failures: Failures = {}
    waiting, running = list(todo), list[Step]()
    try:
        with tqdm(total=len(todo), desc="study", unit="step", disable=not progress) as bar:
            while waiting or running:
                for step in list(_ready(waiting, todo, folder, failures)):
                    if len(running) >= executor.slots:
                        break
                    waiting.remove(step)
                    running.append(step)
                    executor.submit(step)
                for step, error in executor.ended(1.0):
                    running.remove(step)
                    if error is not None:
                        failures[step.title] = _reason(error)
                    keep(failures)
                ended = len(todo) - len(waiting) - len(running)
                bar.n = round(ended + sum(fraction_done(step, config, folder) for step in running), 2)
                bar.set_postfix_str(", ".join(step.title for step in running[:TITLES_SHOWN]))
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()
    return failures


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    """Take SIGTERM (a scheduler, a machine that goes down) as Ctrl-C: what is under way writes checkpoints first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ready(waiting: list[Step], todo: list[Step], folder: Path, failures: Failures) -> Iterator[Step]:
    """Give the steps that can start; those whose need has failed are dropped with the reason."""
    makes = {step.folder: step for step in todo}
    for step in list(waiting):
        needed = makes.get(step.needs or "")
        if needed is None or needed.done(folder):
            yield step
        elif needed.title in failures:
            waiting.remove(step)
            failures[step.title] = f"needs {needed.title}, which failed"


def _link_models(plan: list[Step], folder: Path) -> None:
    """Give each trained model a name that people can say: ``patterned-0`` points at its step."""
    for step in plan:
        if step.kind == "pretrain" and (folder / step.folder / MODEL).is_file():
            link = folder / step.run_name
            with suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(step.folder, target_is_directory=True)


def _reason(error: BaseException) -> str:
    """The last words of an error, as one line; its whole story goes to stderr."""
    traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {error}".splitlines()[0]
