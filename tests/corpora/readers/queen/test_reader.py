"""The game's lines become a corpus; whatever is wrong with one line costs that line."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import soundfile

from inattention.audio.reader import cut_waveform, resample
from inattention.corpora.checks.description import describe
from inattention.corpora.core.corpus import SPLITS
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.queen.reader import QueenConfig, prepare
from inattention.corpora.workers.pool import Worker

from . import queen_archive as made

pytestmark = pytest.mark.slow

NUMBERS = range(0x20, 0x28)  # of the lines that Joe and Bob say


def all_cuts(corpus):
    return {cut.id: (split, cut) for split in SPLITS for cut in corpus.cuts(split)}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def archive(corpus, tmp_path_factory):
    """An archive of made-up speech: 8 lines of Joe and of Bob each, one of a dog, and what else there may be."""
    cuts = sorted((cut for cut in corpus.cuts("train") if "plain" in cut.id), key=lambda cut: cut.duration)[:9]

    def sound(cut):
        return made.recording(resample(cut_waveform(cut, made.RATE), made.RATE, made.RATE).numpy())

    texts = [cut.supervisions[0].text for cut in cuts]
    joe = [(number, f"*FR{text}*02") for number, text in zip(NUMBERS, texts, strict=False)]
    joe[1] = (joe[1][0], "Nothing of this is what you are about to hear from me.")
    files = {
        "BOB1.DOG": made.dialogue(6, joe, [*joe[:1], *((number, text) for number, text in joe[1:])]),
        "DOG.DOG": made.dialogue(14, [], [(1, "Whoof <growl>!")]),
        "BAD1.DOG": b"AmBk" + bytes(40) + b"\xff" * 9,
        "14SSSSSS.SB": sound(cuts[0]),  # an effect
        "140001P1.SB": sound(cuts[0]),
        "C18A_101.SB": sound(cuts[8]),  # told nowhere
        "C18A_102.SB": sound(cuts[8]),  # and the same again
        "C18A_103.SB": b"no sound at all",
    }
    for (number, _), cut in zip(joe, cuts, strict=False):
        files[f"0600{number:02X}J2.SB"] = sound(cut)
        files[f"0600{number:02X}P2.SB"] = sound(cut)
    files["060021J1.SB"] = files.pop("060021J2.SB")
    files["060021P1.SB"] = files.pop("060021P2.SB")
    path = tmp_path_factory.mktemp("game") / "queen.1c"
    path.write_bytes(made.archive(files))
    return path


@pytest.fixture(scope="module")
def config(archive):
    return QueenConfig(archive=archive, lines_per_speaker=5, train=0.5, dev=0.25, test=0.25)


@pytest.fixture(scope="module")
def prepared(config, tmp_path_factory):
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed (extra `align`)")
    return prepare(config, tmp_path_factory.mktemp("queen") / "one", workers=1, progress=False)


def test_every_line_is_there_with_what_is_known_of_it(prepared):
    cuts = {name: cut for name, (_, cut) in all_cuts(prepared).items()}
    assert len(cuts) == 18
    assert Counter(cut.supervisions[0].speaker for cut in cuts.values()) == {"joe": 8, "bob": 8, None: 2}
    assert prepared.speakers == ("bob", "joe")
    assert prepared.phones == ENGLISH_PHONES
    dog = cuts["queen-140001p1"].supervisions[0]
    assert (dog.speaker, dog.custom["character"], dog.text) == (None, "dog", "Whoof <growl>!")
    untold = cuts["queen-c18a_101"].supervisions[0]
    assert (untold.speaker, untold.text, untold.alignment) == (None, None, None)
    for name, cut in cuts.items():
        audio = soundfile.info(cut.recording.sources[0].source)
        assert (audio.samplerate, audio.frames, audio.subtype) == (16_000, cut.recording.num_samples, "PCM_16"), name


def test_lines_without_words_are_in_train_alone(prepared):
    assert {split for split, cut in all_cuts(prepared).values() if cut.supervisions[0].text is None} == {"train"}


def test_phones_fill_the_lines_that_were_aligned(prepared):
    aligned = 0
    for _, cut in all_cuts(prepared).values():
        phones = (cut.supervisions[0].alignment or {}).get("phone", [])
        if phones:
            aligned += 1
            assert phones[0].start == 0
            assert abs(phones[-1].end - cut.duration) < 1e-6
            assert all(abs(a.end - b.start) < 1e-6 for a, b in pairwise(phones))
    assert aligned >= 12
    report = prepared.info["alignment"]
    assert (report["aligned"], report["lines_with_text"]) == (aligned, 17)
    assert sum(report["refused"].values()) == 17 - aligned
    assert f"{aligned} of 17" in describe(prepared)


def test_a_text_that_is_not_what_is_said_has_no_phones(prepared):
    cuts = all_cuts(prepared)
    for name in ("queen-060021j1", "queen-060021p1"):
        assert cuts[name][1].supervisions[0].text.startswith("Nothing of this")
        assert cuts[name][1].supervisions[0].alignment is None


def test_what_cannot_be_used_is_counted(prepared):
    bad = dict(prepared.info["bad_items"]["items"])
    refused = {name for name, reason in bad.items() if "could not be aligned" in reason}
    assert len(refused) == sum(prepared.info["alignment"]["refused"].values())
    assert set(bad) - refused == {"BAD1.DOG", "c18a_102", "c18a_103"}
    assert "damaged" in bad["BAD1.DOG"]
    assert "same recording" in bad["c18a_102"]
    assert "cannot be read as audio" in bad["c18a_103"]


def test_the_same_words_are_on_one_side(prepared):
    sides = {}
    for split, cut in all_cuts(prepared).values():
        if cut.supervisions[0].text:
            sides.setdefault(cut.supervisions[0].text, set()).add(split)
    assert all(len(splits) == 1 for splits in sides.values())
    for split in SPLITS:
        assert {cut.supervisions[0].speaker for cut in prepared.cuts(split)} >= {"joe", "bob"}


def test_a_run_that_was_interrupted_does_the_rest_and_ends_alike(prepared, config, tmp_path, monkeypatch):
    ask, asked = Worker.ask, []

    def interrupt(self, job, *limit):
        asked.append(job["id"])
        if len(asked) == 7:
            raise KeyboardInterrupt
        return ask(self, job, *limit)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "ask", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, tmp_path / "two", workers=1, progress=False)
    assert not (tmp_path / "two").exists()
    rest = []
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "ask", lambda self, job, *limit: rest.append(job["id"]) or ask(self, job, *limit))
        again = prepare(config, tmp_path / "two", workers=2, progress=False)
    assert set(rest).isdisjoint(asked[:6])
    assert contents(again.folder) == contents(prepared.folder)


def test_a_moved_archive_gives_the_same_corpus(prepared, config, archive, tmp_path, capsys):
    moved = tmp_path / "queen.1c"
    moved.write_bytes(archive.read_bytes())
    again = prepare(replace(config, archive=tmp_path), prepared.folder, progress=False)
    assert again.key == prepared.key
    assert "nothing to do" in capsys.readouterr().err
    assert str(archive) not in json.dumps(prepared.info)


def test_without_phones_and_untold_lines_nothing_is_aligned(config, tmp_path):
    plain = replace(config, phones=False, untold=False)
    corpus = prepare(plain, tmp_path / "plain", workers=1, progress=False)
    assert corpus.phones == ()
    assert "alignment" not in corpus.info
    assert len(all_cuts(corpus)) == 17


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0.9}, "sum to 1"),
        ({"train": 1.0, "dev": 0.0, "test": 0.0}, "above 0"),
        ({"lines_per_speaker": 2}, "at least 3"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(CorpusError, match=message):
        QueenConfig(**options)
