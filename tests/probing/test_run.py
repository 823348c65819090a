"""Probing a source on a corpus: what the report holds, and what is skipped, counted or refused."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from lhotse.supervision import AlignmentItem

from inattention import AudioTransformer, AudioTransformerConfig
from inattention.cli.probe import skipped_lines
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.mel import MelSource
from inattention.encoders.ours import EncoderSource
from inattention.probing.config import TASKS, ProbeConfig
from inattention.probing.features import ProbeError
from inattention.probing.results import ProbeReport
from inattention.probing.run import probe, probe_layers
from toy_corpus import PHONES, SECONDS, SMALL, SPEAKERS, Utterance, speech

QUICK = ProbeConfig(
    hidden_width=32, epochs=40, patience=5, learning_rate=0.01, step_batch_size=64, utterance_batch_size=4, device="cpu"
)


@pytest.fixture(scope="module")
def report(corpus: Corpus) -> ProbeReport:
    return probe(MelSource(SMALL), corpus, QUICK, progress=False)


def test_probes_find_speakers_and_phones_where_they_are_plain(report: ProbeReport) -> None:
    assert [result.task for result in report.tasks] == list(TASKS)
    assert report["speaker-utterance"].accuracy == 1
    assert report["speaker-frame"].accuracy > 0.95
    assert report["phone-1-hidden"].accuracy > 0.9
    assert report["phone-2-hidden"].accuracy > 0.9
    for result in report.tasks:
        assert result.chance < 0.6
        assert result.low <= result.accuracy <= result.high


def test_report_counts_what_was_learned_and_scored(report: ProbeReport) -> None:
    steps = 24  # 0.9 s make 73 log-mel frames
    assert report.utterances == {"train": 18, "dev": 9, "test": 9}
    assert report.steps == {"train": 18 * steps, "dev": 9 * steps, "test": 9 * steps}
    assert report["speaker-utterance"].items == {"train": 18, "dev": 9, "test": 9}
    assert report["speaker-frame"].items == report["phone-1-hidden"].items == report.steps
    assert report["phone-1-hidden"].utterances == report.utterances
    assert (report["speaker-frame"].classes, report["phone-1-hidden"].classes) == (3, len(PHONES))


def test_probes_learn_from_so_many_labelled_utterances(corpus: Corpus, mel: MelSource) -> None:
    few = probe(mel, corpus, replace(QUICK, tasks=("phone-1-hidden",), labelled_utterances=5), progress=False)
    assert few.utterances == {"train": 5, "dev": 9, "test": 9}
    assert few["phone-1-hidden"].utterances == few.utterances


def test_chance_is_that_of_the_most_frequent_class_in_train(
    spoiled: Callable[..., Corpus], mel: MelSource, report: ProbeReport
) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        for utterance in made.values():
            ah_ends = 0.19 if utterance.split == "test" else 0.7
            utterance.phones = [AlignmentItem("ah", 0.0, ah_ends), AlignmentItem("s", ah_ends, SECONDS - ah_ends)]

    # Most of train is "ah"; of test's 24 steps, centred from 12.5 ms on every 37.5 ms, only 5 are, up to 190 ms.
    result = probe(mel, spoiled(spoil), replace(QUICK, tasks=("phone-1-hidden",)), progress=False)["phone-1-hidden"]
    assert result.chance == pytest.approx(5 / 24)
    assert report["speaker-utterance"].chance == pytest.approx(1 / 3)


def test_report_is_plain_data(report: ProbeReport) -> None:
    data = json.loads(json.dumps(report.to_dict()))
    assert data["source"] == "mel-no-cmvn"
    assert data["skipped"]["test"] == {"count": 0, "named": []}
    assert [task["task"] for task in data["tasks"]] == list(TASKS)
    assert data["tasks"][0]["accuracy"] == 1.0
    assert data["tasks"][0]["layer_weights"] is None


def test_counts_of_test_utterances_add_up_to_the_accuracy(report: ProbeReport) -> None:
    for result in report.tasks:
        counts = result.counts
        assert counts is not None
        assert len(set(counts.utterances)) == len(counts.correct) == len(counts.items) == result.utterances["test"]
        assert sum(counts.items) == result.items["test"]
        assert sum(counts.correct) / sum(counts.items) == pytest.approx(result.accuracy)


def test_balanced_speakers_count_alike_in_the_counts(corpus: Corpus, mel: MelSource) -> None:
    settings = replace(QUICK, tasks=("speaker-frame",), balanced_speakers=True)
    result = probe(mel, corpus, settings, progress=False)["speaker-frame"]
    counts = result.counts
    assert counts is not None
    assert counts.classes is not None
    of_speaker = [np.array(counts.classes) == speaker for speaker in range(result.classes)]
    correct, items = np.array(counts.correct), np.array(counts.items)
    assert np.mean([correct[of].sum() / items[of].sum() for of in of_speaker]) == pytest.approx(result.accuracy)


def test_same_seed_gives_the_same_report(corpus: Corpus, report: ProbeReport) -> None:
    assert probe(MelSource(SMALL), corpus, QUICK, progress=False).to_dict() == report.to_dict()


def test_each_task_has_the_same_result_alone(corpus: Corpus, report: ProbeReport) -> None:
    config = replace(QUICK, tasks=("phone-1-hidden",))
    assert probe(MelSource(SMALL), corpus, config, progress=False).tasks == (report["phone-1-hidden"],)


def test_test_split_has_no_part_in_training(spoiled: Callable[..., Corpus], corpus: Corpus) -> None:
    def of(test: Corpus | None) -> ProbeReport:
        class Mixed(Corpus):
            def cuts(self, split: str):
                return (test if test and split == "test" else corpus).cuts(split)

        return probe(MelSource(SMALL), Mixed(corpus.folder, corpus.info), QUICK, progress=False)

    def other_speakers_voice(made: dict[str, Utterance]) -> None:
        for utterance in made.values():
            utterance.samples = speech((SPEAKERS.index(str(utterance.speaker)) + 1) % 3, utterance.phones, 9)

    usual, lying = of(None), of(spoiled(other_speakers_voice))
    for one, other in zip(usual.tasks, lying.tasks, strict=True):
        assert (one.dev_accuracy, one.best_epoch, one.epochs) == (other.dev_accuracy, other.best_epoch, other.epochs)
    assert usual["speaker-utterance"].accuracy == 1
    assert lying["speaker-utterance"].accuracy == 0


def test_utterance_in_two_splits_is_refused(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        made["test-ann-0"].id = "train-ann-0"

    with pytest.raises(ProbeError, match="train-ann-0 is in train and in test"):
        probe(mel, spoiled(spoil), QUICK, progress=False)


def test_bad_utterances_are_counted_where_they_fail(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        made["train-ann-0"].samples[100] = np.nan
        made["test-bob-0"].speaker = "eve"
        phones = made["dev-cy-0"].phones
        phones[0] = phones[0]._replace(symbol="q?")

    report = probe(mel, spoiled(spoil), QUICK, progress=False)
    assert [skip.utterance for skip in report.skipped["train"]] == ["train-ann-0"]
    assert report.skipped["dev"] == report.skipped["test"] == ()
    for task in ("speaker-utterance", "speaker-frame"):
        (skip,) = report[task].skipped["test"]
        assert (skip.utterance, skip.reason) == ("test-bob-0", "its speaker 'eve' is not in train")
        assert report[task].utterances == {"train": 5, "dev": 3, "test": 2}
    (skip,) = report["phone-2-hidden"].skipped["dev"]
    assert skip.utterance == "dev-cy-0"
    assert "'q?'" in skip.reason
    assert report["phone-2-hidden"].utterances == {"train": 5, "dev": 2, "test": 3}
    assert report.to_dict()["tasks"][3]["skipped"]["dev"]["count"] == 1


def test_utterances_without_any_label_are_not_read_but_counted(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        made["train-ann-0"].speaker, made["train-ann-0"].phones = None, []
        made["train-ann-0"].samples[:] = 0  # no audio that could be used, had it been read
        made["train-bob-0"].phones = []
        made["train-cy-0"].speaker = None

    report = probe(mel, spoiled(spoil), QUICK, progress=False)
    assert report.unlabelled == {"train": 1, "dev": 0, "test": 0}
    assert report.utterances["train"] == 5
    assert report.skipped["train"] == ()
    (speechless,) = report["phone-1-hidden"].skipped["train"]
    (nameless,) = report["speaker-utterance"].skipped["train"]
    assert (speechless.utterance, nameless.utterance) == ("train-bob-0", "train-cy-0")
    assert any("neither a speaker nor phones, not read: 1" in line for line in skipped_lines(report))


def test_nothing_to_score_is_an_error_that_says_why(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        for utterance in made.values():
            if utterance.split == "test":
                utterance.speaker = f"new-{utterance.speaker}"

    corpus = spoiled(spoil)
    with pytest.raises(ProbeError, match=r"speaker-utterance: no utterance of test .* its speaker 'new-ann' is not in"):
        probe(mel, corpus, QUICK, progress=False)
    (corpus.folder / "audio/dev-ann-0.wav").unlink()
    (corpus.folder / "audio/dev-bob-0.wav").unlink()
    (corpus.folder / "audio/dev-cy-0.wav").unlink()
    with pytest.raises(ProbeError, match=r"no utterance of dev can be used; the first of 3: dev-ann-0: .*is no file"):
        probe(mel, corpus, QUICK, progress=False)


def test_phone_tasks_need_phones(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    corpus = spoiled(lambda made: None, phones=())
    with pytest.raises(ProbeError, match="has no phone labels"):
        probe(mel, corpus, QUICK, progress=False)
    config = replace(QUICK, tasks=("speaker-frame",))
    assert probe(mel, corpus, config, progress=False)["speaker-frame"].classes == 3


def test_weighted_layers_of_an_encoder_are_reported(corpus: Corpus) -> None:
    torch.manual_seed(0)
    config = AudioTransformerConfig(
        attention="none", width=16, heads=2, layers=2, feed_forward=16, max_length=32, features=SMALL
    )
    settings = ProbeConfig(tasks=("phone-1-hidden",), layer="weighted", epochs=3, hidden_width=16)
    result = probe(EncoderSource(AudioTransformer(config), "e"), corpus, settings, progress=False)["phone-1-hidden"]
    assert result.layer_weights is not None
    assert len(result.layer_weights) == 3
    assert sum(result.layer_weights) == pytest.approx(1)


def test_repeated_labels_score_every_frame(corpus: Corpus, mel: MelSource) -> None:
    settings = ProbeConfig(tasks=("phone-1-hidden",), labels="repeated", epochs=2, hidden_width=16)
    report = probe(mel, corpus, settings, progress=False)
    assert report["phone-1-hidden"].items == {split: 3 * steps for split, steps in report.steps.items()}


def test_balanced_speakers_change_speakers_alone_and_their_chance_is_one_in_so_many(
    corpus: Corpus, report: ProbeReport
) -> None:
    balanced = probe(MelSource(SMALL), corpus, replace(QUICK, balanced_speakers=True), progress=False)
    assert balanced["speaker-frame"].chance == balanced["speaker-utterance"].chance == pytest.approx(1 / 3)
    assert balanced["speaker-utterance"].accuracy == 1
    assert balanced["phone-1-hidden"] == report["phone-1-hidden"]


def test_few_labelled_utterances_are_those_with_all_labels(spoiled: Callable[..., Corpus], mel: MelSource) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        for name in sorted(made)[::2]:
            made[name] = replace(made[name], speaker=None)

    corpus = spoiled(spoil)  # 6 in train, of which 3 have both
    few = replace(QUICK, tasks=("speaker-utterance", "phone-1-hidden"), labelled_utterances=4)
    found = probe(mel, corpus, few, progress=False)
    assert found["speaker-utterance"].utterances["train"] == found["phone-1-hidden"].utterances["train"] == 3
    alone = probe(mel, corpus, replace(few, tasks=("phone-1-hidden",)), progress=False)
    assert alone["phone-1-hidden"].utterances["train"] == 4


def test_each_hidden_state_is_probed_as_it_is_alone(corpus: Corpus, mel: MelSource) -> None:
    config = replace(QUICK, tasks=("speaker-utterance",))
    (only,) = probe_layers(mel, corpus, config, progress=False)
    assert only["speaker-utterance"] == probe(mel, corpus, config, progress=False)["speaker-utterance"]
    model = AudioTransformerConfig(
        attention="none", width=16, heads=2, layers=2, feed_forward=16, max_length=32, features=SMALL
    )
    encoder = AudioTransformer(model)
    reports = probe_layers(EncoderSource(encoder), corpus, config, utterances=4, progress=False)
    assert [report.layer for report in reports] == ["0", "1", "2"]
    assert reports[0].utterances == {"train": 4, "dev": 4, "test": 4}
