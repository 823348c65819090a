"""Crops of equal length: chosen and placed by the seed and the cuts' ids, within the limits of the encoder."""

from pathlib import Path

import pytest
import torch

from inattention.corpora.core.corpus import Corpus
from inattention.encoders.crops import CropError, choose, common_length, crop_batches
from inattention.encoders.ours import EncoderSource
from small_models import small_model
from speech import make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", {"train": 1, "dev": 11, "test": 1})


@pytest.fixture(scope="module")
def source() -> EncoderSource:
    return EncoderSource(small_model(attention="qk"), "small")


def test_half_of_the_utterances_reach_the_common_length(source: EncoderSource, corpus: Corpus) -> None:
    steps = common_length(source, corpus.cuts("dev"))
    lengths = sorted(source.steps(round(cut.duration * 16_000)) for cut in corpus.cuts("dev"))
    assert steps == min(48, lengths[len(lengths) // 2])
    assert len(list(choose(source, corpus.cuts("dev"), steps, None, 0))) >= len(lengths) / 2


def test_no_utterances_have_no_common_length(source: EncoderSource) -> None:
    with pytest.raises(CropError, match="there are no utterances"):
        common_length(source, [])


def test_a_choice_depends_on_the_seed_and_not_on_the_order(source: EncoderSource, corpus: Corpus) -> None:
    cuts = list(corpus.cuts("dev"))

    def chosen(order: list, seed: int) -> list[str]:
        return [cut.id for cut in choose(source, order, 10, 5, seed)]

    assert chosen(cuts, 3) == chosen(cuts[::-1], 3)
    assert chosen(cuts, 3) != chosen(cuts, 4)


@pytest.mark.parametrize("steps", [1, 49])
def test_crops_beyond_the_limits_of_the_encoder_are_refused(steps: int, source: EncoderSource, corpus: Corpus) -> None:
    batches = crop_batches(source, corpus.cuts("dev"), crop_steps=steps, seed=0, skipped=[])
    with pytest.raises(CropError, match=f"small takes crops of at least 2 and at most 48 frames, not of {steps}"):
        next(batches)


def test_batches_are_the_same_crops_in_any_size(
    source: EncoderSource, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crops() -> list[torch.Tensor]:
        batches = crop_batches(source, corpus.cuts("dev"), crop_steps=20, seed=0, skipped=[])
        return [batch.inputs for batch in batches]

    whole = crops()
    monkeypatch.setattr("inattention.encoders.crops.BATCH_BYTES", 3 * 4 * 2 * 12 * 20**2)
    parts = crops()
    assert max(len(part) for part in parts) == 3
    assert torch.equal(torch.cat(whole), torch.cat(parts))


def test_unusable_utterances_are_skipped_with_the_reason(source: EncoderSource, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"train": 1, "dev": 3, "test": 1})
    cuts = list(corpus.cuts("dev"))
    Path(cuts[0].recording.sources[0].source).write_bytes(b"no audio")
    short = cuts[1].truncate(duration=0.3, preserve_id=True)
    skipped: list[tuple[str, str]] = []
    (batch,) = crop_batches(source, [cuts[0], short, cuts[2]], crop_steps=20, seed=0, skipped=skipped)
    assert batch.ids == (cuts[2].id,)
    assert [name for name, _ in skipped] == [cuts[0].id, cuts[1].id]
    assert "fewer than the 20 of a crop" in skipped[1][1]
