"""Files of weights in CTranslate2's format: what was written is read, and whatever contradicts itself is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from inattention.encoders.ctranslate2.model_file import CTranslate2Error, parse_model_file, read_model_file
from made_ctranslate2 import model_bin, stored

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)
SMALL = {"a/weight": ("float32", MATRIX), "a/number": ("int16", np.asarray(5, np.int16))}


def test_variables_and_aliases_are_read(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(model_bin(SMALL, aliases={"b": "a/weight"}))
    file = read_model_file(tmp_path / "model.bin")
    assert (file.specification, file.revision) == ("WhisperSpec", 3)
    assert list(file.variables) == ["a/weight", "a/number", "b"]
    np.testing.assert_array_equal(file.variables["b"].numbers(), MATRIX)
    assert file.variables["a/number"].values.shape == ()
    assert int(file.variables["a/number"].values) == 5


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_floating_point_numbers_of_every_type(kind: str) -> None:
    values = torch.tensor([1.5, -0.0078125, 300.0])  # exact in all of them
    variable = parse_model_file(model_bin({"a": (kind, stored(values, kind))}, aliases={})).variables["a"]
    assert variable.is_float
    np.testing.assert_array_equal(variable.numbers(), values.numpy())


def test_a_file_cut_off_anywhere_is_refused_with_the_place() -> None:
    whole = model_bin(SMALL, aliases={"b": "a/weight"})
    for length in range(len(whole)):
        with pytest.raises(CTranslate2Error, match="cut off at byte"):
            parse_model_file(whole[:length])
    with pytest.raises(CTranslate2Error, match="1 bytes after its end"):
        parse_model_file(whole + b"\0")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CTranslate2Error, match="none: cannot be read"):
        read_model_file(tmp_path / "none")
    (tmp_path / "model.bin").write_bytes(b"PK\3\4 a zip file")
    with pytest.raises(CTranslate2Error, match=r"model\.bin: is not a model\.bin of CTranslate2"):
        read_model_file(tmp_path / "model.bin")
    with pytest.raises(CTranslate2Error, match="version 4 to 6"):
        parse_model_file(model_bin(SMALL, version=3))


def one(shape: tuple[int, ...], type_number: int, size: int, name: bytes = b"a\0") -> bytes:
    """A file with one variable whose head says what it likes."""
    head = struct.pack("<IH5sII", 6, 5, b"Spec\0", 1, 1) + struct.pack("<H", len(name)) + name
    return head + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, type_number, size) + bytes(min(size, 64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (one((2**32 - 1,) * 8, 0, 4), "in 4 bytes"),
        (one((2,) * 9, 0, 4), "9 dimensions"),
        (one((1,), 6, 4), "unknown type 6"),
        (one((0, 2**32 - 1), 0, 0), "without numbers"),
        (one((2**28,), 1, 2**28), "cut off"),  # and no memory is set aside for it
        (one((1,), 0, 4, b"\xff\xfe\0"), "invalid name"),
        (one((1,), 0, 4, b"a\n\0"), "invalid name"),
        (one((1,), 0, 4, b"a" * 2000), "invalid name"),
    ],
)
def test_a_head_that_contradicts_the_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(CTranslate2Error, match=message):
        parse_model_file(content)


def test_names_are_unique_and_aliases_point_to_variables() -> None:
    twice = model_bin(SMALL, aliases={}).replace(b"a/number\0", b"a/weight\0")
    with pytest.raises(CTranslate2Error, match="two variables named 'a/weight'"):
        parse_model_file(twice)
    for aliases in ({"b": "nothing"}, {"a/number": "a/weight"}):
        with pytest.raises(CTranslate2Error, match="cannot be resolved"):
            parse_model_file(model_bin(SMALL, aliases=aliases))
