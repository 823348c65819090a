"""The recipe that compares the gradients of both parts of Whisper's loss."""

import runpy
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from inattention.cli.convert import open_speech
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.convert import convert_trained
from inattention.conversion.trained.setup import task_of
from inattention.conversion.trained.speech import Examples, corpus_utterances
from inattention.encoders.converted import from_pretrained
from inattention.encoders.trained import load_trained
from speech import make_corpus

RECIPE = Path(__file__).parents[3] / "recipes" / "whisper" / "gradients.py"


def test_norms_are_those_of_the_gradients_of_either_part(
    whisper_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    settings = TrainedConversionConfig(
        to="toeplitz@table", minutes=0, held_out=1, start_windows=1, head_report=False, examples=1
    )
    convert_trained(str(whisper_folder), open_speech(recordings, None), tmp_path / "made", settings, progress=False)
    corpus = make_corpus(tmp_path / "tones", {"train": 4, "dev": 2, "test": 2})
    measure = runpy.run_path(str(RECIPE))["measure"]
    (found,) = measure(str(whisper_folder), str(tmp_path / "made"), corpus.folder, 1)
    # Independently: the whole loss with a large weight of the tokens is their part alone.
    teacher, student = load_trained(str(whisper_folder)), from_pretrained(str(tmp_path / "made"))
    example = Examples(corpus_utterances(corpus, "train"), 0, "own")[0]
    large = 1e4
    task = task_of(teacher, TrainedConversionConfig(token_weight=large))
    outputs = task.teacher_outputs(example)
    for decoder, scale, part in ((False, 1.0, "hidden"), (True, large, "tokens")):
        student.zero_grad()
        task.loss(student, example, outputs, decoder=decoder).total.backward()
        gradients = [it.grad.flatten() for it in task.parameters(student)["weights"] if it.grad is not None]
        assert found[f"{part}_gradient"] == pytest.approx(float(torch.cat(gradients).norm()) / scale, rel=0.02)
    assert found["hidden"] > 0
    assert found["tokens"] > 0
