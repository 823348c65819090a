"""The process that aligns texts with audio files: jobs on stdin, answers on stdout, one line of JSON each."""

import json
import sys

from inattention.audio.reader import AudioError, load_audio
from inattention.corpora.core.corpus import CorpusError
from inattention.corpora.labels.alignment import SAMPLING_RATE, align
from inattention.corpora.labels.alignment_jobs import AlignJob, AlignmentResult, result_to_json


def main() -> None:
    """Answer jobs until stdin ends."""
    for line in sys.stdin:
        try:
            answer = result_to_json(align_file(AlignJob(**json.loads(line))))
        except (CorpusError, AudioError) as error:
            answer = {"error": str(error)}
        except Exception as error:  # an error in the aligner costs one file
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def align_file(job: AlignJob) -> AlignmentResult:
    """Find the phones of a text in an audio file."""
    return align(load_audio(job.path, SAMPLING_RATE).numpy(), job.text)


if __name__ == "__main__":
    main()
