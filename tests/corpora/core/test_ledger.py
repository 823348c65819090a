"""What is found is used, repaired, skipped or ignored: counted by reason, named in the file."""

import json
import tracemalloc
from pathlib import Path

import pytest

from inattention.corpora.core.ledger import Ledger, category_of
from inattention.corpora.core.preparation import FILE, FIRST, as_lines, read_preparation
from inattention.corpora.errors import CorpusError


def use(ledger: Ledger, item: str, **facts) -> None:
    ledger.use(item, **{"seconds": 1.0, "speaker": "ann", "labelled": None, "text": False, **facts})


def groups(summary) -> dict:
    return {(group.outcome, group.kind, group.category): group.count for group in summary.groups}


def counts(summary, kind: str = "recording") -> tuple[int, ...]:
    (count,) = (count for count in summary.counts if count.kind == kind)
    return count.found, count.used, count.repaired, count.skipped, count.ignored


def test_every_item_has_one_outcome_and_the_numbers_add_up() -> None:
    ledger = Ledger()
    ledger.found("recording", 3)
    ledger.found("recording", 2)
    use(ledger, "a.wav")
    use(ledger, "b.wav")
    ledger.repair("b.wav", "an end 8 ms past the audio was cut", kind="recording")
    ledger.skip("c.wav", "is silent", seconds=2.0)
    ledger.ignore("sa1.wav", "read by everybody", kind="recording")
    ledger.ignore("._a.wav", "macOS AppleDouble file")
    summary = ledger.summary()
    assert counts(summary) == (5, 2, 1, 1, 1)
    assert summary.counts[0].unaccounted == 1
    assert counts(summary, "file") == (1, 0, 0, 0, 1)
    assert (summary.seconds_used, summary.seconds_skipped) == (2.0, 2.0)


def test_a_kind_that_is_not_counted_is_what_became_of_it() -> None:
    ledger = Ledger()
    use(ledger, "a.wav", labelled=0.9, text=True)
    ledger.skip("b.TextGrid", "is not text", kind="label")
    assert counts(ledger.summary(), "label") == (2, 1, 0, 1, 0)
    assert counts(ledger.summary(), "text") == (1, 1, 0, 0, 0)


def test_pieces_of_a_recording_count_once_and_their_seconds_all() -> None:
    ledger = Ledger()
    use(ledger, "long.wav", labelled=None)
    use(ledger, "long.wav", labelled=0.5)
    use(ledger, "long.wav", labelled=0.5)
    use(ledger, "short.wav")
    summary = ledger.summary()
    assert counts(summary)[1] == 2
    assert counts(summary, "label")[1] == 1
    assert summary.seconds_used == 4.0
    assert (summary.seconds_labelled, summary.seconds_with_labels) == (1.0, 2.0)


def test_two_repairs_of_one_item_are_one_repaired_item() -> None:
    ledger = Ledger()
    ledger.repair("a.TextGrid", "an end 8 ms past the audio was cut")
    ledger.repair("a.TextGrid", "a gap of 1 ms was closed")
    assert counts(ledger.summary(), "label")[2] == 1
    assert sum(groups(ledger.summary()).values()) == 2


def test_labels_are_counted_by_speaker() -> None:
    ledger = Ledger()
    use(ledger, "a.wav", labelled=1.0)
    ledger.skip("b.TextGrid", "is not text", kind="label", speaker="ann")
    ledger.skip("c.TextGrid", "is not text", kind="label")
    use(ledger, "d.wav", speaker="bob", seconds=2.0)
    unknown, ann, bob = ledger.summary().speakers
    assert (unknown.speaker, unknown.labels_dropped) == (None, 1)
    assert (ann.speaker, ann.labels_kept, ann.labels_dropped) == ("ann", 1, 1)
    assert (bob.speaker, bob.recordings, bob.seconds, bob.labels_dropped) == ("bob", 1, 2.0, 0)


