"""A user's CutSet or Shar becomes a corpus; a stranger's runs no code, calls nobody and writes nowhere else."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet
from lhotse.supervision import AlignmentItem

from inattention.audio.reader import AudioError, cut_waveform
from inattention.corpora.core.corpus import SPLITS, open_corpus
from inattention.corpora.core.cut_files import safe_path
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.cutset import CutSetConfig
from recordings import RATE

from .cut_manifests import cuts, lines_of, make, spoiled, write_lines


@pytest.mark.parametrize("name", ["cuts.jsonl.gz", "cuts.jsonl"])
@pytest.mark.parametrize("copy", [False, True])
def test_a_manifest_is_taken_with_its_speakers_and_phones(tmp_path: Path, name: str, copy: bool) -> None:
    theirs = cuts(tmp_path / "audio")
    theirs.to_file(tmp_path / name)
    corpus = make(tmp_path / name, tmp_path / "out", copy=copy)
    assert corpus.speakers == ("ann", "bob")
    assert corpus.phones == ("sil", "ah")
    found = {cut.id: cut for split in SPLITS for cut in corpus.cuts(split)}
    for cut in theirs:  # ty: ignore[not-iterable]
        ours = found.pop(cut.id)
        assert (ours.load_audio() == cut.load_audio()).all()
        assert ours.supervisions[0].alignment["phone"][1].start == pytest.approx(0.2)
        assert (tmp_path / "out" in Path(ours.recording.sources[0].source).parents) == copy
    assert not found


def test_own_splits_are_kept_and_relative_paths_begin_at_the_manifest(tmp_path: Path) -> None:
    cuts(tmp_path / "audio").to_file(tmp_path / "all.jsonl.gz")
    lines = lines_of(tmp_path / "all.jsonl.gz")
    for line in lines:
        line["recording"]["sources"][0]["source"] = f"audio/{line['id']}.flac"
    parts = {"train": lines[:4], "dev": lines[4:6], "test": lines[6:]}
    paths = {split: write_lines(tmp_path / f"{split}.jsonl.gz", part) for split, part in parts.items()}
    corpus = make(paths["train"], tmp_path / "out", dev=paths["dev"], test=paths["test"])
    for split, part in parts.items():
        assert {cut.id for cut in corpus.cuts(split)} == {line["id"] for line in part}
        assert all(len(cut_waveform(cut, RATE)) == RATE // 2 for cut in corpus.cuts(split))


def test_a_shar_is_unpacked(tmp_path: Path) -> None:
    theirs = cuts(tmp_path / "audio")
    (tmp_path / "shar").mkdir()
    theirs.to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=3)
    corpus = make(tmp_path / "shar", tmp_path / "out")
    (tmp_path / "audio").rename(tmp_path / "gone")
    (tmp_path / "shar").rename(tmp_path / "gone too")
    found = {cut.id: cut for split in SPLITS for cut in corpus.cuts(split)}
    assert len(found) == 8
    for cut in found.values():
        assert len(cut_waveform(cut, RATE)) == RATE // 2
    assert corpus.info["bad_items"]["count"] == 0


def hostile(marker: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Return manifests of strangers, each with the expected reason."""
    command = f"touch {marker}"
    return {
        "command": ({"source": {"type": "command", "source": command}}, "its audio is a 'command'"),
        "url": ({"source": {"type": "url", "source": "https://example.org/a.wav"}}, "its audio is a 'url'"),
        "memory": ({"source": {"type": "memory", "source": "UklGRg=="}}, "its audio is a 'memory'"),
        "pipe": ({"source": {"source": f"pipe:{command}"}}, "is no path of a file"),
        "address": ({"source": {"source": "s3://bucket/a.wav"}}, "is no path of a file"),
        "number": ({"source": {"source": 7}}, "is no path of a file"),
        "transform": ({"recording": {"transforms": [{"name": "Speed", "kwargs": {"factor": 2}}]}}, "to be changed"),
        "two files": ({"recording": {"sources": []}}, "its recording is not one file"),
        "rate": ({"recording": {"sampling_rate": 10**9}}, "its sampling rate is 1000000000"),
        "samples": ({"recording": {"num_samples": -1}}, "its recording has -1 samples"),
        "mixed": ({"type": "MixedCut", "tracks": []}, "is a MixedCut"),
        "start": ({"start": -1.0}, "its start is -1.0"),
        "infinite": ({"duration": 1e999}, "its duration is inf"),
        "long": ({"duration": 1e6}, "of a recording of 1.0 s"),
        "channel": ({"channel": "left"}, "its channels are not numbered"),
        "endless": ({"start": 10**400}, "is damaged (OverflowError"),
        "speaker": ({"supervisions": [{"id": "a", "speaker": []}]}, "its speaker is '[]', which is no text"),
        "supervisions": ({"supervisions": [{"id": "a"}]}, "is damaged"),
    }


