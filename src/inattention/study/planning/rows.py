"""Rows of a study: a mechanism with its options and, where a row differs in more than its attention, settings.

A setting is a part of the row's name with a dot in it: ``toeplitz@model.maps=per-layer`` or
``patterned@training.learning_rate=2e-3``. It replaces that setting of the study's model or training, in this row
alone. The rows ``mel`` and ``mel-no-cmvn`` are the input features themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import quote

from inattention import attention
from inattention.attention import Card
from inattention.attention.rows import UNTRAINED, parse_row
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.text import nearest

# Settings that no row may have for itself: those that its mechanism decides, and those that all rows must share.
_NOT_A_ROWS_OWN = {"model": ("attention", "attention_options", "features"), "training": ("masking", "betas")}
_FEATURE_LABELS = {"mel": "Mel", "mel-no-cmvn": "Mel, not normalised"}
UNKNOWN_FAMILY = "unknown"  # of mechanisms that are not installed here
LONGEST_NAME = 150  # of a row in a folder's name, which file systems end at 255 bytes


@dataclass(frozen=True)
class StudyRow:
    """A row of a study.

    Attributes:
        name: canonical text, the same for all ways to write the same row.
        mechanism: name of the attention mechanism; of a feature row, the row's own name.
        variant: mechanism and options alone, as `inattention.attention.rows` writes them.
        options: options of the mechanism that differ from their defaults.
        settings: settings of model and training that this row replaces, such as ``model.maps``.
        untrained: whether the encoder is probed as initialised.
        label: name in words, for tables.
        family: name of the family in which tables group it.
    """

    name: str
    mechanism: str
    variant: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    untrained: bool = False
    label: str = ""
    family: str = UNKNOWN_FAMILY

    @property
    def card(self) -> Card | None:
        """Card of the mechanism; None for feature rows, and for a mechanism that is not installed here."""
        return _card(self.mechanism)  # not a field: cards hold functions, and rows travel to worker processes

    @property
    def is_features(self) -> bool:
        """Whether the row is the input features, without any model."""
        return self.name in MEL_ROWS

    @property
    def is_timed(self) -> bool:
        """Whether times are measured for it or its trained copy: for encoders that differ in attention alone."""
        return not self.is_features and not self.settings

    @property
    def trained(self) -> str:
        """Name of the same row, trained; of a trained row its own name."""
        return self.name.removesuffix(f"@{UNTRAINED}")

    @property
    def file_name(self) -> str:
        """The name as part of a file name (see `file_name`)."""
        return file_name(self.name)

    def settings_of(self, record: str) -> dict[str, Any]:
        """Return this row's own settings of ``model`` or of ``training``."""
        return {key.partition(".")[2]: value for key, value in self.settings.items() if key.startswith(f"{record}.")}


def parse_study_row(text: str) -> StudyRow:
    """Parse a row.

    Raises:
        ValueError: for an unknown row, mechanism, variant, option or setting (the message names the nearest), or a
            value of the wrong type.

    >>> parse_study_row("toeplitz@untrained@training.steps=50").name
    'toeplitz@training.steps=50@untrained'
    """
    if text in MEL_ROWS:
        return StudyRow(text, text, text, label=_FEATURE_LABELS[text], family="mel")
    mechanism, *parts = text.split("@")
    known = [*MEL_ROWS, *attention.mechanisms()]
    if mechanism not in known:
        raise ValueError(f"there is no row {text!r}{nearest(mechanism, known)}")
    parsed = parse_row("@".join([mechanism, *(part for part in parts if not is_setting(part))]))
    settings = dict(_setting(text, part) for part in parts if is_setting(part))
    written = [f"{name}={value}" for name, value in sorted(settings.items())]
    variant = parsed.name.removesuffix(f"@{UNTRAINED}")
    name = "@".join([variant, *written, *([UNTRAINED] if parsed.untrained else [])])
    label, family = _label_and_family(name)
    return StudyRow(name, mechanism, variant, parsed.options, settings, parsed.untrained, label, family)


