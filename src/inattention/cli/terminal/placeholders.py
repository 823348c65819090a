"""Placeholders of values in help texts, such as ``SECONDS``: what is wanted and, of numbers, the unit."""

from typing import Any

# Of whole numbers and floats: the unit, or N for a count, of what the help line says.
NUMBERS = {
    "FRACTION": "train dev test rate_spread warmup proportion zeroed replaced bound",
    "FRAMES": "max_length delta_frames stack span_steps start_every step_batch_size lengths exponent_lengths "
    "crop_steps",
    "UTTERANCES": "batch_size labelled_utterances utterance_batch_size batch_sizes utterances held_out",
    "EPOCHS": "epochs patience utterance_patience",
    "STEPS": "snapshots_at steps validate_every",
    "SECONDS": "seconds block",
    "MINUTES": "minutes",
    "HOURS": "hours",
    "HZ": "sampling_rate",
    "DBFS": "noise_dbfs",
    "PITCH": "pitch_spread",
    "WORDS": "words_per_minute",
    "SAMPLES": "fft_size",
    "ENERGY": "log_floor",
    "FEATURES": "width feed_forward",
    "UNITS": "hidden_width",
    "MEGABYTES": "cache_megabytes",
    "RATE": "learning_rate",
    "FACTOR": "attention_rate decoder_rate token_weight weight_decay averaging betas",
    "NORM": "clip",
    "PROBABILITY": "dropout",
    "EPSILON": "epsilon norm_epsilon",
    "PERPLEXITY": "perplexity",
    "SEED": "seed seeds",
    "LAYER": "layer",
    "LEVEL": "speaker_level",
    "ROWS": "most_rows",
    "LINES": "lines lines_per_speaker until_lines",
    "N": "voices heads layers mels held_out_draws accumulate snapshots workers devices nodes bootstrap_draws threads "
    "rounds timing_rounds singles components cuts jobs examples start_windows",
}
NUMBER_ENDINGS = {
    "_seconds": "SECONDS",
    "_minutes": "MINUTES",
    "_hz": "HZ",
    "_fraction": "FRACTION",
    "_frames": "FRAMES",
    "_steps": "STEPS",
    "_utterances": "UTTERANCES",
    "_ms": "MILLISECONDS",
}
WORDS = {
    "ROW": "row rows only repeated against curve_rows",
    "STUDY": "studies",
    "NAME=RATE": "learning_rates",
    "MECHANISM": "attention",
    "FILE": "derive_maps draw",
    "FOLDER": "folder labels snapshots audio_root calibrate",
    "COLUMN": "audio speaker text",
    "MEASURE=BOUND": "until",
    "SUBSET": "subsets",
    "COMMIT": "revision",
}
SPLITS = ("train", "dev", "test")  # a fraction, a split's name or a file of cuts

_NUMBER = {name: placeholder for placeholder, names in NUMBERS.items() for name in names.split()}
_WORD = {name: placeholder for placeholder, names in WORDS.items() for name in names.split()}


def unit_of(name: str) -> str | None:
    """Return the unit of a number, as a placeholder; None if it is not known.

    >>> unit_of("window_seconds"), unit_of("heads"), unit_of("unheard_of")
    ('SECONDS', 'N', None)
    """
    if name in _NUMBER:
        return _NUMBER[name]
    return next((unit for ending, unit in NUMBER_ENDINGS.items() if name.endswith(ending)), None)


def placeholder(name: str, kind: Any) -> str:
    """Return the placeholder of an option's value.

    Args:
        name: the option, as a Python name.
        kind: its type, of one value.

    >>> from pathlib import Path
    >>> placeholder("dev", float), placeholder("dev", str), placeholder("corpus", Path)
    ('FRACTION', 'SPLIT', 'CORPUS')
    """
    if kind in (int, float):
        return unit_of(name) or ("N" if kind is int else "NUMBER")
    if name in SPLITS:
        return "SPLIT" if kind is str else "CUTS"
    return _WORD.get(name, name.upper().replace("_", "-"))
