"""Sizes of the study: minutes, most of an hour and hours on a laptop, and the paper's own."""

from inattention.audio.config import FeatureConfig
from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import MaskingConfig, PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.timing.config import TimingConfig

# The rows of the paper's Table 2, in its order; then what it lacks: controls, and other starts of its mechanisms.
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

# Those first that say whether the size is right: what is run is in this order, what is shown by family.
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

PRESETS: dict[str, StudyConfig] = {
    # Everything at once, in minutes on two cores: the parts work; no claim about speech rests on it.
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
    # Within 40 minutes on two cores: what pre-training adds to an encoder, where labels are few. Each learning row
    # that may turn out best stands beside its own untrained copy.
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
    # Hours on two cores, resumable: long enough that attention has learned something. Meant for the queen corpus
    # (--corpus); without one, espeak is the control with exact phones.
    "laptop": StudyConfig(
        rows=LAPTOP_ROWS,
        seeds=(0, 1, 2),
        repeated=REPEATED_ROWS,
        # Chosen on dev: results/queen/learning_rates.json.
        learning_rates=("qk@identity=5e-4", "shared-qk@identity=5e-4"),
        espeak=EspeakConfig(hours=3, voices=40),
        model=AudioTransformerConfig(width=192, feed_forward=768, max_length=96, features=FeatureConfig(deltas=False)),
        training=PretrainingConfig(
            steps=800, batch_size=16, clip=1.0, validate_every=80, held_out_draws=2, snapshots=4
        ),
        probes=ProbeConfig(labelled_utterances=800, balanced_speakers=True, step_batch_size=512, hidden_width=256),
        # Two of the layers, which are all alike: a third of the time, and ratios that hardly differ.
        timing=TimingConfig(layers=2, lengths=(500, 1000), exponent_lengths=()),
    ),
    # The paper's setting, leak and all, for GPUs and LibriSpeech: give the prepared corpus with --corpus.
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
    """Give a preset by name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]
