"""Presets: settings of a study that takes minutes, most of an hour, hours, half a day, or the paper's GPUs."""

from dataclasses import replace

from inattention.audio.config import FeatureConfig
from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import MaskingConfig, PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.text import closest
from inattention.timing.config import TimingConfig

# The rows of the paper's Table 2, in its order; then rows that it lacks: controls, and other initialisations.
PAPER_ROWS = (
    "mel",
    "qk",
    "shared-qk",
    "sparse-strided",
    "sparse-fixed",
    "sign-alsh",
    "xbox",
    "xbox-qnf",
    "simple-lsh",
    "simple-alsh",
    "synthesizer-dense",
    "synthesizer-dense-multihead",
    "synthesizer-random",
    "patterned@logits",
)
CONTROL_ROWS = ("mel-no-cmvn", "qk@identity", "patterned", "uniform", "none", "patterned@untrained")

# Rows run in this order (tables group them by family): first those that show whether the size is right.
_FIRST_ROWS = ("mel", "qk@identity", "none", "toeplitz", "patterned", "qk", "patterned@logits")
_FURTHER_ROWS = ("local", "shared-qk@identity", "xbox@per-query", "qk@identity@untrained", "toeplitz@untrained")
LAPTOP_ROWS = tuple(dict.fromkeys((*_FIRST_ROWS, *PAPER_ROWS, *CONTROL_ROWS, *_FURTHER_ROWS)))
REPEATED_ROWS = (
    "mel",
    "qk",
    "qk@identity",
    "shared-qk",
    "shared-qk@identity",
    "synthesizer-random",
    "patterned",
    "patterned@logits",
    "toeplitz",
)

# The long study: what `toeplitz` is compared with first, then the paper's rows and controls.
_LONG_FIRST_ROWS = ("mel", "toeplitz", "qk@identity", "qk@toeplitz", "none", "patterned", "shared-qk@identity")
_UNTRAINED_ROWS = ("qk@identity@untrained", "toeplitz@untrained", "patterned@untrained")
DESKTOP_ROWS = tuple(dict.fromkeys((*_LONG_FIRST_ROWS, *PAPER_ROWS, "uniform", "local", *_UNTRAINED_ROWS)))
DESKTOP_REPEATED_ROWS = (
    "mel",
    "toeplitz",
    "qk@identity",
    "qk@toeplitz",
    "none",
    "patterned",
    "patterned@logits",
    "synthesizer-random",
)

_LAPTOP = StudyConfig(
    rows=LAPTOP_ROWS,
    seeds=(0, 1, 2),
    repeated=REPEATED_ROWS,
    # Chosen on dev: results/queen/learning_rates.json.
    learning_rates=("qk@identity=5e-4", "shared-qk@identity=5e-4"),
    espeak=EspeakConfig(hours=3, voices=40),
    model=AudioTransformerConfig(width=192, feed_forward=768, max_length=96, features=FeatureConfig(deltas=False)),
    training=PretrainingConfig(steps=800, batch_size=16, clip=1.0, validate_every=80, held_out_draws=2, snapshots=4),
    probes=ProbeConfig(labelled_utterances=800, balanced_speakers=True, step_batch_size=512, hidden_width=256),
    # Two layers, since all are alike: a third of the time, and nearly the same ratios.
    timing=TimingConfig(layers=2, lengths=(500, 1000), exponent_lengths=()),
)

PRESETS: dict[str, StudyConfig] = {
    # All parts in minutes on two cores: a check that they work; it supports no claim about speech.
    "smoke": StudyConfig(
        rows=(*PAPER_ROWS, *CONTROL_ROWS),
        espeak=EspeakConfig(hours=1 / 4, voices=16),
        model=AudioTransformerConfig(width=96, feed_forward=192, max_length=128),
        training=PretrainingConfig(
            steps=100, batch_size=16, learning_rate=3e-3, validate_every=10, held_out_draws=2, warmup=0.1
        ),
        probes=ProbeConfig(hidden_width=192, step_batch_size=512, epochs=100, patience=1),
        timing=TimingConfig(layers=1, lengths=(500,), rounds=3, seconds=0.0, exponent_lengths=()),
        time_own_size=False,
    ),
    # Within 40 minutes on two cores: what pre-training adds to an encoder, where labels are few. The learning rows
    # that may turn out best have untrained copies for comparison.
    "short": StudyConfig(
        rows=(
            *MEL_ROWS,
            "qk",
            "qk@identity",
            "patterned@logits",
            "patterned",
            "toeplitz",
            "none",
            "qk@identity@untrained",
            "patterned@untrained",
            "toeplitz@untrained",
        ),
        espeak=EspeakConfig(hours=3, voices=40),
        model=AudioTransformerConfig(width=192, feed_forward=768, max_length=96, features=FeatureConfig(deltas=False)),
        training=PretrainingConfig(steps=900, batch_size=24, learning_rate=5e-4, clip=1.0, held_out_draws=1),
        probes=ProbeConfig(labelled_utterances=120, step_batch_size=512),
        timing=TimingConfig(lengths=(500,), rounds=5, seconds=0.0, exponent_lengths=()),
    ),
    # Hours on two cores: long enough for attention to learn something. Meant for the queen corpus (--corpus);
    # without a corpus, espeak is the control with exact phones.
    "laptop": _LAPTOP,
    # Half a day, 11 hours of one thread by the times of `laptop`: the same encoders, five times as many steps. Most
    # rows of `laptop` end while they still learn.
    "desktop": replace(
        _LAPTOP,
        rows=DESKTOP_ROWS,
        repeated=DESKTOP_REPEATED_ROWS,
        curve_rows=("toeplitz", "qk@identity", "qk@toeplitz", "patterned"),
        curve_steps=(100, 200, 400, 800, 1600),
        training=replace(_LAPTOP.training, steps=4000, validate_every=200),
    ),
    # The paper's setting, its leaking task included, for GPUs and LibriSpeech (--corpus).
    "paper": StudyConfig(
        rows=(*PAPER_ROWS, *CONTROL_ROWS),
        seeds=(0, 1, 2),
        model=AudioTransformerConfig(features=FeatureConfig()),
        training=PretrainingConfig(
            steps=500_000,
            batch_size=50,
            optimiser="lamb",
            learning_rate=5e-5,
            target="linear",
            masking=MaskingConfig(span_steps=1, start_every=3, before_deltas=False),
            workers=4,
        ),
    ),
}


def preset(name: str) -> StudyConfig:
    """Return a preset by name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}{closest(name, PRESETS)}")
    return PRESETS[name]
