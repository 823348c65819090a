"""The sheet of masks and maps: it shows every mechanism by its own weights."""

import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inattention.analysis.mechanism_sheet import HEADS, STEPS, Picture, draw_sheet, pictures_of, save_sheet, sheet_svg
from inattention.attention import card, mechanisms, options_of
from inattention.attention.base import Drawing
from inattention.attention.rows import parse_row
from inattention.cli import main


@pytest.mark.parametrize("name", mechanisms())
def test_every_mechanism_can_be_drawn_and_its_heads_differ(name: str) -> None:
    pictures = pictures_of(parse_row(name))
    drawing = card(name).drawing
    assert set(drawing.options) <= set(options_of(name))
    assert len(pictures) == len(drawing.heads)
    assert len({picture.caption for picture in pictures}) == len(pictures)
    for picture in pictures:
        if not card(name).linear_map:
            assert picture.weights is None
            continue
        assert picture.weights is not None
        assert picture.weights.shape == (STEPS, STEPS)
        if drawing.mask:  # else there is nothing to see
            assert 0.02 < (picture.weights > 0).mean() < 0.6
        elif card(name).averages:
            assert np.allclose(picture.weights.sum(-1), 1, atol=1e-5)


def test_pictures_are_the_masks_of_the_definitions() -> None:
    i, j = np.indices((STEPS, STEPS))
    near, strides = pictures_of(parse_row("sparse-strided"))
    assert near.weights is not None
    assert strides.weights is not None
    assert np.array_equal(near.weights > 0, abs(i - j) <= 6)
    assert np.array_equal(strides.weights > 0, (i - j) % 6 == 0)


def test_options_of_a_row_override_those_of_the_drawing() -> None:
    assert card("xbox").drawing.options == {"keys": 8}
    (few,), (many,) = (pictures_of(parse_row(row)) for row in ("xbox", "xbox@keys=12"))
    assert isinstance(few, Picture)
    assert few.weights is not None
    assert many.weights is not None
    assert (few.weights > 0).sum() == 8 * STEPS
    assert (many.weights > 0).sum() == 12 * STEPS


def test_heads_that_options_make_equal_are_shown_once_and_without_a_caption() -> None:
    (picture,) = pictures_of(parse_row(f"sparse-strided@head_split={HEADS}"))
    assert picture.caption == ""


def test_a_plain_card_is_drawn_by_its_first_head() -> None:
    assert card("qk").drawing == Drawing()
    assert [it.name for it in fields(Drawing)] == ["heads", "mask", "options"]
    assert replace(Drawing(), mask=True).heads == {0: ""}


def test_the_sheet_names_all_rows_in_text_by_family_and_is_reproducible() -> None:
    svg = sheet_svg()
    words = re.findall(r">([^<>]+)</text>", svg)
    assert set(mechanisms()) <= set(words)
    assert {card(name).label for name in mechanisms()} <= set(words)
    assert words.index("qk") < words.index("xbox") < words.index("toeplitz") < words.index("uniform")
    assert svg.count("<image") >= 40
    assert svg == sheet_svg()


def test_a_row_that_is_written_in_two_ways_is_drawn_once() -> None:
    assert sheet_svg(["qk", "patterned@log-weights", "patterned"]).count(">patterned<") == 1


def test_texts_and_pictures_do_not_overlap_and_stay_inside() -> None:
    figure = draw_sheet()
    figure.draw_without_rendering()
    frame = figure.get_window_extent()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    boxes += [image.get_window_extent() for image in figure.axes[0].images]
    for number, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        for other in boxes[:number]:
            wide = min(box.x1, other.x1) - max(box.x0, other.x0)
            high = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert wide < 1 or high < 3


def test_the_format_of_a_file_follows_from_its_suffix(tmp_path: Path) -> None:
    for name in ("sheet.svg", "sheet.html", "new/sheet.png"):
        save_sheet(tmp_path / name, ["qk", "fnet"])
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.size[0] > 1500
    assert (tmp_path / "sheet.svg").read_text().startswith("<?xml")
    page = (tmp_path / "sheet.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "xbox" not in page
    assert ">fnet<" in page
    with pytest.raises(ValueError, match=r"\.svg, \.png or \.html, not as 'sheet\.gif'"):
        save_sheet(tmp_path / "sheet.gif")
    assert not (tmp_path / "sheet.gif").exists()


def test_the_command_draws_to_the_given_or_the_default_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mechanisms", "--draw", "--rows", "qk", "xbox@per-query"]) == 0
    assert ">xbox@per-query<" in (tmp_path / "mechanisms.svg").read_text()
    assert main(["mechanisms", "--draw", "masks.html", "--rows", "none"]) == 0
    assert (tmp_path / "masks.html").exists()
    assert main(["mechanisms", "--draw", "masks.gif"]) == 2
    assert main(["mechanisms", "--draw", "--rows", "xbx"]) == 2
    assert "perhaps 'xbox'" in capsys.readouterr().err
