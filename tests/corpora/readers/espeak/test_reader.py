import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from inattention.corpora.core.corpus import SPLITS
from inattention.corpora.core.phones import ENGLISH_PHONES, SILENCE
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.espeak import reader as espeak
from inattention.corpora.readers.espeak.reader import EspeakConfig, prepare
from inattention.corpora.readers.espeak.voices import VOICES
from inattention.corpora.workers.pool import Worker

pytestmark = pytest.mark.slow

SMALL = EspeakConfig(hours=0.01, voices=4, seed=5)
NOISE = 10 ** (SMALL.noise_dbfs / 20)


def all_cuts(corpus):
    return [cut for split in SPLITS for cut in corpus.cuts(split)]


def phones(cut):
    return cut.supervisions[0].alignment["phone"]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def loudness(samples, width):
    """Root mean square of consecutive frames of `width` samples."""
    return np.sqrt((samples[: len(samples) // width * width].reshape(-1, width) ** 2).mean(1))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return prepare(SMALL, tmp_path_factory.mktemp("small") / "one", workers=1, progress=False)


def test_the_same_config_gives_the_same_bytes_in_any_folder_with_any_number_of_workers(small, tmp_path):
    again = prepare(SMALL, tmp_path / "two" / "deep", workers=3, progress=False)
    assert contents(again.folder) == contents(small.folder)


def test_a_run_that_was_interrupted_ends_with_the_same_bytes(small, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(espeak, "_add_voice", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(SMALL, tmp_path / "one", workers=1, progress=False)
    asked = []
    ask = Worker.ask
    monkeypatch.setattr(Worker, "ask", lambda self, job, *rest: asked.append(job["id"]) or ask(self, job, *rest))
    again = prepare(SMALL, tmp_path / "one", workers=1, progress=False)
    assert 0 < len(asked) < SMALL.voices
    assert contents(again.folder) == contents(small.folder)


def test_another_seed_gives_other_sentences(small, corpus):
    assert not {cut.supervisions[0].text for cut in all_cuts(small)} & {
        cut.supervisions[0].text for cut in all_cuts(corpus)
    }


def test_no_sentence_and_no_id_occurs_twice(corpus):
    cuts = all_cuts(corpus)
    assert len({cut.supervisions[0].text for cut in cuts}) == len({cut.id for cut in cuts}) == len(cuts)


def test_ids_are_fit_for_file_names_and_name_the_speaker(corpus):
    for cut in all_cuts(corpus):
        assert re.fullmatch(r"espeak-[a-z0-9_-]+-\d{5}", cut.id)
        assert cut.id.rpartition("-")[0] == f"espeak-{cut.supervisions[0].speaker}"


def test_every_voice_is_in_every_split(corpus):
    for split in SPLITS:
        assert {cut.supervisions[0].speaker for cut in corpus.cuts(split)} == set(corpus.speakers)
        assert corpus.info["splits"][split]["speakers"] == 8


def test_hours_and_fractions_are_met(corpus):
    hours = {split: corpus.info["splits"][split]["hours"] for split in SPLITS}
    assert sum(hours.values()) == pytest.approx(0.1, rel=0.05)
    assert hours["train"] / sum(hours.values()) == pytest.approx(0.8, abs=0.07)
    seconds = sum(cut.duration for cut in corpus.cuts("train"))
    assert hours["train"] == pytest.approx(seconds / 3600, abs=1e-6)


def test_utterances_last_two_to_six_seconds(corpus):
    durations = [cut.duration for cut in all_cuts(corpus)]
    assert min(durations) > 2
    assert max(durations) < 6


def test_phones_follow_one_another_over_the_whole_utterance(corpus):
    for cut in all_cuts(corpus):
        items = phones(cut)
        assert items[0].start == 0
        assert items[-1].end == pytest.approx(cut.duration, abs=1e-7)
        assert all(after.start == before.end for before, after in pairwise(items))
        assert all(item.duration > 0 for item in items)
        assert items[0].symbol == items[-1].symbol == SILENCE


def test_all_phones_occur_in_many_neighbourhoods(corpus):
    sequences = [[item.symbol for item in phones(cut)] for cut in all_cuts(corpus)]
    counts = Counter(phone for sequence in sequences for phone in sequence)
    assert set(counts) == set(ENGLISH_PHONES) == set(corpus.phones)
    assert min(counts.values()) >= 10
    diphones = {pair for sequence in sequences for pair in pairwise(sequence)}
    assert len(diphones) > 700  # of at most 1600, in six minutes


def test_files_are_16_bit_flac_of_the_length_told(corpus):
    for cut in all_cuts(corpus)[::7]:
        told = soundfile.info(cut.recording.sources[0].source)
        assert (told.format, told.subtype, told.channels, told.samplerate) == ("FLAC", "PCM_16", 1, 16000)
        assert told.frames == cut.num_samples


def test_pauses_hold_faint_noise_and_are_far_below_speech(corpus):
    for cut in all_cuts(corpus):
        samples = cut.load_audio()[0]
        before = samples[: int(phones(cut)[0].end * 16000) - 40]  # a resampler's filter reaches over the edge
        assert loudness(before, len(before))[0] == pytest.approx(NOISE, rel=0.15)
        assert loudness(samples, len(samples))[0] > 20 * NOISE


def test_sound_sets_in_within_25_ms_of_the_phone_after_a_pause(corpus):
    width = 80  # 5 ms
    found = Counter()
    for cut in all_cuts(corpus):
        samples = cut.load_audio()[0]
        for pause, phone in pairwise(phones(cut)):
            if pause.symbol != SILENCE or pause.duration < 0.06:
                continue
            start = round((pause.end - 0.05) * 16000)
            onset = np.argmax(loudness(samples[start : start + 2400], width) > 5 * NOISE) * width / 16000 - 0.05
            assert -0.01 <= onset <= 0.025, (cut.id, phone)
            found[phone.symbol] += 1
    assert {"p", "t", "k", "b", "ae", "ih"} & set(found)
    assert found.total() > 150


def test_a_vowel_after_a_voiceless_stop_is_louder_than_the_closure(corpus):
    ratios = []
    for cut in all_cuts(corpus):
        samples = cut.load_audio()[0]
        for stop, vowel in zip(phones(cut)[1:], phones(cut)[2:], strict=False):
            if stop.symbol in {"p", "t", "k"} and vowel.symbol in {"aa", "ae", "ay", "ey", "ow"}:
                closure = samples[round(stop.start * 16000) :][:160]
                sounding = samples[round((vowel.start + vowel.duration / 2) * 16000) :][:160]
                ratios.append(loudness(sounding, 160)[0] / loudness(closure, 160)[0])
    assert len(ratios) > 20
    assert np.median(ratios) > 20


def test_bad_sentences_are_left_out_counted_and_explained(tmp_path, monkeypatch):
    good = espeak.sentences

    def some_bad(seed):
        for number, sentence in enumerate(good(seed)):
            yield {0: "Привет, мой друг.", 5: ""}.get(number, sentence)

    monkeypatch.setattr(espeak, "sentences", some_bad)
    corpus = prepare(SMALL, tmp_path / "bad", workers=1, progress=False)
    reasons = dict(corpus.info["bad_items"]["items"])
    assert corpus.info["bad_items"]["count"] == len(reasons) == 2
    assert re.search("phoneme '.*' has no place .*Привет", reasons["espeak-plain_en-us-00000"])
    assert "said nothing" in reasons["espeak-reed_en-us-00001"]
    assert not set(reasons) & {cut.id for cut in all_cuts(corpus)}


def test_a_voice_that_says_nothing_right_is_left_out(tmp_path, monkeypatch):
    good = espeak.sentences
    monkeypatch.setattr(espeak, "sentences", lambda seed: ("" if n % 4 == 2 else s for n, s in enumerate(good(seed))))
    corpus = prepare(SMALL, tmp_path / "mute", workers=1, progress=False)
    assert corpus.speakers == ("lee_en-us", "plain_en-us", "reed_en-us")
    assert ["zac_en-us", "only 0 of its utterances came out, too few for three splits: skipped"] in corpus.info[
        "bad_items"
    ]["items"]


def test_a_worker_that_dies_is_an_error_and_not_a_hang(tmp_path, monkeypatch):
    start = Worker._start

    def start_and_kill(self):
        process = start(self)
        process.kill()
        return process

    monkeypatch.setattr(Worker, "_start", start_and_kill)
    with pytest.raises(CorpusError, match=r"the worker process of .* died"):
        prepare(SMALL, tmp_path / "dead", workers=2, progress=False)
    assert not (tmp_path / "dead").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hours": 0.0}, "hours must be above 0, not 0.0"),
        ({"hours": -1.0}, "hours must be above 0"),
        ({"hours": float("nan")}, "hours must be above 0"),
        ({"voices": 1000}, f"there are {len(VOICES)} voices"),
        ({"voices": 0}, f"voices must be 1 to {len(VOICES)}, not 0"),
        ({"hours": 0.01, "voices": 40}, "ask for at least 0.1 hours or at most 4 voices"),
        ({"hours": 1e-6, "voices": 1}, "ask for at least 0.0025 hours$"),
        ({"train": 1.0, "dev": 0.0, "test": 0.0}, "above 0 and sum to 1"),
        ({"train": 0.9}, "above 0 and sum to 1"),
        ({"sampling_rate": 1}, "sampling_rate"),
        ({"words_per_minute": 1000.0}, "words_per_minute"),
        ({"pitch_spread": 90}, "pitch_spread"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(CorpusError, match=message):
        EspeakConfig(**options)


def test_no_workers_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="workers must be at least 1"):
        prepare(SMALL, tmp_path / "none", workers=0)
