"""Limits of usable audio, as plain numbers that are light to import."""

from typing import Literal

Truncated = Literal["skip", "keep"]
"""Treatment of a file that ends too early: it is skipped, or what is there is used."""

TRUNCATED = "is truncated"  # how the reason begins
KEEP_HINT = "--truncated keep uses what is there"

# What is expected to be audio by its name. Other files are audio if they begin like it, see `recognition`.
SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64"),
    *(".wave", ".bwf", ".rf64", ".aifc", ".snd", ".oga", ".sph", ".nist", ".voc", ".mp2", ".mpga"),
)

# No recording of speech is outside; such a header is broken, and resampling from its rate would not end.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000

# Samples within this range are silence: three quantisation steps of 16 bits, no more than dither and rounding (such as
# two channels that cancel out), and far below the floor of the log-mel features.
SILENCE = 1e-4

# A file may be a little longer or shorter than its cut (codecs pad); a greater difference means another file.
DURATION_TOLERANCE_SECONDS = 0.1
