import json
import subprocess
import sys

import pytest

from inattention.probing.config import TASKS, ProbeConfig


def test_config_survives_json() -> None:
    config = ProbeConfig(tasks=("phone-1-hidden", "speaker-frame"), layer="weighted", seed=3)
    assert ProbeConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_all_four_probes_run_by_default() -> None:
    assert ProbeConfig().tasks == TASKS == ("speaker-utterance", "speaker-frame", "phone-1-hidden", "phone-2-hidden")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ()}, "at least one of"),
        ({"tasks": ("speaker-frame", "speaker-frame")}, "twice"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"averaging": 1.0}, r"averaging must lie in \[0, 1\)"),
        ({"seed": -1}, "seed must not be negative"),
        ({"epoch": 3}, "there is no 'epoch'; perhaps 'epochs'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProbeConfig.from_dict(settings)


def test_wrong_choice_is_told_the_nearest() -> None:
    # In a process of its own: here, types are checked at every call, before the config sees the value.
    wrong = [{"tasks": ["phone-1-hiden"]}, {"layer": "lsat"}, {"labels": "centre"}]
    code = f"""
from inattention.probing.config import ProbeConfig
for settings in {wrong}:
    try:
        ProbeConfig.from_dict(settings)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"tasks: there is no 'phone-1-hiden'; perhaps 'phone-1-hidden'? Known: {', '.join(TASKS)}",
        "layer: there is no 'lsat'; perhaps 'last'? Known: last, weighted",
        "labels: there is no 'centre'; perhaps 'center'? Known: center, repeated",
    ]
