"""Conversions that go on from another one: its student is distilled further, with a learning rate that rises anew."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inattention.conversion.page.sources import RECORD
from inattention.encoders.converted_attention import Conversion
from inattention.encoders.trained import TrainedModel, weights_digest


@dataclass(frozen=True)
class Earlier:
    """A finished conversion that another one goes on from.

    Attributes:
        folder: its folder.
        digest: of its weights.
        steps: its optimizer steps, with those before it.
    """

    folder: Path
    digest: str
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return what ``conversion.json`` says of it."""
        return {"model": self.digest, "steps": self.steps}


def earlier_conversion(folder: Path, teacher: TrainedModel, conversion: Conversion) -> Earlier:
    """Return a finished conversion of the same model, with the same replacements.

    Args:
        folder: its folder.
        teacher: the model that is converted.
        conversion: what is to be replaced.

    Raises:
        ValueError: if there is none, or it is one of another model or with other replacements.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        digest, replaced = record["teacher"]["digest"], record["conversion"]
        steps = int(record["steps"]) + int((record.get("continues") or {}).get("steps", 0))
    except FileNotFoundError:
        raise ValueError(f"--continue-from {folder}: there is no finished conversion ({RECORD} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"--continue-from: {path} cannot be read ({error})") from None
    if digest != weights_digest(teacher.folder):
        raise ValueError(f"--continue-from {folder} is a conversion of another model than {teacher.name}")
    if replaced != conversion.to_dict():
        raise ValueError(
            f"--continue-from {folder} has other replacements; --to, --layers and --heads must be the same"
        )
    return Earlier(folder, weights_digest(folder), steps)
