"""Progress: a bar on a terminal, a line a minute elsewhere, nothing if hidden."""

import io
import re
import sys
from pathlib import Path

import pytest

from inattention import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_in_a_file_there_is_one_line_a_minute_without_carriage_returns(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.bar(total=600, desc="training", unit="step") as bar:
        for _ in range(300):
            clock[0] += 1
            bar.update()
            bar.set_postfix_str("loss=0.5")
    err = capsys.readouterr().err
    assert "\r" not in err
    lines = err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "training: 60 of 600 steps, 10 %, 9 min left (loss=0.5)"


def test_short_work_prints_nothing_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.bar(range(1000), desc="probe", unit="epoch")) == list(range(1000))
    assert capsys.readouterr().err == ""


def test_items_of_unknown_number_are_counted(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress.bar((i for i in range(70)), unit="row"):
        clock[0] += 1
    assert capsys.readouterr().err == "60 rows\n"


def test_items_without_a_length_are_passed_through() -> None:
    class Lazy:
        def __iter__(self):
            return iter([1, 2])

        def __len__(self):
            raise TypeError

    assert list(progress.bar(Lazy(), total=2, unit="cut")) == [1, 2]


def test_resumed_work_is_not_counted_as_speed(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress.bar(total=1000, unit="step", initial=900)
    clock[0] += 60
    bar.update(50)
    assert capsys.readouterr().err == "950 of 1000 steps, 95 %, 1 min left\n"


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(progress.bar(range(3), desc="mine", unit="step", delay=0))
    assert "mine" in terminal.getvalue()
    assert "\r" in terminal.getvalue()


def test_hidden_progress_is_silent_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.hidden():
        list(progress.bar(range(3), unit="step", delay=0))
    assert terminal.getvalue() == ""


def test_no_other_module_draws_bars() -> None:
    source = Path(progress.__file__).parent
    others = [path for path in source.rglob("*.py") if path.name != "progress.py"]
    drawn = re.compile(r"import.*tqdm|TQDMProgress|enable_progress_bar=(?!False)")
    using = [path.name for path in others if drawn.search(path.read_text())]
    assert using == []
