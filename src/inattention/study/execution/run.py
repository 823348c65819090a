"""Run a study: its jobs side by side, each result stored as it comes, then timing alone.

results.jsonl        what came out (see `inattention.study.store`)
patterned-0, ...     the trained models, for `AudioTransformer.from_pretrained`
steps/               the output of each job, in a folder whose name ends with its fingerprint
study.json           the settings of the last run
"""

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from inattention.corpora.core.corpus import Corpus, corpus_key, open_corpus
from inattention.corpora.features.stored_features import stored_features
from inattention.corpora.readers.espeak import reader as espeak
from inattention.devices import usable_device
from inattention.files import LOCK, folder_for, folder_lock, write_json
from inattention.main_guard import end_if_run_again
from inattention.pretraining.training import check_machine
from inattention.provenance import provenance
from inattention.study.execution.executor import SETTINGS
from inattention.study.execution.executors import check_executor, make_executor
from inattention.study.execution.jobs import measure_times
from inattention.study.execution.scheduler import reason, run_jobs
from inattention.study.header import Provenance, StudyHeader
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import MODEL, Job, ParsedConfig, Plan, make_plan, parse_config
from inattention.study.planning.rows import training_of
from inattention.study.records import Failure, ProbeRecord, Record
from inattention.study.results import StudyResults
from inattention.study.store import Store


def run_study(
    config: StudyConfig,
    folder: str | Path,
    *,
    preset: str = "",
    jobs: int = 0,
    executor: str = "local",
    renew: bool = False,
    progress: bool = True,
) -> StudyResults:
    """Run a study in a folder, or resume it.

    Args:
        config: what to compare.
        folder: where everything is kept. Results of other settings that it holds stay.
        preset: the preset that the settings come from, for the report.
        jobs: jobs that run at once, one thread each; 0 for one per processor.
        executor: ``local`` for processes of this machine, ``ray`` for a Ray cluster.
        renew: also probe again what earlier versions probed without counts per test utterance.
        progress: show progress bars.

    Returns:
        The study's results, failed jobs included.

    Raises:
        ValueError: if the corpus, a row or a setting cannot be used, another study is running in the folder, or Ray is
            missing.
    """
    end_if_run_again()
    parsed = parse_config(config)
    check_executor(executor)
    check_devices(parsed, local=executor == "local")
    folder = Path(folder).resolve()
    corpus = None if config.corpus is None else open_corpus(config.corpus)  # before anything is created
    with folder_for(folder, worthless=(LOCK,)), folder_lock(folder):
        plan = make_plan(parsed, corpus or prepare_embedded(config, folder, progress=progress))
        check_stored_features(plan)
        made_with = provenance()
        write_json(folder / SETTINGS, {"preset": preset, "config": config.to_dict(), "provenance": made_with})
        store = Store(folder)
        todo = jobs_to_do(plan, store, renew=renew)
        store.begin(StudyHeader.of(plan, preset, Provenance(**made_with)), new_results=bool(todo))
        if progress and len(todo) < len(plan.jobs):
            print(f"{len(plan.jobs) - len(todo)} of {len(plan.jobs)} jobs have results already", file=sys.stderr)
        if together := [job for job in todo if job.id.kind != "time"]:
            with _terminated_as_interrupted():
                workers = make_executor(executor, plan, folder, jobs=jobs, todo=len(together))
                run_jobs(together, store, workers, progress=progress)
        _link_models(plan, store)
        if timing := [job for job in todo if job.id.kind == "time"]:
            _time(timing, store, progress=progress)
        return store.results()


def check_devices(parsed: ParsedConfig, *, local: bool) -> None:
    """Check that this machine has the devices that a study asks for, before anything is created.

    Args:
        parsed: the study's settings.
        local: whether all jobs run here; otherwise timing alone does.

    Raises:
        ValueError: if it lacks one.
    """
    config = parsed.config
    encoders = [row for row in parsed.rows if not row.is_features]
    if local:
        for training in {training_of(row, config, parsed.rates) for row in encoders}:
            check_machine(training)
        _check_device("probes", config.probes.device)
    if config.timed and any(row.is_timed for row in encoders):
        _check_device("timing", config.timing.device)


def _check_device(settings: str, name: str) -> None:
    try:
        usable_device(name)
    except ValueError as error:
        raise ValueError(f"{settings}.device: {error}") from None


def check_stored_features(plan: Plan) -> None:
    """Check that the corpus has the features that its jobs are to read.

    Raises:
        CorpusError: if not; the message has the command that stores them.
    """
    for features in {job.run.model.features for job in plan.jobs if job.run and job.run.training.stored_features}:
        stored_features(plan.corpus, features)


def prepare_embedded(config: StudyConfig, folder: Path, *, progress: bool) -> Corpus:
    """Prepare the embedded corpus in the study's folder, for settings that name none."""
    key = corpus_key(espeak.NAME, asdict(config.espeak), espeak.GENERATOR)
    return espeak.prepare(config.espeak, folder / "corpora" / f"espeak-{key[:8]}", progress=progress)


def jobs_to_do(plan: Plan, store: Store, *, renew: bool = False) -> list[Job]:
    """Return the jobs without a result, and those whose model is needed and not there.

    With `renew`, probes that stored no counts per test utterance are jobs without a result.

    Trained models are not in the results file: without them, a pre-training counts as done as long as no job to do
    needs its model.
    """
    done = {it for it, record in store.records.items() if not renew or _is_current(record)}
    todo = [job for job in plan.jobs if job.id.fingerprint not in done]
    needed = {(job.needs.fingerprint, job.model) for job in todo if job.needs}
    lacking = {it for it, model in needed if it in store.records and not _has_model(it, store, model)}
    missing = {job.id.fingerprint for job in todo} | lacking
    return [job for job in plan.jobs if job.id.fingerprint in missing]


def _is_current(record: Record) -> bool:
    return not isinstance(record, ProbeRecord) or all(task.counts for task in record.tasks.values())


def _has_model(fingerprint: str, store: Store, model: str) -> bool:
    return (store.folder / store.records[fingerprint].folder / model / MODEL).is_file()


def _time(jobs: list[Job], store: Store, *, progress: bool) -> None:
    """Measure times and store them; an error fails all, as rows are timed together."""
    try:
        results = measure_times(jobs, progress=progress)
    except Exception as error:
        why = reason(error)
        results = [Failure(job.id, why) for job in jobs]
    for result in results:
        store.append(result)


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    """Handle SIGTERM (a scheduler, a shutdown) as Ctrl-C: running jobs save checkpoints first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _link_models(plan: Plan, store: Store) -> None:
    """Symlink each trained model as ROW-SEED, such as ``patterned-0``."""
    for job in plan.jobs:
        known = job.id.kind == "pretrain" and job.id.fingerprint in store.records
        if known and _has_model(job.id.fingerprint, store, "."):
            link = store.folder / job.id.run_name
            with suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(store.records[job.id.fingerprint].folder, target_is_directory=True)
