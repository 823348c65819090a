"""Derived maps and conversion on the command line, from a trained encoder to one that starts from its maps."""

from pathlib import Path

import pytest

from inattention import cli
from inattention.attention.ops.map_files import read_maps
from inattention.model.transformer import AudioTransformer
from small_models import small_model
from speech import make_corpus

SMALL = ("--model.width", "24", "--model.feed-forward", "24", "--model.layers", "2", "--model.max-length", "30")
SHORT = ("--training.steps", "2", "--training.batch-size", "4", "--training.held-out-draws", "1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_corpus(tmp_path / "tones", {"train": 8, "dev": 4, "test": 4})
    small_model(attention="qk").save_pretrained("qk@identity-0")
    return tmp_path


def test_maps_are_derived_and_an_encoder_starts_from_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = "qk@identity-0/maps/derived.safetensors"
    options = ("--utterances", "8", "--crop-steps", "20", "--singles", "4")
    assert not cli.main(
        ["analyze", "qk@identity-0", "--corpus", "tones", "--out", "a", "--derive-maps", maps, *options]
    )
    assert "least squares is better than the mean map in" in capsys.readouterr().out
    assert read_maps(maps).shape == (2, 12, 20, 20)
    for row in (f"patterned@init={maps}", "patterned@categories=diagonal=6,sparse=6"):
        out = row.partition("=")[0]
        assert not cli.main(["pretrain", "--corpus", "tones", "--row", row, "--out", out, *SMALL, *SHORT])
    Path(maps).unlink()
    model = AudioTransformer.from_pretrained("patterned@init")
    assert model.config.attention_options == {"init": maps}


def test_an_encoder_is_converted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["convert", "qk@identity-0", "--corpus", "tones", "--out", "converted", "--no-probed", "--steps", "2"]
    options = [
        "--utterances",
        "6",
        "--held-out",
        "4",
        "--crop-steps",
        "20",
        "--timing-rounds",
        "1",
        "--batch-size",
        "4",
    ]
    assert not cli.main([*words, *options])
    printed = capsys.readouterr().out
    assert "after distillation" in printed
    assert AudioTransformer.from_pretrained("converted").config.attention == "patterned"
    assert not cli.main([*words, *options])
    assert printed.endswith(capsys.readouterr().out)  # reported again, without a progress bar of a distillation


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pretrain", "--row", "patterned@init=gone.safetensors", "--out", "r"], "gone.safetensors: cannot be read"),
        (["pretrain", "--row", "patterned@categories=diagnal=12", "--out", "r"], "perhaps 'diagonal'"),
        (["pretrain", "--row", "patterned@categorie=diagonal=12", "--out", "r"], "perhaps 'categories'"),
        (["study", "--only", "patterned@init=gone.safetensors", "--out", "s"], "gone.safetensors: cannot be read"),
        (["convert", "nowhere", "--out", "c"], "nowhere"),
    ],
)
def test_errors_are_reported_in_one_line(
    words: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--corpus", "tones"]) == 2
    assert says in capsys.readouterr().err
