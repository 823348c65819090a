"""Fingerprints of jobs: short hashes of all that the numbers of a job depend on.

A result is found again by its fingerprint, whatever program version wrote it. So a fingerprint hashes meaning: the
settings that decide the numbers, under names of its own, and a revision number of the code. Neither our version nor
the names of fields enter it.

Rules for a change of the code:

- Numbers change though settings stay (a mended fault, another order of random draws): raise the revision of that kind
  of job in `REVISIONS`, so that results of the old code are not mixed with those of the new. If they change in mixed
  precision alone, raise `MIXED_PRECISION`.
- A field is renamed: change the field's name in the table below (right-hand side), never its stable name (left).
- A setting is added that decides numbers: add it to the table and, with the value that means the behaviour before it
  existed, to `ADDED_LATER`. It counts only where it has another value, so that known results keep their fingerprints.
  The same holds for an option of a mechanism, as ``MECHANISM.OPTION``.
- A setting is added that changes no numbers (where a job runs, how often it is saved): add it to `NOT_HASHED`.
- A default changes: nothing to do, values are hashed and not the fact that they are the default.
"""

import hashlib
import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from inattention import attention
from inattention.audio.config import FeatureConfig
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PRECISIONS, PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.timing.config import TimingConfig

# The results of jobs with one kind and one revision may be compared; see above when to raise one.
REVISIONS = {"baseline": 1, "pretrain": 1, "probe": 1, "curve": 1, "time": 1}

# The same for pre-training in mixed precision alone. 2: hidden states, logits and softmax stay float32.
MIXED_PRECISION = 2

# Stable name -> field, for each record of settings. `PretrainingConfig.hyperparameters` has stable names of its own.
NAMES: dict[str, dict[str, str]] = {
    "features": {
        "sampling_rate": "sampling_rate",
        "fft_size": "fft_size",
        "window_seconds": "window_seconds",
        "hop_seconds": "hop_seconds",
        "mels": "mels",
        "lowest_hz": "lowest_hz",
        "highest_hz": "highest_hz",
        "log_floor": "log_floor",
        "deltas": "deltas",
        "delta_frames": "delta_frames",
        "normalise": "normalise",
        "stack": "stack",
    },
    "model": {
        "width": "width",
        "heads": "heads",
        "layers": "layers",
        "feed_forward": "feed_forward",
        "share_layers": "share_layers",
        "maps": "maps",
        "max_length": "max_length",
        "dropout": "dropout",
        "norm_epsilon": "norm_epsilon",
    },
    "probes": {
        "tasks": "tasks",
        "layer": "layer",
        "labels": "labels",
        "labelled_utterances": "labelled_utterances",
        "balanced_speakers": "balanced_speakers",
        "epochs": "epochs",
        "patience": "patience",
        "utterance_patience": "utterance_patience",
        "learning_rate": "learning_rate",
        "averaging": "averaging",
        "step_batch_size": "step_batch_size",
        "utterance_batch_size": "utterance_batch_size",
        "hidden_width": "hidden_width",
        "seed": "seed",
        "bootstrap_draws": "bootstrap_draws",
    },
    "timing": {
        "width": "width",
        "heads": "heads",
        "layers": "layers",
        "feed_forward": "feed_forward",
        "lengths": "lengths",
        "batch_sizes": "batch_sizes",
        "modes": "modes",
        "exponent_lengths": "exponent_lengths",
        "threads": "threads",
        "rounds": "rounds",
        "seconds": "seconds",
        "device": "device",
        "seed": "seed",
    },
}
# Fields that change no numbers, or enter a fingerprint in another way.
NOT_HASHED: dict[str, tuple[str, ...]] = {
    "features": (),
    "model": ("attention", "attention_options", "features"),
    "probes": ("device",),
    "timing": ("rows",),
}
# Values that mean the behaviour from before a setting or an option existed.
ADDED_LATER: dict[str, Any] = {"qk.bias": "none", "qk.floor": 1e-5}
# Of a machine, what decides how rows compare; not the version of its system, which changes with every update.
_OF_A_MACHINE = ("cpu", "cores", "threads", "instructions", "gpu")
_EXACT_AS_FLOAT = 2**53


def fingerprint(kind: str, meaning: Mapping[str, Any], revision: int | None = None) -> str:
    """Return twelve hex digits for a kind of job and all that its numbers depend on.

    Args:
        kind: of the job.
        meaning: plain data under stable names.
        revision: of the code; the current one by default.

    >>> fingerprint("probe", {"width": 1}) == fingerprint("probe", {"width": 1.0}) != fingerprint("time", {"width": 1})
    True
    """
    content = {"kind": kind, "revision": REVISIONS[kind] if revision is None else revision, **meaning}
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def baseline_meaning(
    training: PretrainingConfig, features: FeatureConfig, max_length: int, corpus: str
) -> dict[str, Any]:
    """Return what the linear baseline depends on, apart from the seed: the masked task, not how models learn it."""
    task = training.hyperparameters()
    return {
        "task": {name: task[name] for name in ("target", "masking", "held_out_draws", "batch_size")},
        "features": settings("features", features),
        "max_length": max_length,
        "corpus": corpus,
    }


def pretraining_meaning(model: AudioTransformerConfig, training: PretrainingConfig, corpus: str) -> dict[str, Any]:
    """Return what a pre-training run depends on, apart from the seed.

    Raises:
        ValueError: if a file that the attention starts from cannot be read.
    """
    meaning = {
        "model": {**settings("model", model), "features": settings("features", model.features)},
        "attention": mechanism_meaning(model.attention, model.attention_options),
        "training": training.hyperparameters(),
        "corpus": corpus,
    }
    if PRECISIONS.get(training.precision) != "32-true":
        meaning["mixed_precision"] = MIXED_PRECISION
    return meaning


def probe_meaning(source: Mapping[str, Any], probes: ProbeConfig, corpus: str) -> dict[str, Any]:
    """Return what the probes of a source depend on: its pre-training's fingerprint, or its features."""
    return {"source": dict(source), "probes": settings("probes", probes), "corpus": corpus}


def timing_meaning(
    timing: TimingConfig, own: TimingConfig | None, machine: Mapping[str, Any], mechanism: str, options: Mapping
) -> dict[str, Any]:
    """Return what the times of a row depend on; they hold for one machine.

    Raises:
        ValueError: if a file that the attention starts from cannot be read.
    """
    return {
        "timing": settings("timing", timing),
        "own_size": settings("timing", own) if own else None,
        "machine": {name: machine[name] for name in _OF_A_MACHINE if name in machine},
        "attention": mechanism_meaning(mechanism, options),
    }


def mechanism_meaning(mechanism: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mechanism's options, defaults included; a file counts by its content.

    An option whose default is empty text (a file that is not given) counts only where it is given.
    """
    values = {name: value for name, value in attention.options_of(mechanism).items() if value != ""}
    values |= {**options, **attention.digests(mechanism, options)}
    return {"mechanism": mechanism, "options": _counting(mechanism, values)}


def settings(record: str, values: object) -> dict[str, Any]:
    """Return the settings of a record under their stable names.

    Args:
        record: its name in `NAMES`.
        values: the record.
    """
    return _counting(record, {stable: attrgetter(field)(values) for stable, field in NAMES[record].items()})


def _counting(record: str, values: Mapping[str, Any]) -> dict[str, Any]:
    absent = object()
    return {name: value for name, value in values.items() if ADDED_LATER.get(f"{record}.{name}", absent) != value}


def _canonical(value: Any) -> Any:
    """Return plain data in which equal values are written alike: 1 as 1.0, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT_AS_FLOAT:
        return float(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
