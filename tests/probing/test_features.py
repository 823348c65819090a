"""Features of a split: those of each utterance alone, and bad recordings skipped with reasons."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import AudioSource, Recording

from inattention import AudioTransformer, AudioTransformerConfig
from inattention.audio.config import FeatureConfig
from inattention.audio.frames import features as features_of
from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import FeatureSource
from inattention.encoders.mel import MelSource
from inattention.encoders.ours import EncoderSource
from inattention.probing import features as features_module
from inattention.probing.features import ProbeError, SplitFeatures, extract, utterance_means
from inattention.probing.probes import UtteranceProbe
from toy_corpus import RATE, SMALL, Utterance, speech


def run(source: FeatureSource, corpus: Corpus, folder: Path, split: str = "train", **options: bool) -> SplitFeatures:
    return extract(source, corpus.cuts(split), split=split, folder=folder, progress=False, **options)


def encoder() -> EncoderSource:
    torch.manual_seed(0)
    config = AudioTransformerConfig(
        attention="qk", width=12, heads=2, layers=2, feed_forward=16, max_length=16, features=SMALL
    )
    return EncoderSource(AudioTransformer(config), "tiny", batch_size=4)


def test_every_utterance_has_the_features_that_it_has_alone(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "POOL_SECONDS", 3.0)  # several pools of several utterances
    source = encoder()
    split = run(source, corpus, tmp_path)
    cuts = list(corpus.cuts("train"))
    assert split.ids == tuple(cut.id for cut in cuts)
    for u, cut in enumerate(cuts):
        (alone,) = source.features([cut_waveform(cut, RATE)])
        assert torch.allclose(split.values[split.offsets[u] : split.offsets[u + 1], 0], alone, atol=1e-5)


def test_all_layers_end_with_the_last_and_begin_with_the_embedded_input(corpus: Corpus, tmp_path: Path) -> None:
    source = encoder()
    (tmp_path / "all").mkdir()
    last, every = run(source, corpus, tmp_path), run(source, corpus, tmp_path / "all", layer="weighted")
    assert every.values.shape[1:] == (3, 12)
    assert torch.equal(every.values[:, -1:], last.values)
    assert not torch.allclose(every.values[:, 0], every.values[:, 1], atol=1e-2)


def test_mel_features_are_the_input_features_with_and_without_cmvn(corpus: Corpus, tmp_path: Path) -> None:
    waveform = cut_waveform(next(iter(corpus.cuts("train"))), RATE)
    for normalise, name in ((True, "mel"), (False, "mel-no-cmvn")):
        source = MelSource(FeatureConfig(normalise=normalise))
        (steps,) = source.features([waveform])
        assert source.name == name
        assert torch.equal(steps, features_of(waveform, FeatureConfig(normalise=normalise)))
        assert (steps.mean(0).abs().max() < 0.5) == normalise


def test_the_mean_is_over_an_utterances_own_frames(corpus: Corpus, mel: MelSource, tmp_path: Path) -> None:
    split = run(mel, corpus, tmp_path)
    probe = UtteranceProbe(layers=1, width=mel.width, classes=3)
    pieces = [split.values[a:b] for a, b in zip(split.offsets[:-1], split.offsets[1:], strict=True)]
    padded = torch.full((len(pieces), 40, 1, mel.width), float("nan"))
    valid = torch.zeros(len(pieces), 40, dtype=torch.bool)
    for u, piece in enumerate(pieces):
        padded[u, : len(piece)], valid[u, : len(piece)] = piece, True
    assert torch.allclose(probe(utterance_means(split)), probe(padded, valid), atol=1e-4)


def spoil_files(made: dict[str, Utterance]) -> None:
    made["train-ann-0"].samples = made["train-ann-0"].samples[:0]
    made["train-ann-1"].samples = np.full_like(made["train-ann-1"].samples, np.nan)
    made["train-bob-0"].rate = 8000
    made["train-bob-1"].samples = made["train-bob-1"].samples[:5000]


def test_bad_files_are_skipped_with_reasons_and_end_nothing(
    spoiled: Callable[..., Corpus], mel: MelSource, tmp_path: Path
) -> None:
    corpus = spoiled(spoil_files)
    (corpus.folder / "audio/train-cy-0.wav").write_bytes(b"no audio at all")
    split = run(mel, corpus, tmp_path)
    assert split.ids == ("train-cy-1",)
    reasons = {skip.utterance: skip.reason for skip in split.skipped}
    assert list(reasons) == ["train-ann-0", "train-ann-1", "train-bob-0", "train-bob-1", "train-cy-0"]
    for name, words in {
        "train-ann-0": "holds no samples",
        "train-ann-1": "NaN",
        "train-bob-0": "has 8000 Hz, its manifest says 16000 Hz",
        "train-bob-1": "the audio lasts 0.312 s, its cut 0.900 s",
        "train-cy-0": "cannot be read",
    }.items():
        assert words in reasons[name]
    (corpus.folder / "audio/train-cy-1.wav").unlink()
    assert "there is no file" in run(mel, corpus, tmp_path).skipped[-1].reason


def test_stereo_is_read_as_one_channel_and_another_rate_than_the_manifests_is_refused(
    spoiled: Callable[..., Corpus], mel: MelSource, tmp_path: Path
) -> None:
    def spoil(made: dict[str, Utterance]) -> None:
        stereo, slow = made["train-ann-0"], made["train-ann-1"]
        stereo.samples = np.stack([stereo.samples, stereo.samples], axis=1)
        slow.samples, slow.rate = slow.samples[::2], RATE // 2

    corpus = spoiled(spoil)
    split = run(mel, corpus, tmp_path)
    assert [skip.utterance for skip in split.skipped] == ["train-ann-1"]
    assert "has 8000 Hz, its manifest says 16000 Hz" in split.skipped[0].reason
    whole = speech(0, next(iter(corpus.cuts("train"))).supervisions[0].alignment["phone"], 0)
    (mono,) = mel.features([torch.from_numpy(whole)])
    assert torch.allclose(split.values[: split.offsets[1], 0], mono, atol=1e-4)


def test_part_of_a_recording_is_read_and_not_the_whole(corpus: Corpus, mel: MelSource, tmp_path: Path) -> None:
    cut = next(iter(corpus.cuts("train")))
    part = cut.truncate(offset=0.3, duration=0.4)
    whole = cut_waveform(cut, RATE)
    assert torch.allclose(cut_waveform(part, RATE), whole[round(0.3 * RATE) : round(0.7 * RATE)], atol=1e-4)
    short = cut.truncate(offset=0.3, duration=0.01)
    split = extract(mel, [short, cut, cut], split="train", folder=tmp_path, progress=False)
    assert split.ids == (cut.id,)
    assert "too short" in split.skipped[-1].reason or "too short" in split.skipped[0].reason
    assert "the same id" in split.skipped[0].reason + split.skipped[1].reason


def test_unreadable_part_of_a_recording_is_skipped(tmp_path: Path, mel: MelSource) -> None:
    recording = Recording("r", [AudioSource("file", [0], str(tmp_path / "none.wav"))], RATE, RATE, 1.0)
    cut = recording.to_cut().truncate(offset=0.1, duration=0.5)
    split = extract(mel, [cut], split="train", folder=tmp_path, progress=False)
    assert len(split.ids) == 0
    assert split.values.shape == (0, 1, mel.width)
    assert "there is no file" in split.skipped[0].reason
    assert "\n" not in split.skipped[0].reason


def test_features_that_are_not_finite_are_skipped(corpus: Corpus, tmp_path: Path) -> None:
    source = encoder()
    with torch.no_grad():
        next(source.model.parameters()).fill_(float("nan"))
    split = run(source, corpus, tmp_path)
    assert len(split.ids) == 0
    assert "tiny gives features with NaN" in split.skipped[0].reason


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_reported_in_one_line(corpus: Corpus, mel: MelSource, tmp_path: Path) -> None:
    (tmp_path / "train.float32").symlink_to("/dev/full")
    with pytest.raises(ProbeError, match=r"cannot be stored in .*No space left on device.*TMPDIR"):
        run(mel, corpus, tmp_path)
