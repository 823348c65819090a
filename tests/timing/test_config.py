"""Invalid settings are refused at once, and the module imports nothing heavy."""

import subprocess
import sys

import pytest

from inattention.timing.config import TimingConfig


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengths": (500, 0)}, "at least 1"),
        ({"rounds": 0}, "at least 1"),
        ({"heads": 7}, "multiple of heads"),
        ({"exponent_lengths": (1000,)}, "two different lengths"),
    ],
)
def test_invalid_settings_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimingConfig(**wrong)


@pytest.mark.parametrize("module", ["config", "machine"])
def test_imports_of_the_command_line_are_light(module: str) -> None:
    code = f"import sys, inattention.timing.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
