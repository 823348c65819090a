"""Conversion of a trained encoder to input-independent attention: derived maps, then a short distillation.

maps.safetensors                 the derived maps, which `patterned` starts from
config.json, model.safetensors   the converted encoder, after distillation
conversion.json                  errors of the maps, probes before and after, time saved
probes-*.json, distillation/     intermediate results, from which the same command resumes

An encoder that is input-independent already is saved as it is.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from inattention.conversion.config import ConversionConfig
from inattention.conversion.derive import MapErrors, derive_maps, write_maps
from inattention.conversion.distillation import Distillation, distillation_run
from inattention.conversion.install import looks_at_input, student_of
from inattention.conversion.report import (
    AFTER,
    BEFORE,
    CONVERTED,
    DISTILLED,
    TEACHER,
    UNTRAINED,
    ConversionReport,
    ForwardTime,
    HiddenStateError,
    ProbeComparison,
)
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.extraction.encoders import fingerprint
from inattention.encoders.ours import EncoderSource
from inattention.files import folder_lock, once
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.held_out import measure_held_out
from inattention.pretraining.manifest import claim
from inattention.pretraining.training import fit
from inattention.probing.results import ProbeReport
from inattention.probing.run import probe
from inattention.probing.training import device_of
from inattention.provenance import provenance
from inattention.seeding import derive_seed
from inattention.timing.config import TimingConfig
from inattention.timing.machine import machine
from inattention.timing.measure import take_turns
from inattention.timing.run import forward_task, weight_bytes

MAPS, ERRORS, RECORD = "maps.safetensors", "maps.json", "conversion.json"
DISTILLATION = "distillation"


def convert(
    teacher: AudioTransformer, corpus: Corpus, out: Path, config: ConversionConfig, *, progress: bool = True
) -> ConversionReport:
    """Convert an encoder, or resume a conversion; finished parts are not repeated.

    Args:
        teacher: the trained encoder.
        corpus: unlabelled speech for maps and distillation; its labels are used by the probes.
        out: output folder.
        config: the settings.
        progress: show progress bars.

    Raises:
        RunError: if the folder contains another conversion, or another process works in it.
        RunStopped: if SIGTERM or SIGINT stopped the distillation, after a checkpoint.
        ValueError: if maps cannot be derived or probes not trained on this corpus.
    """
    out.mkdir(parents=True, exist_ok=True)
    account = {
        "converted": fingerprint(teacher),
        "corpus": {"name": corpus.name, "key": corpus.key},
        "conversion": config.to_dict(),
    }
    with folder_lock(out):
        (out / DISTILLATION).mkdir(exist_ok=True)
        claim(out / DISTILLATION, account)
        conversion = _Conversion(teacher, corpus, out, config, progress)
        return ConversionReport.from_dict(once(out / RECORD, lambda: conversion.run().to_dict()))


def measure_time(teacher: AudioTransformer, student: AudioTransformer, config: ConversionConfig) -> ForwardTime:
    """Time forward passes of teacher and student side by side, on inputs of the greatest length."""
    length = teacher.config.max_length
    settings = TimingConfig(threads=config.threads, seed=config.seed)
    models = {BEFORE: teacher.cpu(), AFTER: student.cpu()}
    tasks = {name: forward_task(model, length, 1, settings) for name, model in models.items()}
    taken = take_turns(tasks, rounds=config.timing_rounds, threads=config.threads, seed=config.seed)
    return ForwardTime.measured(
        taken[BEFORE],
        taken[AFTER],
        steps=length,
        weight_bytes={name: weight_bytes(model) for name, model in models.items()},
        machine=machine("cpu", config.threads),
    )


@dataclass(frozen=True)
class _Conversion:
    """The parts of a conversion, each of which writes its result to a file and is not repeated."""

    teacher: AudioTransformer
    corpus: Corpus
    out: Path
    config: ConversionConfig
    progress: bool

    def run(self) -> ConversionReport:
        if not looks_at_input(self.teacher):
            self.teacher.save_pretrained(self.out)
            return ConversionReport(input_independent_already=True, provenance=provenance())
        errors = self._derive()
        converted = student_of(self.teacher, self.out / MAPS, self.config.maps)
        distilled, hidden_state_error = self._distil()
        return ConversionReport(
            input_independent_already=False,
            maps=errors,
            hidden_state_error=hidden_state_error,
            probes=self._probe(converted, distilled) if self.config.probed else None,
            time=measure_time(self.teacher, distilled, self.config),
            parameters={BEFORE: _parameters(self.teacher), AFTER: _parameters(distilled)},
            provenance=provenance(),
        )

    def _derive(self) -> MapErrors:
        """Derive the maps and write them."""

        def derive() -> dict[str, Any]:
            derived = derive_maps(
                self.teacher,
                self.corpus,
                utterances=self.config.utterances,
                held_out=self.config.held_out,
                crop_steps=self.config.crop_steps,
                seed=self.config.seed,
                progress=self.progress,
            )
            write_maps(derived, self.out / MAPS)
            return derived.record().to_dict()

        return MapErrors(**once(self.out / ERRORS, derive))

    def _distil(self) -> tuple[AudioTransformer, HiddenStateError]:
        """Distil the converted encoder and save it; return it with the error of its hidden states."""
        folder = self.out / DISTILLATION
        student = student_of(self.teacher, self.out / MAPS, self.config.maps)
        run = distillation_run(
            student,
            self.corpus,
            steps=self.config.steps,
            batch_size=self.config.batch_size,
            learning_rate=self.config.learning_rate,
            seed=self.config.seed,
        )
        model = Distillation(self.teacher, student)

        def distil() -> dict[str, Any]:
            before = measure_held_out(run, model).l1
            if self.config.steps:
                fit(run, model.train(), folder, progress=self.progress, title="distilling")
            student.eval().save_pretrained(self.out)
            return asdict(HiddenStateError(before, measure_held_out(run, model).l1))

        error = HiddenStateError(**once(folder / "outcome.json", distil))
        return AudioTransformer.from_pretrained(self.out), error

    def _probe(self, converted: AudioTransformer, distilled: AudioTransformer) -> ProbeComparison:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed, UNTRAINED))
            untrained = AudioTransformer(self.teacher.config)
        encoders = {UNTRAINED: untrained, TEACHER: self.teacher, CONVERTED: converted, DISTILLED: distilled}
        reports = {
            name: ProbeReport.from_dict(
                once(self.out / f"probes-{name}.json", lambda n=name, m=model: self._probed(n, m).to_dict())
            )
            for name, model in encoders.items()
        }
        return ProbeComparison.of(reports, draws=self.config.probes.bootstrap_draws)

    def _probed(self, name: str, model: AudioTransformer) -> ProbeReport:
        settings = replace(self.config.probes, seed=self.config.seed)
        source = EncoderSource(model.eval().to(device_of(settings)), name)
        return probe(source, self.corpus, settings, progress=self.progress)


def _parameters(model: AudioTransformer) -> dict[str, int]:
    return {
        "all": sum(p.numel() for p in model.parameters()),
        "attention": sum(p.numel() for p in model.encoder.mechanisms.parameters()),
    }
