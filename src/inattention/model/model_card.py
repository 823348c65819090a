"""The model card: the README that is saved beside a model's weights."""

from typing import Any

from inattention import attention
from inattention.model.config import AudioTransformerConfig
from inattention.model.encoder import Encoder
from inattention.model.reach import UnlimitedReach, limit_encoder, reach_seconds

TEMPLATE = """---
{{ card_data }}
---

# Speech encoder with `{{ config.attention }}` attention

It turns speech, sampled at {{ config.features.sampling_rate }} Hz, into features of {{ config.width }} numbers, one
frame every {{ step }} ms. Made with the Python package `inattention`.

```python
import inattention

model = inattention.AudioTransformer.from_pretrained(".")  # this folder, or its name on the hub
features = model.extract("speech.flac")  # any rate, any length
features.values  # (time, {{ config.width }})
features.times  # time of each frame's centre in seconds
```

| | |
|---|---|
| attention | {{ card.label }}, {{ card.citation }}{{ "; input-independent" if card.input_independent }} |
| its options | {{ options or "defaults" }} |
| layers | {{ config.layers }}, {{ sharing }} |
| width, heads, feed-forward | {{ config.width }}, {{ config.heads }}, {{ config.feed_forward }} |
| input | {{ config.input_size }} numbers per frame: {{ input }} |
| longest input | {{ config.max_length }} frames ({{ longest }} s); longer audio is encoded in overlapping chunks |
| a frame depends on | {{ reach }} |
| parameters | {{ parameters }} |
"""


def card_fields(config: AudioTransformerConfig, parameters: int, encoder: Encoder) -> dict[str, Any]:
    """Return the fields of the template for a model.

    Args:
        config: the model's config.
        parameters: number of its parameters.
        encoder: the encoder.
    """
    features = config.features
    kinds = [f"{features.mels} log-mel", "deltas" if features.deltas else ""]
    kinds.append("normalised over the utterance" if features.normalise else "")
    kinds.append(f"{features.stack} frames stacked" if features.stack > 1 else "")
    return {
        "config": config,
        "card": attention.card(config.attention),
        "step": f"{1000 * features.step_seconds:g}",
        "longest": f"{config.max_length * features.step_seconds:.3g}",
        "options": ", ".join(f"`{key}={value!r}`" for key, value in sorted(config.attention_options.items())),
        "sharing": "one set of weights" if config.share_layers else "each its own weights",
        "input": ", ".join(kind for kind in kinds if kind),
        "parameters": f"{parameters:,}",
        "reach": _reach(encoder),
    }


def _reach(encoder: Encoder) -> str:
    """Return in words what a frame of the output depends on."""
    features = encoder.config.features
    try:
        back, ahead = reach_seconds(limit_encoder(encoder).reach, features)
    except UnlimitedReach:
        return "all of its chunk"
    words = f"{back:.3g} s of audio before its centre and {ahead:.3g} s behind it, with `block_seconds`"
    return words + (", and the mean and deviation of the recording" if features.normalise else "")
