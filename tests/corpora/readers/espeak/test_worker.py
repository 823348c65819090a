"""The process that speaks: labels, repeatability, and sentences that cannot be spoken."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from inattention.corpora.core.phones import UnknownPhoneError
from inattention.corpora.espeak_library import Speech
from inattention.corpora.readers.espeak.jobs import SpeakJob, SpokenVoice
from inattention.corpora.readers.espeak.reader import EspeakConfig, speak_job
from inattention.corpora.readers.espeak.sentences import sentences
from inattention.corpora.readers.espeak.voices import VOICES
from inattention.corpora.readers.espeak.worker import label
from inattention.corpora.workers.pool import Failure, Worker

RATE = 22050
TEXT = "Two oysters."


def wave_of(*parts):
    """A tone of so many samples for each positive number, silence for each negative one."""
    tone = np.sin(np.arange(20_000) * 0.3)
    return np.concatenate([tone[:part] if part > 0 else np.zeros(-part) for part in parts])


def test_a_closure_belongs_to_the_stop_after_it():
    speech = Speech(b"", [("a", 0), ("p", 3000), ("_:", 4000)])
    segments = label(speech, wave_of(2000, -1000, 1000, -500), RATE)
    assert [(phone, end) for phone, _, end in segments[1:]] == [("ae", 2000), ("p", 4000), ("sil", 4500)]


def test_silence_before_another_consonant_stays_where_espeak_has_it():
    speech = Speech(b"", [("a", 0), ("s", 3000)])
    segments = label(speech, wave_of(2000, -1000, 1000), RATE)
    assert segments[1:] == [("ae", 0, 3000), ("s", 3000, 4000)]


def test_a_stop_after_a_pause_begins_with_its_burst():
    speech = Speech(b"", [("_:", 0), ("p", 3000), ("a", 3500)])
    segments = label(speech, wave_of(-3000, 1000), RATE)
    assert segments[1:] == [("sil", 0, 3000), ("p", 3000, 3500), ("ae", 3500, 4000)]


def test_a_stop_after_a_wholly_silent_phone_takes_nothing():
    speech = Speech(b"", [("a", 0), ("s", 1000), ("p", 2000), ("a", 2500)])
    segments = label(speech, wave_of(1000, -1000, 1000), RATE)
    assert segments[2:] == [("s", 1000, 2000), ("p", 2000, 2500), ("ae", 2500, 3000)]


def test_an_unknown_phoneme_is_an_error():
    with pytest.raises(UnknownPhoneError, match="'y:'"):
        label(Speech(b"", [("a", 0), ("y:", 500)]), wave_of(1000), RATE)


@pytest.fixture(scope="module")
def worker():
    worker = Worker("inattention.corpora.readers.espeak.worker")
    yield worker
    worker.kill()


def jobs(folder, voices, texts):
    config = EspeakConfig(hours=1.0, voices=1)
    return [speak_job(config, folder / voice.speaker, voice, texts) for voice in voices]


def ask(worker: Worker, job: SpeakJob) -> SpokenVoice:
    answer = worker.ask(job.to_json())
    assert not isinstance(answer, Failure), answer.reason
    return SpokenVoice.from_json(answer)


@pytest.mark.slow
def test_every_voice_speaks_and_is_repeatable(tmp_path):
    spoken = []
    for name, voices in (("one", VOICES), ("two", VOICES[::-1])):  # another order: what was said before must not matter
        worker = Worker("inattention.corpora.readers.espeak.worker")
        results = {job.id: ask(worker, job) for job in jobs(tmp_path / name, voices, [TEXT])}
        worker.kill()
        assert not [result.bad for result in results.values() if result.bad]
        audio = {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.flac")}
        spoken.append((results, audio))
    assert spoken[0] == spoken[1]
    assert len(set(spoken[0][1].values())) == len(VOICES)


def test_every_accent_stays_within_the_inventory(worker, tmp_path):
    texts = [sentence for sentence, _ in zip(sentences(11), range(12), strict=False)]
    accents = {voice.accent: voice for voice in VOICES}
    for job in jobs(tmp_path, accents.values(), texts):
        result = ask(worker, job)
        assert not result.bad
        assert len(result.utterances) == 12


def test_other_sampling_rates_keep_the_phones_in_place(worker, tmp_path):
    ends = []
    for rate in (16000, 22050):
        job = replace(jobs(tmp_path / str(rate), VOICES[:1], [TEXT])[0], sampling_rate=rate)
        (utterance,) = ask(worker, job).utterances
        assert soundfile.info(f"{job.audio}/{utterance.id}.flac").frames == utterance.samples
        ends.append([end / rate for _, _, end in utterance.phones])
    np.testing.assert_allclose(ends[0], ends[1], atol=2e-4)


def test_a_voice_that_does_not_exist_is_a_bad_item(worker, tmp_path):
    result = ask(worker, replace(jobs(tmp_path, VOICES[:1], [TEXT])[0], voice="xx-klingon"))
    assert "eSpeak has no voice 'xx-klingon'" in result.bad[0][1]


def test_an_unwritable_folder_is_one_clear_line(worker, tmp_path):
    (tmp_path / "file").touch()
    answer = worker.ask(jobs(tmp_path / "file", VOICES[:1], [TEXT])[0].to_json())
    assert isinstance(answer, Failure)
    assert "Not a directory" in answer.reason


def test_rate_and_pitch_vary_only_when_asked(worker, tmp_path):
    def spoken(name, **options):
        job = replace(jobs(tmp_path / name, VOICES[:1], [TEXT] * 4)[0], **options)
        return {tuple(end - first for _, first, end in u.phones[1:-1]) for u in ask(worker, job).utterances}

    steady = spoken("steady", rate_spread=0.0, pitch_spread=0)
    assert max(map(np.ptp, np.transpose(list(steady)))) <= 1  # to the rounding of a sample
    assert len(spoken("lively", rate_spread=0.2, pitch_spread=0)) == 4


@pytest.mark.parametrize("text", ["", "...", " "])
def test_silence_is_a_bad_item_and_no_utterance(worker, tmp_path, text):
    result = ask(worker, jobs(tmp_path, VOICES[:1], [text])[0])
    assert not result.utterances
    assert "said nothing" in result.bad[0][1]
