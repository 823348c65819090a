"""The process that decodes and aligns lines: jobs on stdin, answers on stdout, one line of JSON each.

Run by `inattention.corpora.workers.pool`. A job is a part of a file (`path`, `offset`, `size`; the whole file without
the last two) that holds a recording, where its audio is to be written (`audio`, nothing if left out), and what is said
there (`text`, if known); `align` asks for phones.
"""

import hashlib
import io
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from inattention.audio.reader import AudioError, decode_audio
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.alignment import SAMPLING_RATE, Aligned, Aligner
from inattention.corpora.readers.queen.archive import read_part


def main() -> None:
    """Answer jobs until there are no more."""
    aligner: Aligner | None = None
    for line in sys.stdin:
        try:
            job = json.loads(line)
            if job["align"] and job["text"]:
                aligner = aligner or Aligner()
            answer = work(job, aligner)
        except (CorpusError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def work(job: dict[str, Any], aligner: Aligner | None) -> dict[str, Any]:
    """Decode a line, write it, and find its phones.

    Returns:
        `samples` and the `digest` of what was decoded, and with words to align either `phones`, each (phone, start,
        end) in seconds, with the rule's `facts` and the number of the `attempt`, or `refused`, the reason; or `bad`
        alone, the reason why the recording cannot be used.
    """
    data = read_part(Path(job["path"]), job["offset"], job["size"])
    try:
        waveform = decode_audio(io.BytesIO(data), job["id"], SAMPLING_RATE).numpy()
    except AudioError as error:
        return {"bad": str(error)}
    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    if job.get("audio"):
        _write(Path(job["audio"]), samples)
    answer: dict[str, Any] = {"samples": len(samples), "digest": hashlib.sha256(data).hexdigest()[:16]}
    if aligner and job["align"] and job["text"]:
        found = aligner.align(samples.astype(np.float32) / 32767, job["text"])
        if isinstance(found, Aligned):
            answer["phones"] = [(phone.symbol, phone.start, phone.end) for phone in found.phones]
            answer["facts"] = asdict(found.facts)
            answer["attempt"] = found.attempt
        else:
            answer["refused"] = found.reason
    return answer


def _write(path: Path, samples: np.ndarray) -> None:
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
