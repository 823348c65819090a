"""lhotse manifests in all formats, with paths relative to anywhere; recordings and supervisions instead of cuts."""

import dataclasses
import os
from pathlib import Path

import pytest
from lhotse import SupervisionSet

from inattention.corpora.core.corpus import SPLITS
from inattention.corpora.core.preparation import read_preparation
from inattention.corpora.errors import CorpusError

from .cut_manifests import count, cuts, lines_of, make, spoiled, write_lines


@pytest.mark.parametrize("working", ["project", "manifests", "elsewhere"])
def test_paths_relative_to_the_folder_where_lhotse_ran_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, working: str
) -> None:
    project = tmp_path / "project"
    cuts(project / "wav").to_file(tmp_path / "all.jsonl.gz")
    lines = lines_of(tmp_path / "all.jsonl.gz")
    for line in lines:
        line["recording"]["sources"][0]["source"] = f"wav/{line['id']}.flac"
    (project / "data/manifests").mkdir(parents=True)
    path = write_lines(project / "data/manifests/cuts.jsonl.gz", lines)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir({"manifests": path.parent}.get(working, tmp_path / working))
    assert count(make(path, tmp_path / "out")) == 8
    (project / "wav").rename(tmp_path / "elsewhere/wav")
    if working != "elsewhere":  # where the working folder has the audio
        with pytest.raises(CorpusError, match=r"tried .*data/manifests \(the manifest's folder\), .*--audio-root"):
            make(path, tmp_path / "none")
    corpus = make(path, tmp_path / "root", audio_root=tmp_path / "elsewhere")
    assert count(corpus) == 8


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".json.gz", ".yaml", ".yaml.gz"])
def test_recordings_with_supervisions_become_a_cut_for_each_supervision(tmp_path: Path, suffix: str) -> None:
    theirs = cuts(tmp_path / "audio")
    recordings, supervisions, _ = theirs.decompose(tmp_path / "parts")
    recordings.to_file(tmp_path / f"x_recordings_all{suffix}")
    everything = []  # two of each recording; alignments have the times of the recording, as in lhotse's recipes
    for supervision in supervisions:
        for start in (0.25, 0.5):
            items = [item.with_offset(start) for item in supervision.alignment["phone"]]
            name = f"{supervision.id}+{start}"
            everything.append(dataclasses.replace(supervision, id=name, start=start, alignment={"phone": items}))
    SupervisionSet.from_segments(everything).to_file(tmp_path / f"x_supervisions_all{suffix}")
    corpus = make(tmp_path / f"x_recordings_all{suffix}", tmp_path / "out")
    assert corpus.speakers == ("ann", "bob")
    found = {cut.id: cut for split in SPLITS for cut in corpus.cuts(split)}
    assert len(found) == 16
    for supervision in everything:
        cut = found[supervision.id]
        assert (cut.start, cut.duration) == (supervision.start, supervision.duration)
        assert [item.start for item in cut.supervisions[0].alignment["phone"]] == pytest.approx([0.0, 0.2])
    splits = [{cut.recording.id.split("+")[0] for cut in corpus.cuts(split)} for split in SPLITS]
    assert sum(map(len, splits)) == len(set().union(*splits))


def test_recordings_and_supervisions_without_each_other_are_named(tmp_path: Path) -> None:
    recordings, supervisions, _ = cuts(tmp_path / "audio").decompose(tmp_path / "parts")
    recordings.to_file(tmp_path / "recordings.jsonl")
    eager = list(supervisions)
    stray = dataclasses.replace(eager[0], id="stray", recording_id="nowhere")
    SupervisionSet.from_segments([*eager[1:], stray]).to_file(tmp_path / "labels.jsonl")
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write('{"id": "broken"}\n7\n')
    corpus = make(tmp_path / "recordings.jsonl", tmp_path / "out", supervisions=tmp_path / "labels.jsonl")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert "has no recording 'nowhere'" in reasons["labels.jsonl, line 8"]
    assert "this is no supervision" in reasons["labels.jsonl, line 10"]
    assert "no supervision has the recording 'ann-0'" in reasons["recordings.jsonl, line 1"]
    (recording,) = (c for c in read_preparation(corpus.folder).counts if c.kind == "recording")
    assert (recording.found, recording.used, recording.skipped) == (11, 7, 4)


def test_recordings_alone_are_cuts_without_speakers(tmp_path: Path) -> None:
    recordings, _, _ = cuts(tmp_path / "audio").decompose(tmp_path / "parts")
    recordings.to_file(tmp_path / "all.jsonl.gz")
    corpus = make(tmp_path / "all.jsonl.gz", tmp_path / "out")
    assert (count(corpus), corpus.speakers) == (8, ())


def test_manifests_of_another_kind_are_refused_with_what_to_name(tmp_path: Path) -> None:
    theirs = cuts(tmp_path / "audio")
    theirs.to_file(tmp_path / "cuts.jsonl")
    _, supervisions, _ = theirs.decompose(tmp_path / "parts")
    supervisions.to_file(tmp_path / "labels.jsonl")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "cuts.txt").touch()
    for name, options, words in (
        ("labels.jsonl", {}, "--path is the manifest of recordings"),
        ("cuts.jsonl", {"supervisions": tmp_path / "labels.jsonl"}, "leave --supervisions out"),
        ("empty.jsonl", {}, "the file is empty"),
        ("cuts.txt", {}, "its name must end with"),
        (".", {}, "--path must name one of its manifests: cuts.jsonl, empty.jsonl, labels.jsonl"),
    ):
        with pytest.raises(CorpusError, match=words):
            make(tmp_path / name, tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.yaml", "- &a [1]\n- *a\n", "aliases"),
        ("a.yaml", "- !!python/object/apply:os.system ['touch x']\n", "is damaged"),
        ("a.yaml", "[" * 1000, "nested more than"),
        ("a.yaml", "- {a: b", "is damaged"),
        ("a.yaml", "- 2020-99-99\n", "is damaged"),
        ("a.json", "[{]", "is damaged"),
        ("a.json", "[" * 100_000, "is damaged"),
        ("a.json", '{"a": 1}', "holds a dict"),
        ("a.json.gz", "no gzip", "is damaged"),
    ],
)
def test_damaged_and_hostile_json_and_yaml_are_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError, match=words):
        make(tmp_path / name, tmp_path / "out")


def test_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cuts.jsonl")
    with pytest.raises(CorpusError, match="is no plain file"):
        make(tmp_path / "cuts.jsonl", tmp_path / "out")


def test_every_cut_is_used_or_counted_when_several_share_a_bad_file(tmp_path: Path) -> None:
    cuts(tmp_path / "audio").to_file(tmp_path / "cuts.jsonl.gz")
    lines = lines_of(tmp_path / "cuts.jsonl.gz")
    bad = tmp_path / "bad.flac"
    bad.write_bytes(b"no audio")
    spoilt = [spoiled(lines[0], id=f"bad-{k}", source={"source": str(bad)}) for k in range(3)]
    write_lines(tmp_path / "cuts.jsonl.gz", [*lines, *spoilt, "no cut"])
    corpus = make(tmp_path / "cuts.jsonl.gz", tmp_path / "out")
    (recording,) = (c for c in read_preparation(corpus.folder).counts if c.kind == "recording")
    assert (recording.found, recording.used, recording.skipped) == (12, 8, 4)