def recorded_row(text: str) -> StudyRow:
    """Return a row that a results file names, whether or not it can be run here.

    The mechanism may be a plug-in's that is not installed, or an option may have been removed since: its name alone
    is then known, and its options and settings are empty.
    """
    try:
        return parse_study_row(text)
    except ValueError:
        label, family = _label_and_family(text)
        mechanism = text.partition("@")[0]
        return StudyRow(text, mechanism, text, untrained=text.endswith(f"@{UNTRAINED}"), label=label, family=family)


def parse_rows(texts: Iterable[str]) -> tuple[StudyRow, ...]:
    """Parse rows; repeated ones count once.

    Raises:
        ValueError: for a row that does not exist; the message names the nearest.
    """
    return tuple({row.name: row for row in map(parse_study_row, texts)}.values())


def is_setting(part: str) -> bool:
    """Return whether a part of a row's name is a setting of its model or training.

    >>> is_setting("model.maps=per-layer"), is_setting("init=maps.safetensors")
    (True, False)
    """
    name, given, _ = part.partition("=")
    return bool(given) and name.partition(".")[0] in _NOT_A_ROWS_OWN and "." in name


def file_name(row: str) -> str:
    """Return a row's name as part of a file name: without separators of folders, and not too long.

    >>> file_name("patterned@init=../maps.safetensors")
    'patterned@init=..%2Fmaps.safetensors'
    """
    name = quote(row, safe="@=,+ ")
    return name if len(name) <= LONGEST_NAME else f"{name[:40]}...{name[40 - LONGEST_NAME :]}"


def model_of(row: StudyRow, config: StudyConfig) -> AudioTransformerConfig:
    """Return the settings of a row's encoder."""
    own = row.settings_of("model")
    return replace(config.model, attention=row.mechanism, attention_options=dict(row.options), **own)


def training_of(row: StudyRow, config: StudyConfig, rates: Mapping[str, float]) -> PretrainingConfig:
    """Return the settings of a row's training; an untrained row makes no step.

    Args:
        row: the row.
        config: the study's settings.
        rates: what `parse_rates` returned. The row's own setting comes first, then the rate of the row, of its
            mechanism, and of its family.
    """
    rate = next((rates[name] for name in (row.variant, row.mechanism, row.family) if name in rates), None)
    settings = {} if rate is None else {"learning_rate": rate}
    training = replace(config.training, **{**settings, **row.settings_of("training")})
    return replace(training, steps=0) if row.untrained else training


def parse_rates(texts: Sequence[str]) -> dict[str, float]:
    """Parse ``NAME=RATE``, where the name is a row's, a mechanism's or a family's.

    Raises:
        ValueError: for other text, an unknown name or one that is given twice.
    """
    families = {attention.card(name).family for name in attention.mechanisms()} if texts else set()
    rates: dict[str, float] = {}
    for text in texts:
        name, _, rate = text.rpartition("=")
        if name and name not in families:
            name = parse_study_row(name).name
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


def _setting(row: str, part: str) -> tuple[str, Any]:
    """Parse ``record.name=value`` as the type of the setting's default."""
    path, _, text = part.partition("=")
    record, _, name = path.partition(".")
    defaults = AudioTransformerConfig() if record == "model" else PretrainingConfig()
    known = [it.name for it in fields(defaults) if it.name not in _NOT_A_ROWS_OWN[record]]
    if name not in known:
        raise ValueError(f"row {row!r}: there is no setting {path!r} of a row's own{nearest(name, known)}")
    default = getattr(defaults, name)
    try:
        if isinstance(default, bool):
            return path, {"true": True, "false": False}[text.lower()]
        return path, type(default)(text)
    except (KeyError, ValueError):
        raise ValueError(f"row {row!r}: {path} takes a {type(default).__name__}, not {text!r}") from None


def _card(mechanism: str) -> Card | None:
    return attention.card(mechanism) if mechanism in attention.mechanisms() else None


def _label_and_family(name: str) -> tuple[str, str]:
    mechanism, *parts = name.split("@")
    card = _card(mechanism)
    return ", ".join([card.label if card else mechanism, *parts]), card.family if card else UNKNOWN_FAMILY