def test_a_strangers_manifest_runs_nothing_and_each_line_is_said(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    lines = lines_of(tmp_path / "cuts.jsonl.gz")
    cases = hostile(marker)
    bad = [spoiled(lines[0], id=f"bad {name}", **change) for name, (change, _) in cases.items()]
    write_lines(tmp_path / "cuts.jsonl.gz", [*lines, *bad, "no cut", 7, None, {"id": "nothing"}])
    corpus = make(tmp_path / "cuts.jsonl.gz", tmp_path / "out")
    reasons = dict(corpus.info["bad_items"]["items"])
    for number, (name, (_, words)) in enumerate(cases.items(), len(lines) + 1):
        assert words in reasons[f"cuts.jsonl.gz, line {number}"], name
    assert len(reasons) == len(bad) + 4
    assert not marker.exists()
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) == len(lines)


@pytest.mark.parametrize("name", hostile(Path("x")))
def test_a_strangers_prepared_corpus_runs_nothing(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "it ran"
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    corpus = make(tmp_path / "cuts.jsonl.gz", tmp_path / "out", copy=True)
    path = corpus.folder / "cuts-dev.jsonl.gz"
    change, words = hostile(marker)[name]
    write_lines(path, [spoiled(line, **json.loads(json.dumps(change))) for line in lines_of(path)])
    with pytest.raises(CorpusError, match=r"cuts-dev.jsonl.gz, line 1") as caught:
        [cut.load_audio() for cut in open_corpus(corpus.folder).cuts("dev")]
    assert words in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    "path", ["../a.wav", "a/../../b.wav", "/etc/passwd", "a\0b", "", None, "pipe:ls", "http://x/y"]
)
def test_paths_that_lead_elsewhere_are_refused(path: Any) -> None:
    with pytest.raises(CorpusError):
        safe_path(path, Path("/corpus"))


def test_a_cut_that_would_run_a_command_is_not_read_even_if_it_gets_that_far(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    cut = next(iter(cuts(tmp_path / "audio")))
    cut.recording.sources[0].type, cut.recording.sources[0].source = "command", f"touch {marker}"
    for some in (cut, cut.mix(cut)):
        with pytest.raises(AudioError, match="its audio is a 'command'"):
            cut_waveform(some, RATE)
    assert not marker.exists()


def test_a_strangers_shar_writes_nowhere_else_and_broken_parts_are_said(tmp_path: Path) -> None:
    theirs = cuts(tmp_path / "audio")
    (tmp_path / "shar").mkdir()
    theirs.to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=4)
    archive = tmp_path / "shar/recording.000000.tar"
    with tarfile.open(archive) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # ty: ignore[unresolved-attribute]
    manifest = json.loads(members[3][1])
    manifest["id"] = "another"
    names = ["../../escaped.flac", "/tmp/escaped.json", members[2][0], members[3][0]]
    contents = [members[0][1], members[1][1], members[2][1], json.dumps(manifest).encode()]
    link = tarfile.TarInfo("link.flac")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(archive, "w") as tar:
        for name, content in zip(names, contents, strict=True):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.addfile(link)
        info = tarfile.TarInfo(members[5][0])
        info.size = len(members[5][1])
        tar.addfile(info, io.BytesIO(members[5][1]))
    corpus = make(tmp_path / "shar", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "out", "shar"]
    assert not list(tmp_path.parent.glob("escaped*"))
    reasons = [reason for _, reason in corpus.info["bad_items"]["items"]]
    assert sum("the archive has 'another'" in reason for reason in reasons) == 1
    assert sum("it has no recording" in reason for reason in reasons) == 2
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) == 5


def test_a_damaged_archive_costs_what_comes_after(tmp_path: Path) -> None:
    (tmp_path / "shar").mkdir()
    cuts(tmp_path / "audio").to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=4)
    archive = tmp_path / "shar/recording.000001.tar"
    archive.write_bytes(archive.read_bytes()[:40_000])
    corpus = make(tmp_path / "shar", tmp_path / "out")
    assert any("recording.000001.tar" in item for item, _ in corpus.info["bad_items"]["items"])
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) >= 4


