"""Phones are found where they are in speech, and texts that are not spoken are refused."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from inattention.audio.reader import cut_waveform, resample
from inattention.corpora.core.phones import ENGLISH_PHONES, SILENCE
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels import alignment
from inattention.corpora.labels.alignment import SAMPLING_RATE, align
from inattention.corpora.labels.alignment_jobs import Aligned, Refused

pytestmark = pytest.mark.slow

TONE = 0.1 * np.sin(np.arange(SAMPLING_RATE) / 5).astype(np.float32)


@pytest.fixture(scope="module")
def spoken(corpus):
    """Utterances of the plainest voice, at 11,025 Hz and back: waveform, text, and true phones."""
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed (extra `align`)")
    cuts = sorted(
        (cut for cut in corpus.cuts("train") if cut.supervisions[0].speaker == "plain_en-us"), key=lambda cut: cut.id
    )[:4]
    return [
        (
            resample(resample(cut_waveform(cut, SAMPLING_RATE), SAMPLING_RATE, 11_025), 11_025, SAMPLING_RATE).numpy(),
            cut.supervisions[0].text,
            cut.supervisions[0].alignment["phone"],
        )
        for cut in cuts
    ]


def test_phones_are_found_where_they_are(spoken):
    waveform, text, true = spoken[0]
    found = align(waveform, text)
    assert isinstance(found, Aligned)
    assert found.attempt == 1
    starts = np.array([item.start for item in true[1:]])
    distance = np.array([np.abs(starts - phone.start).min() for phone in found.phones[1:]])
    assert (distance <= 0.025).mean() >= 0.8
    same = sum(
        max(0.0, min(a.end, b.end) - max(a.start, b.start)) for a in true for b in found.phones if a.symbol == b.symbol
    )
    assert same / (len(waveform) / SAMPLING_RATE) > 0.6


def test_phones_fill_the_speech_without_gaps(spoken):
    for waveform, text, _ in spoken[:2]:
        phones = align(waveform, text).phones
        assert phones[0].start == 0
        assert phones[-1].end == len(waveform) / SAMPLING_RATE
        assert all(a.end == b.start and a.end > a.start for a, b in pairwise(phones))
        assert not any(a.symbol == b.symbol == SILENCE for a, b in pairwise(phones))
        assert {phone.symbol for phone in phones} <= set(ENGLISH_PHONES)


def test_speech_is_aligned_the_same_every_time_and_at_any_loudness(spoken):
    waveform, text, _ = spoken[0]
    first = align(waveform, text)
    align(spoken[1][0], spoken[1][1])
    assert align(waveform, text) == first
    assert isinstance(align(waveform / 50, text), Aligned)


def test_texts_of_other_utterances_are_refused(spoken):
    for (waveform, _, _), (_, text, _) in zip(spoken, spoken[1:] + spoken[:1], strict=True):
        assert isinstance(align(waveform, text), Refused)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no words"),
        ("<cough> ...", "no words"),
        ("There is nothing of all of this in a tone.", "not found|sound like|too long"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(spoken, text, reason):
    refused = align(TONE, text)
    assert isinstance(refused, Refused)
    assert any(part in refused.reason for part in reason.split("|"))


@pytest.mark.parametrize("waveform", [TONE[:1], TONE[:100], np.zeros(8000, np.float32)])
def test_speech_of_no_length_or_level_is_refused(spoken, waveform):
    assert isinstance(align(waveform, "Hello again."), Refused)


def test_words_that_no_dictionary_has_are_learned_once(spoken):
    waveform, text, _ = spoken[0]
    for _ in range(2):
        assert isinstance(align(waveform, f"Zquorlda {text} Zquorlda zquorlda"), Refused | Aligned)


def test_without_pocketsphinx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(CorpusError, match=r"pip install 'inattention\[align\]'"):
        alignment.Aligner()