def test_equal_reasons_are_grouped_whatever_their_names_and_numbers() -> None:
    ledger = Ledger()
    ledger.skip("a.wav", "its header says 10 Hz")
    ledger.skip("b.wav", "its header says 2000000 Hz")
    ledger.skip("c.wav", "holds 1.2 s of 2.0 s", category="truncated")
    assert groups(ledger.summary()) == {
        ("skipped", "recording", "its header says N Hz"): 2,
        ("skipped", "recording", "truncated"): 1,
    }
    assert len(category_of("x" * 5000)) <= 100
    assert category_of("cannot be read (no file (a pipe?) there)") == "cannot be read"


def test_the_file_has_all_names_and_the_screen_the_first_of_each_reason(tmp_path: Path) -> None:
    ledger = Ledger()
    use(ledger, "good.wav")
    for number in range(25):
        ledger.skip(f"bad-{number:02d} ü.wav", "is silent")
    ledger.write(tmp_path)
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    assert [item["item"] for item in json.loads(text)["items"]] == [f"bad-{number:02d} ü.wav" for number in range(25)]
    summary = read_preparation(tmp_path)
    assert summary == ledger.summary()
    lines = list(as_lines(summary))
    assert sum("bad-" in line for line in lines) == FIRST
    assert any("and 15 more" in line for line in lines)


def test_only_options_that_the_corpus_has_are_named() -> None:
    for corpus, option in (("folder", "--tier NAME selects the tier"), ("librispeech", None)):
        ledger = Ledger(corpus)
        ledger.skip("a.TextGrid", "has no tier called phones", kind="label", category="no such tier")
        assert ledger.summary().groups[0].option == option


def test_the_order_of_recording_changes_no_byte(tmp_path: Path) -> None:
    texts = []
    for order in (1, -1):
        ledger = Ledger()
        for item in ["b", "a", "c"][::order]:
            ledger.skip(item, "is silent")
            ledger.ignore(item, "litter")
            use(ledger, f"{item}.wav", speaker=item)
        ledger.write(tmp_path)
        texts.append((tmp_path / FILE).read_bytes())
    assert texts[0] == texts[1]


def test_names_that_are_not_text_do_not_break_the_file(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.skip("bad\udcff\x1b[31m\n.wav", "line\nbreak")
    use(ledger, "a.wav", speaker="x\udcff")
    ledger.write(tmp_path)
    text = "\n".join(as_lines(read_preparation(tmp_path)))
    assert r"bad\xff\x1b[31m\n.wav" in text
    assert r"line\nbreak" in text


def test_memory_does_not_grow_with_the_number_of_names(tmp_path: Path) -> None:
    tracemalloc.start()
    ledger = Ledger()
    for number in range(15_000):
        ledger.skip(f"speaker/chapter/recording-{number}.wav", "is silent", category="silent")
    ledger.write(tmp_path)
    read_preparation(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**20  # the names alone are half a megabyte, the records of all of them several


def test_thousands_of_reasons_stay_a_page(tmp_path: Path) -> None:
    ledger = Ledger()
    for number in range(3000):
        ledger.skip(f"{number}.wav", "reason " + "x" * (number % 90) + "abcdefghijklmnopqrstuvwxyz"[number % 26])
    summary = ledger.write(tmp_path)
    assert len(list(as_lines(summary))) < 300
    assert counts(summary)[3] == 3000


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 9}', '{"format": 1}', "[" * 100_000])
def test_a_damaged_file_is_reported_as_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CorpusError, match="damaged"):
        read_preparation(tmp_path)


def test_a_corpus_without_the_file_has_no_summary(tmp_path: Path) -> None:
    assert read_preparation(tmp_path) is None


def test_a_kind_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a kind"):
        Ledger().skip("a", "b", kind="lable")


def test_formats_to_convert_are_shown_before_litter() -> None:
    ledger = Ledger()
    for number in range(30):
        for _ in range(2):
            ledger.ignore("x", f"litter of kind {number}")
    ledger.ignore("a.m4a", "MP4 or M4A: convert with `ffmpeg -i FILE FILE.wav`")
    shown = [line for line in as_lines(ledger.summary()) if line.startswith("ignored")]
    assert "ffmpeg" in shown[0]
