"""Running a study: its steps side by side in processes, each kept as it ends, then timing alone, then the report.

report.html, table1.csv, table2.csv, results.jsonl   what came out
patterned-0, ...                                     the trained models, for `AudioTransformer.from_pretrained`
steps/                                               every step's outcome, under the name of all it depends on
study.json                                           the settings
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from inattention.corpora import espeak
from inattention.corpora.base import Corpus, corpus_key, open_corpus
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.study.config import StudyConfig
from inattention.study.outcomes import fraction_done, write_results
from inattention.study.plan import Step, make_plan
from inattention.study.steps import measure_times, perform

Failures = dict[str, str]
SECONDS_TO_END = 20  # for workers that are asked to end: a training step and a checkpoint


def run_study(
    config: StudyConfig, folder: str | Path, *, preset: str = "", jobs: int = 0, progress: bool = True
) -> tuple[Path, Failures]:
    """Run a study in a folder, or go on where it stopped.

    Args:
        config: what to compare.
        folder: where everything is kept.
        preset: the preset that the settings come from, for the report.
        jobs: steps that run at once, a thread each; 0 for one a processor.
        progress: show progress bars.

    Returns:
        The report's path, and the steps that failed with their reasons.

    Raises:
        ValueError: if the corpus or a row cannot be used.
    """
    from inattention.study.report import write_report

    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    corpus = open_study_corpus(config, folder, progress=progress)
    plan = make_plan(config, corpus)
    write_json(folder / "study.json", {"preset": preset, "config": config.to_dict(), "provenance": provenance()})

    def keep(failures: Failures) -> None:
        write_results(folder, config, preset, corpus, plan, failures)

    failures: Failures = {}
    todo = [step for step in plan if step.kind != "time" and not step.done(folder)]
    already = sum(step.done(folder) for step in plan)
    if already and progress:
        print(f"{already} of {len(plan)} steps are done already", file=sys.stderr)
    if todo:
        failures = _run_side_by_side(todo, config, corpus, folder, jobs or os.cpu_count() or 1, keep, progress)
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
    corpus: Corpus,
    folder: Path,
    jobs: int,
    keep: Callable[[Failures], None],
    progress: bool,
) -> Failures:
    """Run steps in processes as soon as what they need is there; a failed step costs only those that need it."""
    failures: Failures = {}
    waiting, running = list(todo), dict[Future, Step]()
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),)
    )
    try:
        with tqdm(total=len(todo), desc="study", unit="step", disable=not progress) as bar:
            while waiting or running:
                for step in list(_ready(waiting, todo, folder, failures)):
                    if len(running) >= jobs:
                        break
                    waiting.remove(step)
                    running[pool.submit(perform, step, config, corpus, folder)] = step
                done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    step = running.pop(future)
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        raise RuntimeError(
                            "a worker process ended without a word (out of memory, or killed); "
                            "the same command goes on, with fewer --jobs if memory is short"
                        ) from error
                    if error is not None:
                        failures[step.title] = _reason(error)
                    keep(failures)
                ended = len(todo) - len(waiting) - len(running)
                bar.n = round(ended + sum(fraction_done(step, config, folder) for step in running.values()), 2)
                bar.set_postfix_str(", ".join(step.title for step in running.values()))
    except BaseException:
        _end_workers(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


def _end_workers(pool: ProcessPoolExecutor) -> None:
    """Ask workers to end, which writes checkpoints; those that do not listen are killed."""
    processes = list(pool._processes.values())
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + SECONDS_TO_END
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()


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


def _begin_worker(parent: int) -> None:
    """Settle a worker: one thread, interrupts left to the parent, and an end when the parent ends."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _link_models(plan: list[Step], folder: Path) -> None:
    """Give each trained model a name that people can say: ``patterned-0`` points at its step."""
    for step in plan:
        if step.kind == "pretrain" and step.done(folder):
            link = folder / step.run_name
            with suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(step.folder, target_is_directory=True)


def _reason(error: BaseException) -> str:
    """The last words of an error, as one line; its whole story goes to stderr."""
    traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {error}".splitlines()[0]
