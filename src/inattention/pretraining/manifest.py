"""Identity of a pre-training run: `Run` in memory, and its manifest in ``run.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from inattention import attention
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.features.stored_features import stored_features
from inattention.files import write_json
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import HELD_OUT, MaskedExamples, target_size
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.stopping import RunError, is_first_process
from inattention.provenance import provenance
from inattention.seeding import derive_seed

MANIFEST = "run.json"


@dataclass(frozen=True)
class CorpusId:
    """The corpus that a run was trained on: its name and the key of its contents."""

    name: str
    key: str


@dataclass(frozen=True, kw_only=True)
class RunManifest:
    """The contents of ``run.json``.

    A study that version 0.2 restored from its results alone wrote manifests with the learning rate and the provenance
    of its runs only; they have neither model, corpus nor seed.

    Attributes:
        training: hyperparameters, as `PretrainingConfig.hyperparameters` names them.
        model: settings of the encoder, as `AudioTransformerConfig.to_dict` returns them.
        corpus: the corpus.
        seed: seed of weights, masks and the order of batches.
        files: digest of each file that the attention is initialised from, by option.
        provenance: versions, machine and commit; None until the manifest is written.
    """

    training: Mapping[str, Any]
    model: Mapping[str, Any] | None = None
    corpus: CorpusId | None = None
    seed: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None

    @property
    def learning_rate(self) -> float | None:
        """Peak learning rate; None where it is not recorded."""
        return self.training.get("learning_rate")

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON data; unknown parts and empty `files` are omitted."""
        corpus = None if self.corpus is None else {"name": self.corpus.name, "key": self.corpus.key}
        parts = {
            "model": None if self.model is None else dict(self.model),
            "training": dict(self.training),
            "corpus": corpus,
            "seed": self.seed,
            "files": dict(self.files) or None,
            "provenance": None if self.provenance is None else dict(self.provenance),
        }
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = MANIFEST) -> "RunManifest":
        """Read a manifest from JSON data.

        Args:
            data: the contents of ``run.json``; of all versions, and incomplete ones.
            where: the file, for error messages.

        Raises:
            RunError: if the hyperparameters are missing, or a part has another form than expected.
        """
        if "training" not in data:
            raise RunError(f"{where} is no manifest of a pre-training run: 'training' is missing")
        for name in ("training", "model", "corpus", "files", "provenance"):
            if not isinstance(data.get(name) or {}, Mapping):
                raise RunError(f"{where}: {name!r} must be an object, not {data[name]!r}")
        corpus = data.get("corpus")
        missing = [f"corpus.{name}" for name in ("name", "key") if corpus is not None and name not in corpus]
        if missing:
            raise RunError(f"{where}: {', '.join(missing)} is missing")
        return cls(
            training=data["training"],
            model=data.get("model"),
            corpus=None if corpus is None else CorpusId(corpus["name"], corpus["key"]),
            seed=data.get("seed"),
            files=data.get("files") or {},
            provenance=data.get("provenance"),
        )

    @classmethod
    def read(cls, folder: Path) -> "RunManifest":
        """Read the manifest of a run's folder.

        Raises:
            FileNotFoundError: if there is none.
            RunError: if it is damaged.
        """
        path = folder / MANIFEST
        return cls.from_dict(read_object(path), str(path))

    def write(self, folder: Path) -> None:
        """Write ``run.json`` atomically."""
        write_json(folder / MANIFEST, self.to_dict())


@dataclass(frozen=True)
class Run:
    """All that the outcome of a pre-training run depends on."""

    model: AudioTransformerConfig
    training: PretrainingConfig
    corpus: Corpus
    seed: int = 0

    def manifest(self) -> RunManifest:
        """Return the run's manifest, without provenance; files that the attention starts from enter by their digest.

        Raises:
            ValueError: if such a file does not exist.
        """
        return RunManifest(
            model=self.model.to_dict(),
            training=self.training.hyperparameters(),
            corpus=CorpusId(self.corpus.info["name"], self.corpus.key),
            seed=self.seed,
            files=attention.digests(self.model.attention, self.model.attention_options),
        )

    def examples(self) -> MaskedExamples:
        """Return the dataset of masked examples.

        Raises:
            CorpusError: if stored features are asked for and the corpus has none.
        """
        features = self.model.features
        return MaskedExamples(
            features,
            self.training,
            max_length=self.model.max_length,
            seed=derive_seed(self.seed, "data"),
            stored=stored_features(self.corpus, features) if self.training.stored_features else None,
        )

    def held_out(self, draws: int) -> list[tuple[str, int, list]]:
        """Return the indices of the held-out batches in `MaskedExamples`, the same at every call.

        Args:
            draws: masks drawn for each utterance.
        """
        return self._held_out_batches(self._held_out_cuts(), draws)

    def validation(self) -> list[tuple[str, int, list]]:
        """Return the indices of the held-out batches that are measured during training, the same at every call.

        They are utterances of all durations, as many as `PretrainingConfig.validation_utterances` allows.
        """
        cuts, most = self._held_out_cuts(), self.training.validation_utterances
        if len(cuts) > most:
            cuts = [cuts[(2 * i + 1) * len(cuts) // (2 * most)] for i in range(most)]
        return self._held_out_batches(cuts, 1)

    def _held_out_cuts(self) -> list:
        return sorted(self.corpus.cuts("dev"), key=lambda cut: (cut.duration, cut.id))

    def _held_out_batches(self, cuts: list, draws: int) -> list[tuple[str, int, list]]:
        size = self.training.batch_size
        return [(HELD_OUT, draw, cuts[i : i + size]) for draw in range(draws) for i in range(0, len(cuts), size)]

    def fresh_model(self) -> MaskedAcousticModel:
        """Return the model as initialised by the run's seed; the global random state is left unchanged."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "model"))
            return MaskedAcousticModel(self.model, target_size(self.training, self.model.features))


def claim(folder: Path, parts: Mapping[str, Any]) -> None:
    """Write ``run.json`` into a new folder, or check that the folder holds this very run.

    Args:
        folder: folder of the run.
        parts: all that the run's outcome depends on, as JSON data; provenance is added.

    Raises:
        RunError: if the folder holds another run.
    """
    path = folder / MANIFEST
    if not path.exists():
        if is_first_process():
            write_json(path, {**parts, "provenance": provenance()})
        return
    known = read_object(path)
    names = parts.keys() | known.keys() - {"provenance"}
    differing = sorted(name for name in names if known.get(name) != json.loads(json.dumps(parts.get(name))))
    if differing:
        raise RunError(
            f"{folder} holds a run with another {' and another '.join(differing)} ({path}); choose another folder, "
            "or remove this one to start anew"
        )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a run.

    Raises:
        FileNotFoundError: if there is no such file.
        RunError: if it holds anything else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): remove the folder and start the run again") from None
    if not isinstance(data, dict):
        raise RunError(f"{path} must hold a JSON object, not {type(data).__name__}")
    return data