def test_a_manifest_that_was_cut_off_is_said(tmp_path: Path) -> None:
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    data = (tmp_path / "cuts.jsonl.gz").read_bytes()
    (tmp_path / "cuts.jsonl.gz").write_bytes(data[: len(data) - 20])
    with pytest.raises(CorpusError, match=r"cuts.jsonl.gz is damaged after \d+ lines"):
        make(tmp_path / "cuts.jsonl.gz", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"no gzip", b"\x1f\x8b\x08\x00" + bytes(20)])
def test_a_prepared_corpus_whose_cuts_are_damaged_says_so(tmp_path: Path, content: bytes) -> None:
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    corpus = make(tmp_path / "cuts.jsonl.gz", tmp_path / "out")
    path = corpus.folder / "cuts-train.jsonl.gz"
    whole = path.read_bytes()
    for damaged in (content, whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        if not damaged:
            assert not list(corpus.cuts("train"))
            continue
        with pytest.raises(CorpusError, match=r"cuts-train.jsonl.gz is damaged after \d+ lines .*--overwrite"):
            list(corpus.cuts("train"))


def test_what_does_not_fit_its_file_or_the_others_is_left_out(tmp_path: Path) -> None:
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    lines = lines_of(tmp_path / "cuts.jsonl.gz")
    longer = spoiled(lines[0], id="longer", start=5.0, recording={"num_samples": 10 * RATE, "duration": 10.0})
    faster = spoiled(lines[0], id="faster", recording={"sampling_rate": 2 * RATE, "num_samples": 2 * RATE})
    gone = spoiled(lines[0], id="gone", source={"source": str(tmp_path / "none.wav")})
    two = spoiled(lines[0], id="two")
    two["supervisions"].append({**two["supervisions"][0], "speaker": "carl", "id": "x"})
    write_lines(tmp_path / "cuts.jsonl.gz", [*lines, longer, faster, gone, two, lines[0]])
    corpus = make(tmp_path / "cuts.jsonl.gz", tmp_path / "out")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert "it ends at 5.500 s, its file at 1.000 s" in reasons["longer"]
    assert "its file has 16000 Hz, its manifest says 32000 Hz" in reasons["faster"]
    assert any("none.wav" in reason for reason in reasons.values())
    assert "several speakers speak in it" in reasons["two"]
    assert "the same id" in reasons["ann-0"]


def test_no_cuts_are_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"there is no .*none"):
        make(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="is not a Shar folder"):
        make(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(CorpusError, match="both --dev and --test"):
        CutSetConfig(dev=tmp_path)


@pytest.mark.parametrize("line", [b"1" * 5000, b"[" * 100_000, b"\xff", b"{", b'{"a": 1}}'])
def test_a_line_that_is_no_json_is_damage(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "cuts.jsonl").write_bytes(line + b"\n")
    with pytest.raises(CorpusError, match=r"cuts.jsonl is damaged after 0 lines"):
        make(tmp_path / "cuts.jsonl", tmp_path / "out")


def test_silence_has_one_label_and_labels_may_end_early(tmp_path: Path) -> None:
    theirs = []
    for cut in cuts(tmp_path / "audio"):
        times = [("SIL", 0.0, 0.1), ("spn", 0.1, 0.11), ("breath", 0.2, 0.1), ("ah", 0.3, 0.02)]
        cut.supervisions[0].alignment = {"phone": [AlignmentItem(*item) for item in times]}
        theirs.append(cut)
    CutSet.from_cuts(theirs).to_file(tmp_path / "cuts.jsonl")
    corpus = make(tmp_path / "cuts.jsonl", tmp_path / "out", silence=("breath",))
    assert corpus.phones == ("sil", "ah")
    cut = next(iter(corpus.cuts("train")))
    items = [(item.symbol, item.start, item.end) for item in cut.supervisions[0].alignment["phone"]]
    assert items == [("sil", 0.0, 0.1), ("sil", 0.1, 0.2), ("sil", 0.2, 0.3), ("ah", 0.3, 0.32)]
    assert make(tmp_path / "cuts.jsonl", tmp_path / "as-is").phones == ("sil", "ah", "breath")
