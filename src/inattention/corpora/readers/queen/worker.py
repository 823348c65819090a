"""The process that decodes and aligns lines: jobs on stdin, answers on stdout, one line of JSON each.

Started by `inattention.corpora.workers.pool`.
"""

import hashlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Int16

from inattention.audio.reader import AudioError, decode_audio
from inattention.corpora.core.corpus import CorpusError
from inattention.corpora.labels.alignment import SAMPLING_RATE, align
from inattention.corpora.readers.queen.archive import read_part
from inattention.corpora.readers.queen.jobs import BadLine, DecodedLine, LineJob, answer_to_json


def main() -> None:
    """Answer jobs until stdin ends."""
    for line in sys.stdin:
        try:
            answer = answer_to_json(decode_line(LineJob(**json.loads(line))))
        except (CorpusError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def decode_line(job: LineJob) -> DecodedLine | BadLine:
    """Decode a line, write its audio, and find its phones if it has a text.

    Raises:
        CorpusError: The archive cannot be read, the audio cannot be written, or pocketsphinx is not installed.
    """
    data = read_part(Path(job.path), job.offset, job.size)
    try:
        waveform = decode_audio(io.BytesIO(data), job.id, SAMPLING_RATE).numpy()
    except AudioError as error:
        return BadLine(str(error))
    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    _write(Path(job.audio), samples)
    alignment = align(samples.astype(np.float32) / 32767, job.text) if job.text else None
    return DecodedLine(len(samples), hashlib.sha256(data).hexdigest()[:16], alignment)


def _write(path: Path, samples: Int16[np.ndarray, " samples"]) -> None:
    """Write audio under a temporary name, then rename it, so that an interrupted run leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        soundfile.write(temporary, samples, SAMPLING_RATE, subtype="PCM_16", format="FLAC")
        os.replace(temporary, path)
    except soundfile.SoundFileError as error:
        raise CorpusError(f"cannot write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
