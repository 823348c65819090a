"""Capture: sums over a corpus in bounded memory, the same for any division of the corpus."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from inattention.analysis.capture import Captured, capture, capture_cuts, merge
from inattention.analysis.measures import CATEGORIES, measure
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import Crop, MapSource
from inattention.encoders.crops import CropError, crop_batches
from inattention.encoders.ours import EncoderSource
from small_models import small_model
from speech import make_corpus

STEPS = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", {"train": 4, "dev": 11, "test": 2})


@pytest.fixture(scope="module")
def source() -> EncoderSource:
    return EncoderSource(small_model(attention="qk"), "small")


@pytest.fixture(scope="module")
def captured(source: EncoderSource, corpus: Corpus) -> Captured:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inattention.encoders.crops.BATCH_BYTES", 3 * 4 * 2 * 12 * STEPS**2)  # three utterances
        return capture(source, corpus, utterances=None, crop_steps=STEPS, singles=5)


def all_maps(source: MapSource, corpus: Corpus) -> np.ndarray:
    """Return all maps of the split: (utterances, layers, heads, time, time)."""
    batches = crop_batches(source, corpus.cuts("dev"), crop_steps=STEPS, seed=0, skipped=[])
    return torch.cat([source.maps(batch.inputs) for batch in batches], dim=1).transpose(0, 1).double().numpy()


def test_mean_and_variance_are_those_of_all_maps_at_once(
    source: EncoderSource, corpus: Corpus, captured: Captured
) -> None:
    maps = all_maps(source, corpus)
    assert captured.count == len(maps) == 11
    np.testing.assert_allclose(captured.mean, maps.mean(0), atol=1e-7)
    np.testing.assert_allclose(captured.variance, maps.var(0, ddof=1), atol=1e-9, rtol=1e-4)
    assert captured.mean.shape == (2, 12, STEPS, STEPS)
    np.testing.assert_allclose(captured.mean.sum(-1), 1, atol=1e-6)


def test_merged_captures_of_two_halves_equal_the_capture_of_the_whole(
    source: EncoderSource, corpus: Corpus, captured: Captured
) -> None:
    cuts = list(corpus.cuts("dev"))
    halves = [capture_cuts(source, part, crop_steps=STEPS, singles=5) for part in (cuts[:4], cuts[4:])]
    for both in (merge(*halves), merge(*reversed(halves))):
        assert both.count == captured.count
        np.testing.assert_allclose(both.mean, captured.mean, atol=1e-7)
        np.testing.assert_allclose(both.squares, captured.squares, atol=1e-7)
        np.testing.assert_allclose(both.input_dependence, captured.input_dependence, atol=1e-6)
        np.testing.assert_array_equal(both.categories, captured.categories)
        assert [one.cut_id for one in both.singles] == [one.cut_id for one in captured.singles]
        for one, other in zip(both.singles, captured.singles, strict=True):
            np.testing.assert_allclose(one.maps, other.maps, atol=1e-3)
            np.testing.assert_array_equal(one.log_mel, other.log_mel)


def test_the_same_seed_gives_the_same_crops_and_another_seed_others(source: EncoderSource, corpus: Corpus) -> None:
    again = [capture(source, corpus, utterances=6, crop_steps=STEPS, singles=3, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(again[0].mean, again[1].mean)
    assert not np.array_equal(again[0].mean, again[2].mean)
    assert [again[0].count, len(again[0].singles)] == [6, 3]


def test_single_maps_are_those_of_their_crop(source: EncoderSource, captured: Captured, corpus: Corpus) -> None:
    single = captured.singles[0]
    (cut,) = [cut for cut in corpus.cuts("dev") if cut.id == single.cut_id]
    (batch,) = crop_batches(source, [cut], crop_steps=STEPS, seed=0, skipped=[])
    assert batch.crops[0].start_seconds == single.start_seconds
    np.testing.assert_allclose(single.maps, source.maps(batch.inputs)[:, 0].numpy(), atol=1e-3)
    assert single.log_mel.shape == (STEPS, 8)


def test_measures_and_categories_are_those_of_the_single_maps(
    source: EncoderSource, corpus: Corpus, captured: Captured
) -> None:
    found = measure(all_maps(source, corpus))
    for name, value in captured.measures.items():
        np.testing.assert_allclose(value, found[name].mean(0), atol=1e-5)
    assert captured.categories.shape == (2, 12, len(CATEGORIES))
    assert (captured.categories.sum(-1) == 11).all()


def test_query_key_maps_depend_on_the_input_and_fixed_maps_do_not(corpus: Corpus, captured: Captured) -> None:
    fixed = capture(small_model(attention="patterned"), corpus, utterances=None, crop_steps=STEPS)
    np.testing.assert_allclose(fixed.input_dependence, 0, atol=1e-9)
    assert captured.input_dependence.max() > 0.05


def test_unusable_utterances_are_skipped_and_named(source: EncoderSource, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"train": 1, "dev": 3, "test": 1})
    bad = next(iter(corpus.cuts("dev")))
    Path(bad.recording.sources[0].source).write_bytes(b"no audio")
    found = capture(source, corpus, crop_steps=STEPS)
    assert found.count == 2
    assert [name for name, _ in found.skipped] == [bad.id]
    assert bad.id in found.skipped[0][1]


def test_a_corpus_without_any_usable_utterance_is_refused(corpus: Corpus) -> None:
    long = EncoderSource(small_model(attention="qk", max_length=500), "long")
    with pytest.raises(CropError, match="no usable utterance is as long as a crop of 400 frames"):
        capture(long, corpus, crop_steps=400)


def test_captures_of_different_lengths_are_not_merged(
    source: EncoderSource, corpus: Corpus, captured: Captured
) -> None:
    other = capture(source, corpus, utterances=2, crop_steps=STEPS - 1, singles=5)
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(captured, other)


class Endless:
    """A source without a model, so that all memory is that of the capture."""

    name, layers, heads, sampling_rate, step_seconds = "endless", 4, 4, 16_000, 0.0375
    shortest, longest = 2, None

    def steps(self, samples: int) -> int:
        return samples // 600

    def starts(self, samples: int, steps: int) -> int:
        return 1

    def crop(self, waveform: torch.Tensor, start: int, steps: int) -> Crop:
        return Crop(waveform[:steps].abs() + 0.01, waveform[:steps, None], 0.0)

    def maps(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs / inputs.sum(-1, keepdim=True)
        return rows[None, :, None, None, :].expand(4, -1, 4, inputs.shape[-1], -1).clone()


def test_memory_does_not_grow_with_the_corpus(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inattention.encoders.crops.BATCH_BYTES", 2**20)
    cuts = list(corpus.cuts("dev"))[:4]

    def peak(times: int) -> int:
        tracemalloc.start()
        cut_ids = (cut.with_id(f"{cut.id}-{n}") for n in range(times) for cut in cuts)
        found = capture_cuts(Endless(), cut_ids, crop_steps=48, singles=4)
        assert found.count == times * len(cuts)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)  # what is imported at first use is no growth
    assert peak(12) < 1.3 * peak(2)  # with every map kept, it would be three times as much
