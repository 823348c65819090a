import json

import pytest

from inattention.corpora.core.corpus import SPLITS, open_corpus
from inattention.corpora.core.writer import CorpusSpec, write_corpus
from inattention.corpora.errors import CorpusError


def spec(**config):
    return CorpusSpec(name="tone", config=config, generator=1, phones=("sil",), caveat="Tones.", packages=("numpy",))


def cut(name, speaker="ann"):
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

    source = AudioSource(type="file", channels=[0], source=f"audio/{name}.flac")
    recording = Recording(id=name, sources=[source], sampling_rate=16000, num_samples=16000, duration=1.0)
    supervision = SupervisionSegment(id=name, recording_id=name, start=0.0, duration=1.0, speaker=speaker)
    return MonoCut(id=name, start=0.0, duration=1.0, channel=0, recording=recording, supervisions=[supervision])


def fill(writer):
    for split in SPLITS:
        for number in range(5):
            writer.add(split, cut(f"{split}-{number}", speaker=f"speaker-{number}"))
    writer.skip("noise-1", "too short")


def test_what_was_added_is_what_is_read_back(tmp_path):
    corpus = write_corpus(tmp_path / "tone", spec(hours=1), fill, overwrite=False)
    ids = {cut.id for cut in corpus.cuts("dev")}  # ty: ignore[not-iterable]  (lhotse annotates __iter__ as Iterable)
    assert ids == {f"dev-{number}" for number in range(5)}
    assert corpus.info["splits"]["dev"] == {"cuts": 5, "hours": pytest.approx(5 / 3600, abs=1e-6), "speakers": 5}
    assert corpus.info["bad_items"] == {"count": 1, "items": [["noise-1", "too short"]]}
    assert corpus.info["config"] == {"hours": 1}
    assert set(corpus.info["versions"]) == {"numpy"}
    assert corpus.speakers == tuple(f"speaker-{number}" for number in range(5))


def test_the_order_of_adding_changes_no_byte(tmp_path):
    def fill_backwards(writer):
        writer.skip("noise-1", "too short")
        for split in reversed(SPLITS):
            for number in reversed(range(5)):
                writer.add(split, cut(f"{split}-{number}", speaker=f"speaker-{number}"))

    one = write_corpus(tmp_path / "one", spec(), fill, overwrite=False).folder
    two = write_corpus(tmp_path / "two", spec(), fill_backwards, overwrite=False).folder
    names = sorted(path.name for path in one.iterdir())
    assert names == [
        "corpus.json",
        "cuts-dev.jsonl.gz",
        "cuts-test.jsonl.gz",
        "cuts-train.jsonl.gz",
        "preparation.json",
    ]
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_preparing_the_same_again_does_nothing_and_says_so(tmp_path, capsys):
    write_corpus(tmp_path / "tone", spec(), fill, overwrite=False)
    corpus = write_corpus(tmp_path / "tone", spec(), lambda writer: pytest.fail("prepared again"), overwrite=False)
    assert "holds this corpus already: nothing to do" in capsys.readouterr().err
    assert corpus.key == spec().key


def test_another_config_is_replaced_only_when_asked(tmp_path):
    write_corpus(tmp_path / "tone", spec(seed=0), fill, overwrite=False)
    with pytest.raises(CorpusError, match=r"another config .*--overwrite"):
        write_corpus(tmp_path / "tone", spec(seed=1), fill, overwrite=False)
    assert write_corpus(tmp_path / "tone", spec(seed=1), fill, overwrite=True).info["config"] == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["tone"]


def test_a_damaged_corpus_can_be_replaced(tmp_path):
    folder = write_corpus(tmp_path / "tone", spec(), fill, overwrite=False).folder
    (folder / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match="damaged"):
        write_corpus(folder, spec(), fill, overwrite=False)
    assert write_corpus(folder, spec(), fill, overwrite=True).key == spec().key


def test_a_folder_that_is_no_corpus_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CorpusError, match="no corpus: choose another folder"):
        write_corpus(tmp_path, spec(), fill, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_an_empty_folder_is_taken(tmp_path):
    assert write_corpus(tmp_path, spec(), fill, overwrite=False).folder == tmp_path.resolve()


def test_an_interrupted_run_leaves_nothing_in_place_and_goes_on_where_it_stopped(tmp_path):
    def interrupted(writer):
        assert writer.recall("job-1") is None
        writer.record("job-1", {"cuts": 5})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "tone", spec(), interrupted, overwrite=False)
    assert not (tmp_path / "tone").exists()

    def resumed(writer):
        assert writer.recall("job-1") == {"cuts": 5}
        assert writer.recall("job-2") is None
        fill(writer)

    write_corpus(tmp_path / "tone", spec(), resumed, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tone"]


def test_two_processes_cannot_prepare_one_corpus(tmp_path):
    def fill_while_another_tries(writer):
        with pytest.raises(CorpusError, match="another process is preparing"):
            write_corpus(tmp_path / "tone", spec(), fill, overwrite=False)
        fill(writer)

    write_corpus(tmp_path / "tone", spec(), fill_while_another_tries, overwrite=False)
    assert open_corpus(tmp_path / "tone").key == spec().key


def test_an_empty_split_is_an_error_with_the_reasons_and_leaves_nothing(tmp_path):
    def only_train(writer):
        writer.add("train", cut("train-0"))
        writer.skip("line-7", "no text")

    with pytest.raises(CorpusError, match=r"split 'dev' .*1 bad items, such as line-7: no text"):
        write_corpus(tmp_path / "tone", spec(), only_train, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_two_cuts_of_one_id_are_an_error(tmp_path):
    def twice(writer):
        writer.add("train", cut("same"))
        writer.add("dev", cut("same"))

    with pytest.raises(CorpusError, match="two cuts are called same"):
        write_corpus(tmp_path / "tone", spec(), twice, overwrite=False)


def test_an_unwritable_place_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"cannot write a corpus to .*file/tone: .*Not a directory"):
        write_corpus(tmp_path / "file" / "tone", spec(), fill, overwrite=False)
    with pytest.raises(CorpusError, match=r"cannot write a corpus to .*Not a directory"):
        write_corpus(tmp_path / "file", spec(), fill, overwrite=True)


def test_the_description_can_be_read_by_people(tmp_path):
    folder = write_corpus(tmp_path / "tone", spec(), fill, overwrite=False).folder
    text = (folder / "corpus.json").read_text()
    assert json.loads(text)["caveat"] == "Tones."
    assert len(text.splitlines()) > 20
