import json
import multiprocessing
import os
from pathlib import Path

import pytest

from inattention.files import folder_lock, remove_temporaries, replacing, write_json, write_lines, write_text


def test_what_is_written_is_read_back_and_nothing_else_stays(tmp_path: Path):
    write_json(tmp_path / "a.json", {"name": "ü"})
    write_lines(tmp_path / "b.jsonl", [{"n": 1}, {"n": 2}])
    assert (tmp_path / "a.json").read_bytes() == '{\n  "name": "ü"\n}\n'.encode()
    assert [json.loads(line)["n"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.jsonl"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path):
    path = tmp_path / "numbers.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path):
    def killed() -> None:
        with replacing(tmp_path / "deep" / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            os._exit(1)

    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "writing-1").touch()
    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert len(list((tmp_path / "deep").iterdir())) == 2
    remove_temporaries(tmp_path)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["writing-1"]


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path):
    with folder_lock(tmp_path):
        with pytest.raises(OSError, match="wait"), folder_lock(tmp_path, OSError, message="wait"):
            pass
        with folder_lock(tmp_path, name="other"):
            pass
    with folder_lock(tmp_path):
        pass


def test_the_message_names_the_folder(tmp_path: Path):
    with (
        folder_lock(tmp_path),
        pytest.raises(ValueError, match=f"another run is working in {tmp_path}"),
        folder_lock(tmp_path),
    ):
        pass
