"""Plan a study: its jobs, each with a fingerprint of all that its results depend on.

A job whose fingerprint has a result is done. So a killed study is resumed where it was, and a new row, a new seed or
another probe setting leaves all other results valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from inattention import attention
from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import Corpus
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig, snapshot_path
from inattention.pretraining.manifest import Run
from inattention.pretraining.training import check_names
from inattention.probing.config import ProbeConfig
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.fingerprint import (
    baseline_meaning,
    fingerprint,
    pretraining_meaning,
    probe_meaning,
    settings,
    timing_meaning,
)
from inattention.study.planning.rows import StudyRow, file_name, model_of, parse_rates, parse_rows, training_of
from inattention.timing.config import TimingConfig
from inattention.timing.machine import machine

Kind = Literal["baseline", "pretrain", "probe", "curve", "time"]
# Names in files and folders, which are older than the names in the code.
_ON_DISK: dict[Kind, str] = {
    "baseline": "floor", "pretrain": "pretrain", "probe": "probe", "curve": "curve", "time": "time",
}  # fmt: skip
MAPS = "maps.safetensors"
MODEL = "model.safetensors"


def kind_named(on_disk: str) -> Kind:
    """Return the kind of job that files and folders name so.

    Raises:
        ValueError: if there is none.
    """
    for kind, name in _ON_DISK.items():
        if name == on_disk:
            return kind
    raise ValueError(f"there is no kind {on_disk!r}")


@dataclass(frozen=True)
class JobId:
    """Identity of a job.

    Attributes:
        kind: what is done.
        row: name of the row; empty where the job serves all rows.
        seed: of the run; None where none matters.
        fingerprint: hash of all that the results depend on.
        step: optimizer step at which a row is probed during training; None for all other jobs.
    """

    kind: Kind
    row: str
    seed: int | None
    fingerprint: str
    step: int | None = None

    @property
    def kind_on_disk(self) -> str:
        """The kind as files and folders name it."""
        return _ON_DISK[self.kind]

    @property
    def title(self) -> str:
        """Name in messages and progress bars, such as ``probe qk-0`` or ``curve qk-0 at step 200``."""
        seed = "" if self.seed is None or not self.row else f"-{self.seed}"
        step = "" if self.step is None else f"at step {self.step}"
        return " ".join(part for part in (self.kind, f"{self.row}{seed}", step) if part)

    @property
    def run_name(self) -> str:
        """Row and seed, as folders of models are named."""
        row = file_name(self.row)
        return row if self.seed is None or not row else f"{row}-{self.seed}"

    @property
    def folder(self) -> str:
        """Folder of the job's output, relative to the study's."""
        return f"steps/{'-'.join(part for part in (self.kind_on_disk, self.run_name, self.fingerprint) if part)}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A unit of a study, with all that running it takes.

    Attributes:
        id: its identity.
        row: the row; None where the job serves all rows.
        needs: the pre-training whose model it uses.
        run: of a pre-training or a baseline.
        corpus: that probes are trained and scored on.
        probes: settings of the probes.
        features: input features, of the probes of a feature row.
        timing: what is timed.
        own_size: the same for a training step at the study's own size, if wanted.
    """

    id: JobId
    row: StudyRow | None = None
    needs: JobId | None = None
    run: Run | None = None
    corpus: Corpus | None = None
    probes: ProbeConfig | None = None
    features: FeatureConfig | None = None
    timing: TimingConfig | None = None
    own_size: TimingConfig | None = None

    @property
    def model(self) -> str:
        """Folder of the model that it uses, relative to that of the pre-training that it needs."""
        return "." if self.id.step is None else snapshot_path(self.id.step)


@dataclass(frozen=True)
class Plan:
    """The jobs of a study.

    Attributes:
        config: the study's settings; rows and repeated rows under their canonical names.
        corpus: the study's corpus.
        rows: its rows, in the order asked for.
        jobs: all jobs, each after the job that it needs.
    """

    config: StudyConfig
    corpus: Corpus
    rows: tuple[StudyRow, ...]
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class ParsedConfig:
    """A study's settings with everything in them that is text parsed.

    Attributes:
        config: the settings; rows and repeated rows under their canonical names.
        rows: its rows, in the order asked for.
        rates: learning rates of rows, mechanisms and families.
    """

    config: StudyConfig
    rows: tuple[StudyRow, ...]
    rates: Mapping[str, float]


