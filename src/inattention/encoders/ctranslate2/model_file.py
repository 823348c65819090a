"""The file of weights of CTranslate2 (`model.bin`), read without CTranslate2.

All numbers are little-endian. The file holds a version, the name and revision of a model specification, the variables
and their aliases:

    uint32 version | string specification | uint32 revision
    uint32 count   | string name | uint8 rank | uint32 dimension (rank times) | uint8 type | uint32 bytes | data ...
    uint32 count   | string alias | string name ...

A string is a uint16 length and as many bytes, the last one NUL. The file may come from anywhere, so every length is
checked against the file before anything is read, and no more memory is used than the file has bytes.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VERSIONS = range(4, 7)  # before 4, variables had no types
MOST_DIMENSIONS = 8
LONGEST_NAME = 1024

BFLOAT16 = "bfloat16"  # NumPy has no such type; the upper half of a float32
TYPES: tuple[str, ...] = ("float32", "int8", "int16", "int32", "float16", BFLOAT16)


class CTranslate2Error(ValueError):
    """A folder cannot be imported; the message states the file, the place in it, and what is wrong."""


@dataclass(frozen=True)
class Variable:
    """A variable of the file.

    Attributes:
        type: one of `TYPES`.
        values: the stored numbers, a read-only view of the file; those of bfloat16 are uint16.
    """

    type: str
    values: np.ndarray

    @property
    def is_float(self) -> bool:
        """Whether the numbers are floating point, not quantised."""
        return self.type in ("float32", "float16", BFLOAT16)

    def numbers(self) -> np.ndarray:
        """Return the stored numbers as float32."""
        if self.type == BFLOAT16:
            return (self.values.astype(np.uint32) << 16).view(np.float32)
        return self.values.astype(np.float32)


@dataclass(frozen=True)
class ModelFile:
    """The content of a file of weights.

    Attributes:
        specification: kind of model, such as WhisperSpec.
        revision: of the specification.
        variables: by name; aliases are names of the same variable.
    """

    specification: str
    revision: int
    variables: dict[str, Variable]


def read_model_file(path: Path) -> ModelFile:
    """Read a file of weights.

    Raises:
        CTranslate2Error: if it cannot be read, is cut off, or is not in this format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CTranslate2Error(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return parse_model_file(content)
    except CTranslate2Error as error:
        raise CTranslate2Error(f"{path}: {error}") from None


def parse_model_file(content: bytes) -> ModelFile:
    """Parse the bytes of a file of weights.

    Raises:
        CTranslate2Error: if they are cut off or not in this format; the message states the place.
    """
    reader = _Reader(content)
    version = reader.number("I", "version")
    if version not in VERSIONS:
        raise CTranslate2Error(
            f"is not a model.bin of CTranslate2, version {VERSIONS[0]} to {VERSIONS[-1]} (it starts with {version}); "
            "convert the model again with a current CTranslate2"
        )
    specification, revision = reader.string("specification"), reader.number("I", "revision")
    variables: dict[str, Variable] = {}
    for _ in range(reader.number("I", "number of variables")):
        name = reader.string("name of a variable")
        if name in variables:
            raise CTranslate2Error(f"has two variables named {name!r}")
        variables[name] = reader.variable(name)
    for _ in range(reader.number("I", "number of aliases")):
        alias, name = reader.string("alias"), reader.string("name of an alias")
        if name not in variables or alias in variables:
            raise CTranslate2Error(f"has an alias {alias!r} of {name!r} that cannot be resolved")
        variables[alias] = variables[name]
    if reader.place != len(content):
        raise CTranslate2Error(f"has {len(content) - reader.place} bytes after its end, at byte {reader.place}")
    return ModelFile(specification, revision, variables)


class _Reader:
    """A place in the bytes of a file, moved by each read and never beyond their end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, size: int, what: str) -> int:
        """Move on by some bytes and return where they start."""
        start = self.place
        if size > len(self.content) - start:
            raise CTranslate2Error(
                f"is cut off at byte {start}: {size} bytes of the {what} expected, {len(self.content) - start} present"
            )
        self.place += size
        return start

    def number(self, kind: str, what: str) -> int:
        """Read an unsigned integer; kind is a character of `struct`."""
        return int(struct.unpack_from(f"<{kind}", self.content, self.take(struct.calcsize(kind), what))[0])

    def string(self, what: str) -> str:
        """Read a string."""
        length = self.number("H", f"length of the {what}")
        start = self.take(length, what)
        data = self.content[start : self.place].rstrip(b"\0")
        if length > LONGEST_NAME or not data.isascii() or not data.decode("ascii").isprintable():
            raise CTranslate2Error(f"has an invalid {what} at byte {start}")
        return data.decode("ascii")

    def variable(self, name: str) -> Variable:
        """Read what follows the name of a variable."""
        rank = self.number("B", f"rank of {name}")
        if rank > MOST_DIMENSIONS:
            raise CTranslate2Error(f"has a variable {name} of {rank} dimensions, at byte {self.place - 1}")
        shape = tuple(self.number("I", f"shape of {name}") for _ in range(rank))
        number = self.number("B", f"type of {name}")
        if number >= len(TYPES):
            raise CTranslate2Error(f"has a variable {name} of the unknown type {number}, at byte {self.place - 1}")
        kind = TYPES[number]
        if 0 in shape:
            raise CTranslate2Error(f"has a variable {name} without numbers, of shape {shape}")
        dtype = np.dtype("uint16" if kind == BFLOAT16 else kind).newbyteorder("<")
        size = self.number("I", f"size of {name}")
        if math.prod(shape) * dtype.itemsize != size:
            raise CTranslate2Error(f"has a variable {name} of shape {shape} and type {kind} in {size} bytes")
        start = self.take(size, name)
        values = np.frombuffer(self.content, dtype, math.prod(shape), start).reshape(shape)
        return Variable(kind, values)
