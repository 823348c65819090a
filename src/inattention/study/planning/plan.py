"""What a study has to do: steps with names that depend on all that their outcomes depend on.

A step whose outcome stands under its name is done. So a killed study goes on where it was, and a new row, a new seed
or another probe setting leaves every other outcome as it is.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from inattention import __version__, attention
from inattention.attention.rows import Row
from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.manifest import Run
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.study.planning.rows import model_of, parse_study_row, read_rates, read_rows, seeds_of, training_of
from inattention.timing.config import TimingConfig
from inattention.timing.machine import machine

Kind = Literal["floor", "pretrain", "probe", "time"]
OUTCOME = "outcome.json"
LONGEST_NAME = 150  # of a row in a folder's name, which file systems end at 255 bytes


def file_name(row: str) -> str:
    """Give a row's name as a part of a file's: a path in a row must not become folders, nor its name too long.

    >>> file_name("patterned@init=../maps.safetensors")
    'patterned@init=..%2Fmaps.safetensors'
    """
    name = quote(row, safe="@=,+ ")
    return name if len(name) <= LONGEST_NAME else f"{name[:40]}...{name[40 - LONGEST_NAME :]}"


@dataclass(frozen=True)
class Step:
    """One piece of work with an outcome of its own.

    Attributes:
        kind: what is done.
        row: for which row; empty where it serves all.
        seed: with which seed; None where none matters.
        key: a name for all that the outcome depends on.
        needs: the folder of the step whose outcome it starts from.
    """

    kind: Kind
    row: str
    seed: int | None
    key: str
    needs: str | None = None

    @property
    def title(self) -> str:
        """How people call it."""
        return " ".join(part for part in (self.kind, self.run_name) if part)

    @property
    def run_name(self) -> str:
        """The row and its seed, as folders of models are called."""
        row = file_name(self.row)
        return row if self.seed is None or not row else f"{row}-{self.seed}"

    @property
    def folder(self) -> str:
        """Where its outcome stands, below the study's folder."""
        return f"steps/{'-'.join(part for part in (self.kind, self.run_name, self.key) if part)}"

    def done(self, study: Path) -> bool:
        """Say whether its outcome is there."""
        return (study / self.folder / OUTCOME).is_file()


def run_of(row: str, seed: int, config: StudyConfig, corpus: Corpus) -> Run:
    """Give a row's pre-training run; an untrained row makes no step."""
    return Run(model_of(row, config), training_of(row, config), corpus, seed)


def make_plan(config: StudyConfig, corpus: Corpus) -> list[Step]:
    """List all steps, each before those that need it.

    Raises:
        ValueError: for a row that does not exist or cannot be built at this size, or a learning rate or repetition for
            what is no row.
    """
    rows = read_rows(config.rows)
    features = asdict(config.model.features)
    floor = {"training": config.training.hyperparameters(), "features": features, "length": config.model.max_length}
    steps = [Step("floor", "", config.seeds[0], _key("floor", floor, corpus.key, config.seeds[0]))]
    read_rates(config.learning_rates)  # says what is wrong with any, even where no row needs it
    for seed in config.seeds:
        for row in (row for row in rows if seed in seeds_of(row, config)):
            needs, source = None, json.dumps(features)
            if row not in MEL_ROWS:
                run = run_of(row, seed, config, corpus)
                attention.build(  # so that what cannot be built is said before hours are spent
                    run.model.attention,
                    width=run.model.width,
                    heads=run.model.heads,
                    max_length=run.model.max_length,
                    **run.model.attention_options,
                )
                source = _key("pretrain", run.manifest().to_dict(), _all_options(parse_study_row(row).row))
                steps.append(Step("pretrain", row, seed, source))
                needs = steps[-1].folder
            probes = {**config.probes.to_dict(), "seed": seed, "device": ""}
            steps.append(Step("probe", row, seed, _key("probe", source, probes, corpus.key, row), needs))
    timing = {**asdict(config.timing), "rows": (), "on": machine(config.timing.device, config.timing.threads)}
    if config.time_own_size:
        timing["own"] = asdict(own_size(config))
    parsed = [parse_study_row(row) for row in rows if row not in MEL_ROWS]
    timed = [it.row for it in parsed if config.timed and not it.settings]
    steps += [
        Step("time", row.name, None, _key("time", timing, row.mechanism, _all_options(row)))
        for row in timed
        if not row.untrained
    ]
    return steps


def own_size(config: StudyConfig) -> TimingConfig:
    """Give the settings of timing a training step at the study's own size, on one thread as its runs are trained."""
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


def _all_options(row: Row) -> dict[str, Any]:
    """A row's options with the defaults that it leaves alone: a changed default is another mechanism.

    An option whose default is empty counts only where it is given; one that names a file, by the file's content.
    """
    defaults = {option: value for option, value in attention.options_of(row.mechanism).items() if value != ""}
    return {**defaults, **row.options, **attention.digests(row.mechanism, row.options)}


def _key(*parts: Any) -> str:
    """A short name for parts that decide an outcome, and for our version."""
    text = json.dumps([__version__, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
