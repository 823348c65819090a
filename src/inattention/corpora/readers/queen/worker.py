"""The process that decodes and aligns lines and writes their audio."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Int16

from inattention.audio.reader import AudioError, decode_audio
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.alignment import SAMPLING_RATE, align
from inattention.corpora.readers.queen.archive import read_part
from inattention.corpora.readers.queen.jobs import BadLine, DecodedLine, LineJob, answer_to_json
from inattention.corpora.workers.serving import serve
from inattention.files import replacing


def main() -> None:
    """Answer jobs until there are no more."""
    serve(answer, (CorpusError, OSError))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Decode a line; see `LineJob` and `answer_to_json`."""
    return answer_to_json(decode_line(LineJob(**job)))


def decode_line(job: LineJob) -> DecodedLine | BadLine:
    """Decode a line, write its audio, and find its phones if it has a text.

    Raises:
        CorpusError: The archive cannot be read, the audio cannot be written, or pocketsphinx is not installed.
    """
    data = read_part(Path(job.path), job.offset, job.size)
    try:
        waveform = decode_audio(io.BytesIO(data), job.id, SAMPLING_RATE, truncated="keep").numpy()
    except AudioError as error:
        return BadLine(str(error))
    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    _write(Path(job.audio), samples)
    alignment = align(samples.astype(np.float32) / 32767, job.text) if job.text else None
    return DecodedLine(len(samples), hashlib.sha256(data).hexdigest()[:16], alignment)


def _write(path: Path, samples: Int16[np.ndarray, " samples"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as temporary:
            soundfile.write(temporary, samples, SAMPLING_RATE, subtype="PCM_16", format="FLAC")
    except soundfile.SoundFileError as error:
        raise CorpusError(f"cannot write {path}: {error}") from error


if __name__ == "__main__":
    main()
