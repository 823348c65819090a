"""The process that aligns texts with audio files: jobs on stdin, answers on stdout, a line of JSON each."""

import json
import os
import sys
from typing import Any

import soundfile
from scipy.signal import resample_poly

from inattention.corpora.errors import CorpusError


def main() -> None:
    """Answer jobs until there are no more."""
    for line in sys.stdin:
        try:
            answer = align(json.loads(line))
        except CorpusError as error:
            answer = {"error": str(error)}
        except Exception as error:  # whatever the aligner stumbles over costs one file
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def align(job: dict[str, Any]) -> dict[str, Any]:
    """Find the phones of a text in an audio file: `phones`, or `error`, the reason why there are none."""
    from inattention.corpora.labels.alignment import SAMPLING_RATE, Refused
    from inattention.corpora.labels.alignment import align as align_speech

    path: Any = os.fsencode(job["path"])  # as bytes, which soundfile takes too: a name need not be UTF-8
    samples, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = resample_poly(samples.mean(axis=1), SAMPLING_RATE, own_rate)
    found = align_speech(wave.astype("float32"), job["text"])
    if isinstance(found, Refused):
        return {"error": found.reason}
    return {"phones": [(phone.symbol, phone.start, phone.end) for phone in found.phones]}


if __name__ == "__main__":
    main()