def parse_config(config: StudyConfig) -> ParsedConfig:
    """Parse a study's rows and learning rates, and check its settings, before time is spent on a corpus.

    Raises:
        ValueError: for a row that does not exist or cannot be built at this size, a learning rate or repetition for
            something that is no row, or settings with which no job can work.
    """
    rows = parse_rows(config.rows)
    repeated, curve_rows = (parse_rows(names) for names in (config.repeated, config.curve_rows))
    still = [row.name for row in curve_rows if row.is_features or row.untrained]
    if still:
        raise ValueError(f"curve_rows: {', '.join(still)}: there is no training during which they could be probed")
    config = replace(
        config,
        rows=tuple(row.name for row in rows),
        repeated=tuple(row.name for row in repeated),
        curve_rows=tuple(row.name for row in curve_rows),
    )
    rates = parse_rates(config.learning_rates)
    _check_settings(config.model, config.training, config.probes)
    for row in rows:
        if not row.is_features:
            _check_row(row, config, rates)
    return ParsedConfig(config, rows, rates)


def _check_row(row: StudyRow, config: StudyConfig, rates: Mapping[str, float]) -> None:
    """Check a row's own settings, and that its attention can be built."""
    model, training = model_of(row, config), training_of(row, config, rates)
    if row.settings:
        try:
            _check_settings(model, training, config.probes)
        except ValueError as error:
            raise ValueError(f"row {row.name!r}: {error}") from None
    attention.build(
        model.attention,
        width=model.width,
        heads=model.heads,
        max_length=model.max_length,
        **model.attention_options,
    )


def _check_settings(model: AudioTransformerConfig, training: PretrainingConfig, probes: ProbeConfig) -> None:
    """Check what no job could work with, on whatever machine it runs."""
    training.check(model.max_length)
    check_names(training)
    if (training.devices, training.nodes) != (1, 1):
        raise ValueError(
            f"training.devices and training.nodes must be 1 in a study, not {training.devices} and {training.nodes}: "
            "its jobs run side by side, each in one process (--jobs, --executor ray); `inattention pretrain` trains "
            "one encoder in several"
        )
    if isinstance(probes.layer, int) and probes.layer > model.layers:
        raise ValueError(f"probes.layer must be at most {model.layers} (model.layers), not {probes.layer}")


def make_plan(parsed: ParsedConfig, corpus: Corpus) -> Plan:
    """Plan a study on a corpus.

    Raises:
        ValueError: if a file that a row starts from cannot be read.
    """
    planner = Planner(parsed.config, corpus, parsed.rows, parsed.rates)
    return Plan(parsed.config, corpus, parsed.rows, tuple(planner.jobs()))


