"""The process that aligns texts with audio files."""

from typing import Any

from inattention.audio.reader import load_audio
from inattention.corpora.labels.alignment import SAMPLING_RATE, align
from inattention.corpora.labels.alignment_jobs import AlignJob, result_to_json
from inattention.corpora.workers.serving import serve


def main() -> None:
    """Answer jobs until there are no more; any error costs one file."""
    serve(answer, (Exception,))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Align a text with an audio file; see `AlignJob` and `result_to_json`."""
    asked = AlignJob(**job)
    return result_to_json(align(load_audio(asked.path, SAMPLING_RATE).numpy(), asked.text))


if __name__ == "__main__":
    main()
