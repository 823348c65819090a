"""Faults during a run: full disks, missing files, damaged checkpoints, kills; each really happens to a short run."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from inattention import cli
from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.module import Pretraining
from speech import make_corpus
from together import small

TESTS = Path(__file__).parents[1]


def same(one: Path, other: Path) -> bool:
    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(bool((a[name] == b[name]).all()) for name in a)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, happens: Callable[[], object]) -> None:
    """Call a function just before a step."""
    start = Pretraining.on_train_batch_start

    def started(self: Pretraining, batch: object, batch_idx: int) -> None:
        if self.global_step == step:
            happens()
        start(self, batch, batch_idx)

    monkeypatch.setattr(Pretraining, "on_train_batch_start", started)


@pytest.fixture
def largest_file() -> Generator[Callable[[int], None]]:
    """Limit the size of files that this process may write; writes beyond fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_checkpoint_ends_the_run_and_loses_nothing(
    corpus: Corpus,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    largest_file: Callable[[int], None],
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 5, lambda: largest_file(20_000))
        assert cli.main(small(corpus.folder, out)) == 2
    largest_file(resource.RLIM_INFINITY)
    assert f"{out} cannot be written: File too large. Earlier checkpoints are intact" in capsys.readouterr().err
    assert not list(out.glob(".*writing*"))
    assert cli.main(small(corpus.folder, out)) == 0
    assert same(whole, out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Return a disk of a few megabytes, where the system allows mounting one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here; the limit on file sizes is tested instead")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_ends_the_run_and_loses_nothing(
    corpus: Corpus, whole: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, ballast = small_disk / "run", small_disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    with monkeypatch.context() as patch:
        at_step(patch, 5, fill)
        assert cli.main(small(corpus.folder, out)) == 2
    assert "No space left on device. Earlier checkpoints are intact" in capsys.readouterr().err
    ballast.unlink()
    assert cli.main(small(corpus.folder, out)) == 0
    assert same(whole, out)


def test_a_folder_that_cannot_be_written_is_reported_in_words(
    corpus: Corpus, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "forbidden"
    out.mkdir()
    out.chmod(0o555)
    child = os.fork()
    if not child:  # root may write anywhere, so the command runs as nobody
        code = 70
        try:
            if not os.geteuid():
                for folder in (tmp_path, *tmp_path.parents, corpus.folder, *corpus.folder.parents):
                    if not folder.stat().st_mode & 0o001:
                        folder.chmod(folder.stat().st_mode | 0o011)  # pytest's folders are private to root
                os.setuid(65534)
            code = cli.main(small(corpus.folder, out))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert f"{out} cannot be written: Permission denied" in capfd.readouterr().err


def test_a_file_that_vanishes_during_a_run_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "tones", {"train": 8, "dev": 2, "test": 2})
    gone = sorted((tmp_path / "tones" / "audio").glob("train-*"))[:2]

    def vanish() -> None:
        for path in gone:
            path.unlink()

    at_step(monkeypatch, 3, vanish)
    assert cli.main(small(corpus.folder, tmp_path / "run", "--training.cache-megabytes", "0")) == 0
    skipped = json.loads((tmp_path / "run" / "outcome.json").read_text())["skipped"]
    assert sorted(skipped) == [path.stem for path in gone]
    assert "2 cuts could not be used" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["flipped", "cut off", "emptied", "both"])
def test_a_damaged_checkpoint_is_detected_and_skipped_for_the_one_before(
    corpus: Corpus,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 5, lambda: os.kill(os.getpid(), 15))
        assert cli.main(small(corpus.folder, out)) == 2
    path = out / "checkpoint.ckpt"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[0 if damage == "emptied" else len(content) // 2 :]
    path.write_bytes(content)
    if damage == "both":
        (out / "checkpoint-before.ckpt").write_bytes(content)
    capsys.readouterr()
    assert cli.main(small(corpus.folder, out)) == 0
    printed = capsys.readouterr().err
    assert f"{path} is damaged and skipped" in printed
    assert ("starts from its first step" in printed) == (damage == "both")
    assert same(whole, out)


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_is_alive(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    codes: list[int] = []

    def second() -> None:
        # In the same process, whose second lock of a file is refused as another process's is: importing takes seconds.
        if not codes:
            codes.append(0)
            codes.append(cli.main(small(corpus.folder, out)))

    at_step(monkeypatch, 2, second)
    assert cli.main(small(corpus.folder, out)) == 0
    assert codes == [0, 2]
    assert f"another run is working in {out}" in capsys.readouterr().err


@pytest.mark.slow
def test_kills_at_random_moments_and_in_checkpoint_writes_change_nothing() -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "kill_runs.py", "4"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert tally["kills"] == 4
    assert tally["runs"] == tally["runs_identical_to_the_undisturbed"] >= 1
