"""Accuracy of a file against its model, by the paired test."""

from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("jiwer")

from graph_runners import graph_runner
from hugging_face_models import write_whisper
from inattention.corpora.errors import CorpusError
from inattention.encoders.ours import EncoderSource
from inattention.export.checks.accuracy import WordTest, accuracy_test
from inattention.export.checks.exported import ExportedSource
from inattention.export.config import ExportError
from inattention.export.subject import OurSubject, Subject, open_subject
from small_models import small_model
from speech import make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, {"train": 6, "dev": 4, "test": 4}, phones=3)
    return folder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def file_of(subject: Subject, noise: float = 0.0) -> ExportedSource:
    last = subject.source.layers
    return ExportedSource(graph_runner(subject, [last], noise), subject, [last])


def test_probes_of_a_file_that_computes_the_same_have_the_same_accuracy(corpus: Path) -> None:
    subject = OurSubject(EncoderSource(small_model(attention="none", layers=1), "small"))
    test = accuracy_test("small", subject, corpus, [1], 4, progress=False)
    found = test.compare(file_of(subject)).to_dict()
    assert [it["task"] for it in found["probes"]] == ["speaker-utterance", "phone-1-hidden"]
    for probe in found["probes"]:
        assert probe["file"]["accuracy"] == pytest.approx(probe["model"]["accuracy"], abs=0.02)
        estimate, low, high = probe["difference"]
        assert low <= estimate <= high
        assert probe["utterances"] == 4


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_word_errors_of_a_file_are_paired_with_the_model_s(corpus: Path, whisper: Path, noise: float) -> None:
    subject = open_subject(str(whisper))
    test = accuracy_test(str(whisper), subject, corpus, [2], 3, progress=False)
    accuracy = test.compare(file_of(subject, noise))
    words = accuracy.to_dict()["words"]
    assert (words["utterances"], words["transcribed"], words["length"]) == (3, 3, "30")
    if noise:
        assert words["words_changed"] > 0
    else:
        assert words["words_changed"] == 0
        estimate, low, high = words["difference"]
        assert low <= estimate == 0 <= high
        assert words["word_error_rate"]["file"] == words["word_error_rate"]["model"]
    assert "word error rate: " in accuracy.summary()


def test_the_number_of_lines_is_bounded(corpus: Path, whisper: Path) -> None:
    subject = open_subject(str(whisper))
    for lines, count in ((2, 2), (0, 4), (100, 4)):
        test = accuracy_test(str(whisper), subject, corpus, [2], lines)
        assert isinstance(test, WordTest)
        assert len(test.utterances) == count


def test_what_cannot_be_compared_is_refused_before_work(corpus: Path, whisper: Path, tmp_path: Path) -> None:
    subject = open_subject(str(whisper))
    with pytest.raises(CorpusError, match="no prepared corpus"):
        accuracy_test(str(whisper), subject, tmp_path, [2], 0)
    with pytest.raises(ExportError, match="add -1 to --layers"):
        accuracy_test(str(whisper), subject, corpus, [1], 0)