class Planner:
    """Makes the jobs of a study from its parsed rows.

    Args:
        config: the study's settings, with canonical names of rows.
        corpus: the study's corpus.
        rows: the study's rows.
        rates: learning rates of rows, mechanisms and families.
        on: the machine that times are taken on; this one by default.
        revisions: of the code that makes the results, by kind of job, where not the current ones.
    """

    def __init__(
        self,
        config: StudyConfig,
        corpus: Corpus,
        rows: tuple[StudyRow, ...],
        rates: Mapping[str, float],
        *,
        on: Mapping[str, Any] | None = None,
        revisions: Mapping[str, int] | None = None,
    ) -> None:
        self.config = config
        self.corpus = corpus
        self.rows = rows
        self._rates = rates
        self._machine = on or (machine(config.timing.device, config.timing.threads) if config.timed else {})
        self._revisions = revisions or {}

    def jobs(self) -> list[Job]:
        """Return all jobs, each after the job that it needs.

        Raises:
            ValueError: if a file that a row starts from cannot be read.
        """
        by_row = {row.name: self.runs_of(row) for row in self.rows}
        seeded = [job for seed in self.config.seeds for runs in by_row.values() for job in runs if job.id.seed == seed]
        timed = [self.timing(row) for row in self.rows if self.is_timed(row)]
        return [self.baseline(), *seeded, *timed]

    def seeds_of(self, row: StudyRow) -> tuple[int, ...]:
        """Return the seeds that a row is run with."""
        repeated = not self.config.repeated or row.name in self.config.repeated
        return self.config.seeds if repeated else self.config.seeds[:1]

    def is_timed(self, row: StudyRow) -> bool:
        """Return whether a row has a timing job: untrained rows take as long as their trained copies."""
        return self.config.timed and row.is_timed and not row.untrained

    def baseline(self) -> Job:
        """Return the job that measures the linear baseline."""
        config, seed = self.config, self.config.seeds[0]
        meaning = baseline_meaning(config.training, config.model.features, config.model.max_length, self.corpus.key)
        run = Run(config.model, replace(config.training, steps=0), self.corpus, seed)
        return Job(id=self._id("baseline", "", seed, {**meaning, "seed": seed}), run=run)

    def runs_of(self, row: StudyRow) -> list[Job]:
        """Return a row's pre-training and probes, with each of its seeds.

        Raises:
            ValueError: if a file that the row starts from cannot be read.
        """
        if row.is_features:
            features = replace(self.config.model.features, normalise=row.name == "mel")
            source = {"features": settings("features", features)}
            return [self._probes(row, seed, source, features=features) for seed in self.seeds_of(row)]
        model, training = model_of(row, self.config), training_of(row, self.config, self._rates)
        meaning = pretraining_meaning(model, training, self.corpus.key)
        jobs = []
        for seed in self.seeds_of(row):
            pretrain = self._id("pretrain", row.name, seed, {**meaning, "seed": seed})
            steps = self.curve_steps(row, training)
            run = Run(model, replace(training, snapshots_at=steps), self.corpus, seed)
            jobs.append(Job(id=pretrain, row=row, run=run))
            jobs.append(self._probes(row, seed, {"pretrain": pretrain.fingerprint}, needs=pretrain))
            jobs += [self._curve(row, seed, step, needs=pretrain) for step in steps]
        return jobs

    def curve_steps(self, row: StudyRow, training: PretrainingConfig) -> tuple[int, ...]:
        """Return the optimizer steps after which a row is probed during training."""
        steps = self.config.curve_steps if row.name in self.config.curve_rows else ()
        return tuple(sorted(step for step in steps if step < training.steps))

    def timing(self, row: StudyRow) -> Job:
        """Return the job that times a row.

        Raises:
            ValueError: if a file that the row starts from cannot be read.
        """
        config = self.config
        timing, own = replace(config.timing, rows=()), own_size(config) if config.time_own_size else None
        meaning = timing_meaning(timing, own, self._machine, row.mechanism, row.options)
        return Job(id=self._id("time", row.name, None, meaning), row=row, timing=timing, own_size=own)

    def _probes(
        self,
        row: StudyRow,
        seed: int,
        source: Mapping[str, Any],
        *,
        needs: JobId | None = None,
        features: FeatureConfig | None = None,
    ) -> Job:
        probes = replace(self.config.probes, seed=seed)
        identity = self._id("probe", row.name, seed, probe_meaning(source, probes, self.corpus.key))
        return Job(id=identity, row=row, needs=needs, corpus=self.corpus, probes=probes, features=features)

    def _curve(self, row: StudyRow, seed: int, step: int, *, needs: JobId) -> Job:
        probes = replace(self.config.probes, seed=seed)
        source = {"pretrain": needs.fingerprint, "step": step}
        identity = self._id("curve", row.name, seed, probe_meaning(source, probes, self.corpus.key), step=step)
        return Job(id=identity, row=row, needs=needs, corpus=self.corpus, probes=probes)

    def _id(
        self, kind: Kind, row: str, seed: int | None, meaning: Mapping[str, Any], *, step: int | None = None
    ) -> JobId:
        return JobId(kind, row, seed, fingerprint(kind, meaning, self._revisions.get(kind)), step)


def own_size(config: StudyConfig) -> TimingConfig:
    """Return the settings for timing a training step at the study's own size, on one thread as its runs are trained."""
    model = config.model
    return replace(
        config.timing,
        rows=(),
        width=model.width,
        heads=model.heads,
        layers=model.layers,
        feed_forward=model.feed_forward,
        lengths=(model.max_length,),
        batch_sizes=(config.training.batch_size,),
        modes=("train",),
        exponent_lengths=(),
        threads=1,
    )
