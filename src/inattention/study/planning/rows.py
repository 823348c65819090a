"""Rows of a study: a mechanism with its options and, where a row differs in more than its attention, settings.

A setting is a part of the row's name with a dot in it: ``toeplitz@model.maps=per-layer`` or
``patterned@training.learning_rate=2e-3``. It stands for that setting of the study's model or training, in this row
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from inattention import attention
from inattention.attention.rows import UNTRAINED, Row, parse_row
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.text import nearest

# What the mechanism's own part of a row says, and what all rows must have in common to be compared.
_NOT_A_ROWS_OWN = {"model": ("attention", "attention_options", "features"), "training": ("masking", "betas")}


@dataclass(frozen=True)
class StudyRow:
    """A row of a study.

    Attributes:
        name: the canonical text, settings and all.
        row: the mechanism with its options.
        settings: by the name of a setting, such as ``model.maps``.
    """

    name: str
    row: Row
    settings: Mapping[str, Any]

    def of(self, record: str) -> dict[str, Any]:
        """Give the settings of ``model`` or of ``training``."""
        return {name.partition(".")[2]: value for name, value in self.settings.items() if name.startswith(f"{record}.")}


def parse_study_row(text: str) -> StudyRow:
    """Read a row with its settings.

    Raises:
        ValueError: for an unknown mechanism, variant, option or setting (the message names the nearest), or a value
            of the wrong type.

    >>> parse_study_row("toeplitz@training.steps=50@untrained").name
    'toeplitz@training.steps=50@untrained'
    """
    mechanism, *parts = text.split("@")
    own = [part for part in parts if not is_setting(part)]
    row = parse_row("@".join([mechanism, *own]))
    settings = dict(_setting(text, part) for part in parts if is_setting(part))
    written = [f"{name}={value}" for name, value in sorted(settings.items())]
    trained = row.name.removesuffix(f"@{UNTRAINED}")
    name = "@".join([trained, *written, *([UNTRAINED] if row.untrained else [])])
    return StudyRow(name, row, settings)


def is_setting(part: str) -> bool:
    """Whether a part of a row's name sets something of its model or training.

    >>> is_setting("model.maps=per-layer"), is_setting("init=maps.safetensors")
    (True, False)
    """
    name, given, _ = part.partition("=")
    return bool(given) and name.partition(".")[0] in _NOT_A_ROWS_OWN and "." in name


def read_rows(texts: Sequence[str]) -> list[str]:
    """Give rows by their canonical names, each once.

    Raises:
        ValueError: for a row that does not exist; the message names the nearest.
    """
    rows = []
    for text in texts:
        if text in MEL_ROWS:
            rows.append(text)
            continue
        mechanism = text.partition("@")[0]
        known = [*MEL_ROWS, *attention.mechanisms()]
        if mechanism not in known:
            raise ValueError(f"there is no row {text!r}{nearest(mechanism, known)}")
        rows.append(parse_study_row(text).name)
    return list(dict.fromkeys(rows))


def model_of(row: str, config: StudyConfig) -> AudioTransformerConfig:
    """Give the settings of a row's encoder."""
    parsed = parse_study_row(row)
    options = dict(parsed.row.options)
    return replace(config.model, attention=parsed.row.mechanism, attention_options=options, **parsed.of("model"))


def training_of(row: str, config: StudyConfig) -> PretrainingConfig:
    """Give the settings of a row's training; an untrained row makes no step.

    The learning rate is the row's own setting or else what ``learning_rates`` has for the row, its mechanism or its
    family, in this order.
    """
    parsed = parse_study_row(row)
    rates = read_rates(config.learning_rates)
    family = attention.card(parsed.row.mechanism).family
    plain = parse_study_row(parsed.row.name.removesuffix(f"@{UNTRAINED}")).name
    rate = next((rates[name] for name in (plain, parsed.row.mechanism, family) if name in rates), None)
    settings = {} if rate is None else {"learning_rate": rate}
    training = replace(config.training, **{**settings, **parsed.of("training")})
    return replace(training, steps=0) if parsed.row.untrained else training


def read_rates(texts: Sequence[str]) -> dict[str, float]:
    """Read ``NAME=RATE``, where the name is a row's, a mechanism's or a family's.

    Raises:
        ValueError: for other text, an unknown name or one that is given twice.
    """
    families = {attention.card(name).family for name in attention.mechanisms()} if texts else set()
    rates: dict[str, float] = {}
    for text in texts:
        name, _, rate = text.rpartition("=")
        if name not in families:
            name = parse_study_row(name).name if name else name
        try:
            value = float(rate)
        except ValueError:
            value = 0.0
        if not name or not value > 0:
            raise ValueError(f"learning_rates: {text!r} is not NAME=RATE with a rate above 0, such as qk=5e-4")
        if name in rates:
            raise ValueError(f"learning_rates: {name} is given twice")
        rates[name] = value
    return rates


def seeds_of(row: str, config: StudyConfig) -> tuple[int, ...]:
    """Give the seeds that a row is run with."""
    repeated = not config.repeated or row in read_rows(config.repeated)
    return config.seeds if repeated else config.seeds[:1]


def _setting(row: str, part: str) -> tuple[str, Any]:
    """Read ``record.name=value`` as the type that the setting's default has."""
    path, _, text = part.partition("=")
    record, _, name = path.partition(".")
    defaults = AudioTransformerConfig() if record == "model" else PretrainingConfig()
    known = [field.name for field in fields(defaults) if field.name not in _NOT_A_ROWS_OWN[record]]
    if name not in known:
        raise ValueError(f"row {row!r}: there is no setting {path!r} of a row's own{nearest(name, known)}")
    default = getattr(defaults, name)
    try:
        if isinstance(default, bool):
            return path, {"true": True, "false": False}[text.lower()]
        return path, type(default)(text)
    except (KeyError, ValueError):
        raise ValueError(f"row {row!r}: {path} takes a {type(default).__name__}, not {text!r}") from None
