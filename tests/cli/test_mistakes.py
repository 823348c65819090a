"""Mistakes on the command line: one to three lines with the nearest correct word, and nothing created."""

from pathlib import Path

import pytest

from inattention.cli import main
from inattention.cli.terminal.mistakes import nearest_option


def said_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert 1 <= len(err.splitlines()) <= 3
    assert err.startswith("inattention")
    return err


@pytest.fixture(autouse=True)
def _nothing_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("studdy", "perhaps 'study'"),
        ("--versoin", "perhaps '--version'"),
        ("corpus prepre espeak", "perhaps 'prepare'"),
        ("corpus prepare espaek", "perhaps 'espeak'"),
        ("corpus prepare --out x", "the kind of corpus comes before --out"),
        ("study --preset smok", "perhaps 'smoke': choose from smoke, short, laptop, desktop, paper"),
        ("study --preset", "--preset needs a value: --preset PRESET"),
        ("study --sede 3", "perhaps --seeds?"),
        ("study --width 3", "perhaps --model.width or --timing.width?"),
        ("study --seeds x", "--seeds SEED must be a whole number, not 'x'"),
        ("study --training.steps 1e3", "--training.steps STEPS must be a whole number, not '1e3'"),
        ("study --training.learning-rate fast", "--training.learning-rate RATE must be a number, not 'fast'"),
        ("study --executor loca", "perhaps 'local': choose from local, ray"),
        ("study --probes.tasks speaker-frame phone-hidden", "--probes.tasks cannot be 'phone-hidden'"),
        ("study foo", "takes no argument foo"),
        ("study -x", "there is no option -x"),
        ("study --only patternd", "perhaps 'patterned'"),
        ("study --only qk@identiy", "perhaps 'identity'"),
        ("study --corpus nowhere", "no prepared corpus in"),
        ("study --seeds 0 0", "a study needs seeds: different numbers"),
        ("pretrain", "--corpus CORPUS and --out OUT are missing"),
        ("pretrain --corpus nowhere --out run", "no prepared corpus in"),
        ("pretrain --corpus nowhere --out run --row patternd", "perhaps 'patterned'"),
        ("pretrain --corpus c --out run --training.steps -1", "steps"),
        ("probe mel", "--corpus CORPUS is missing"),
        ("probe mel --corpus nowhere --out out", "no prepared corpus in"),
        ("probe mel --corpus nowhere --layer lst", "perhaps 'last'"),
        ("extract model --out out", "FOLDER is missing"),
        ("extract nowhere nowhere --out out", "nowhere: there is no such"),
        ("extract --out out", "MODEL and FOLDER are missing"),
        ("analyze nowhere --corpus nowhere --out out", "no prepared corpus in"),
        ("convert nowhere --corpus nowhere --out out", "no prepared corpus in"),
        ("convert nowhere --out out", "either --recordings FOLDER or --corpus CORPUS"),
        ("measure nowhere --against nowhere --corpus nowhere --out out", "no prepared corpus in"),
        ("measure nowhere --corpus nowhere --out out --split tset", "perhaps 'test'"),
        ("encoders imprt nowhere --out out", "perhaps 'import'"),
        ("encoders import nowhere --out out", "nowhere"),
        ("conversions nowhere", "nowhere"),
        ("time --rows patternd --out out", "perhaps 'patterned'"),
        ("time --lengths 0 --out out", "at least 1"),
        ("time --model.width 3 --out out", "perhaps --width?"),
        ("compare nowhere --against qk", "nowhere"),
        ("compare", "needs two studies"),
        ("mechanisms --rows qk --draw maps.pgn", "maps.pgn"),
        ("mechanisms --draw maps.png --rows patternd", "perhaps 'patterned'"),
        ("corpus show", "FOLDER is missing"),
        ("corpus show nowhere", "no prepared corpus in"),
        ("corpus show nowhere else", "takes no argument else"),
        ("corpus describe nowhere --out page.htm", ".html or .png"),
        ("corpus describe nowhere --out page.html", "no prepared corpus in"),
        ("corpus validate nowhere", "no prepared corpus in"),
        ("corpus features nowhere", "no prepared corpus in"),
        ("corpus prepare folder --path nowhere --out out", "nowhere"),
        ("corpus prepare timit --path nowhere --out out", "nowhere"),
        ("corpus prepare librispeech --path nowhere --out out", "nowhere"),
        ("corpus prepare cutset --path nowhere.jsonl.gz --out out", "nowhere.jsonl.gz"),
        ("corpus prepare espeak --voice 3 --out out", "perhaps --voices?"),
        ("corpus prepare espeak --voices 0 --out out", "voices"),
        ("corpus prepare espeak --hours nan --out out", "hours"),
        ("corpus prepare espeak --workers 0 --hours 0.01 --voices 2 --out out", "workers"),
    ],
)
def test_a_mistake_is_explained_and_creates_nothing(
    command: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in said_of(command.split(), capsys)


def test_underscores_and_equals_signs_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no prepared corpus" in said_of(["study", "--corpus=nowhere", "--learning_rates", "qk=1e-3"], capsys)


def test_an_option_is_suggested_by_its_last_part_or_its_start() -> None:
    flags = ["--model.width", "--timing.width", "--learning-rate", "--jobs"]
    assert nearest_option("--width", flags) == "; perhaps --model.width or --timing.width?"
    assert nearest_option("--learning", flags) == "; perhaps --learning-rate?"
    assert nearest_option("--unheard", flags) == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "corpus prepare folder --path . --shortest-seconds -1",
            "--shortest-seconds must be above 0 and below --",
        ),
        ("extract model in --out out --batch-seconds -1", "--batch-seconds must be above 0"),
    ],
)
def test_refused_values_are_named_by_their_options(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err
