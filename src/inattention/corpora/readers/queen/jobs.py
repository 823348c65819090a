"""Jobs and answers of the process that decodes and aligns lines, as they travel between processes in JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from inattention.corpora.labels.alignment_jobs import AlignmentResult, result_from_json, result_to_json


@dataclass(frozen=True, kw_only=True)
class LineJob:
    """A recorded line to decode, and to align if its text is known.

    Attributes:
        id: The line.
        path: The archive.
        offset: Where the recording starts in it, in bytes.
        size: Of the recording, in bytes.
        audio: The file to write.
        text: What is spoken, if it is to be aligned.
    """

    id: str
    path: str
    offset: int
    size: int
    audio: str
    text: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class DecodedLine:
    """The answer to a `LineJob` whose recording could be decoded.

    Attributes:
        samples: Its length.
        digest: Of the recording's bytes.
        alignment: The phones, or why there are none; None if there was nothing to align.
    """

    samples: int
    digest: str
    alignment: AlignmentResult | None


@dataclass(frozen=True)
class BadLine:
    """The answer to a `LineJob` whose recording could not be decoded, with the reason."""

    reason: str


def answer_to_json(answer: DecodedLine | BadLine) -> dict[str, Any]:
    """Return an answer as JSON data."""
    if isinstance(answer, BadLine):
        return {"bad": answer.reason}
    alignment = result_to_json(answer.alignment) if answer.alignment else {}
    return {"samples": answer.samples, "digest": answer.digest, **alignment}


def answer_from_json(data: dict[str, Any]) -> DecodedLine | BadLine:
    """Read what `answer_to_json` returned."""
    if "bad" in data:
        return BadLine(data["bad"])
    is_aligned = "phones" in data or "refused" in data
    return DecodedLine(data["samples"], data["digest"], result_from_json(data) if is_aligned else None)
