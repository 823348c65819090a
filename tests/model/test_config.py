import json
from typing import Any

import pytest

from inattention.audio.config import FeatureConfig
from inattention.model.config import MOST_LAYERS, AudioTransformerConfig
from small_models import small_config


def test_the_defaults_are_the_paper_s():
    config = AudioTransformerConfig()
    assert (config.width, config.heads, config.feed_forward, config.layers) == (768, 12, 3072, 6)
    assert (config.share_layers, config.maps, config.dropout, config.norm_epsilon) == (True, "shared", 0.0, 1e-12)
    assert config.input_size == 480


def test_settings_travel_through_json():
    config = small_config(attention="qk", attention_options={"start": "identity", "gain": 0.5}, maps="per-layer")
    assert AudioTransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_left_out_has_its_default():
    assert AudioTransformerConfig.from_dict({"width": 24, "features": {"mels": 40}}) == AudioTransformerConfig(
        width=24, features=FeatureConfig(mels=40)
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "at least 1"),
        ({"layers": -1}, "at least 1"),
        ({"layers": MOST_LAYERS + 1}, "layers must be at most"),
        ({"width": 25}, r"width \(25\) must be a multiple of heads \(12\)"),
        ({"width": 15, "heads": 3}, "must be even"),
        ({"dropout": 1.0}, "dropout must lie in"),
        ({"dropout": float("nan")}, "dropout must lie in"),
        ({"norm_epsilon": 0.0}, "norm_epsilon must be a number above 0"),
        ({"norm_epsilon": float("inf")}, "norm_epsilon must be a number above 0"),
        ({"norm_epsilon": float("nan")}, "norm_epsilon must be a number above 0"),
        ({"widht": 24}, "no setting 'widht'; known: attention,"),
        ({"width": "24"}, "width must be a int, not '24'"),
        ({"width": 24.0}, "width must be a int, not 24.0"),
        ({"width": True}, "width must be a int, not True"),
        ({"share_layers": 1}, "share_layers must be a bool, not 1"),
        ({"attention": None}, "attention must be a str"),
        ({"attention_options": ["gain"]}, "attention_options must be a dict"),
        ({"features": 3}, "features must be a FeatureConfig"),
        ({"features": {"mel": 80}}, "file: features: there is no setting 'mel'"),
        ({"features": {"mels": "80"}}, "file: features: mels must be a int"),
        ({"features": {"hop_seconds": float("inf")}}, "hop_seconds must be a finite number"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        AudioTransformerConfig.from_dict(settings, source="file")


def test_maps_are_shared_or_not():
    config = small_config()
    object.__setattr__(config, "maps", "both")  # which the checks of tests would refuse before
    with pytest.raises(ValueError, match="maps must be 'shared' or 'per-layer', not 'both'"):
        config.__post_init__()
