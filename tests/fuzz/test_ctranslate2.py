"""Broken model files of CTranslate2: refused with a reason or read, never a crash, a hang or a large allocation.

INATTENTION_FUZZ sets the number of inputs.
"""

import os
import random
import re
import struct
import time

import pytest

from fuzz.inputs import broken
from inattention.encoders.ctranslate2.model_file import CTranslate2Error, parse_model_file
from inattention.encoders.ctranslate2.whisper_weights import whisper_weights
from made_ctranslate2 import model_bin, random_whisper, variables_of

pytest.importorskip("transformers")

INPUTS = int(os.environ.get("INATTENTION_FUZZ", "300"))
SECONDS = 2.0  # of one input


def test_a_broken_file_is_refused_or_read() -> None:
    sizes = {"vocabulary": 30, "d_model": 4, "encoder_ffn_dim": 4, "decoder_ffn_dim": 4, "encoder_attention_heads": 2}
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
    model = random_whisper(**sizes, **ids)
    valid = [model_bin(variables_of(model, kind)) for kind in ("float32", "float16", "bfloat16", "int8", "int16")]
    refused = 0
    for number in range(INPUTS):
        draw = random.Random(f"ctranslate2 {number}")
        data = _broken_head(draw.choice(valid), draw) if draw.random() < 0.5 else broken(draw.choice(valid), draw)
        began = time.perf_counter()
        try:
            whisper_weights(parse_model_file(data))
        except CTranslate2Error:
            refused += 1
        assert time.perf_counter() - began < SECONDS, number
    assert refused > INPUTS / 3


def _broken_head(data: bytes, draw: random.Random) -> bytes:
    """Set the shape, type or size of one variable, found by its name, to an extreme number."""
    names = [found.end() for found in re.finditer(rb"(?:weight|gamma|bias)\0", data)]
    place = draw.choice(names) + draw.randrange(16)
    number = draw.choice([0, 1, 7, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, draw.randrange(2**32)])
    patch = struct.pack("<I", number)[: draw.choice([1, 2, 4])]
    return data[:place] + patch + data[place + len(patch) :]
