"""What audio may be, in plain numbers: light to import, for processes that need no tensors."""

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64")

# Beyond these no recording of speech lies; a header that says so is broken, and resampling by it would not end.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000

# Samples that all lie within so much are silence: three steps of 16 bits, which hold dither and rounding alone (two
# channels that cancel out, say), and are far under the floor of the log-mel features.
SILENCE = 1e-4

# A file may be a little longer or shorter than its cut says (codecs pad); more means that it is another file.
DURATION_TOLERANCE_SECONDS = 0.1
