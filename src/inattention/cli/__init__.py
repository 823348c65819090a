"""The command line: one module per command, each importing what it needs when it runs, so that help is immediate.

The options of a command are a dataclass, from which tyro makes flags and help; the same dataclasses are the presets
and the configuration saved with each result.
"""

import os
import sys
from collections.abc import Callable, Sequence

from inattention.cli import (
    analyze,
    compare,
    conversions,
    convert,
    corpus,
    encoders,
    extract,
    measure,
    mechanisms,
    pretrain,
    probe,
    study,
    time,
)
from inattention.cli.options import complain
from inattention.text import nearest

EXAMPLES = """examples:
  inattention study --preset smoke                       a small study in minutes, on synthetic speech
  inattention study --preset laptop --only qk patterned  two rows of a longer study
  inattention compare results/queen results/queen-leak   the same rows, with and without a leak
  inattention mechanisms                                 list the mechanisms
  inattention mechanisms --draw maps.png                 the attention maps of each, in one picture
  inattention corpus prepare espeak --hours 1 --voices 40 --out corpora/espeak
  inattention pretrain --corpus corpora/espeak --row patterned --out runs/mine
  inattention probe runs/mine --corpus corpora/espeak
  inattention extract runs/mine recordings/ --out features/
  inattention convert openai/whisper-tiny.en --recordings speech/ --out runs/whisper
  inattention measure runs/whisper --against openai/whisper-tiny.en --corpus corpora/queen --out measured
  inattention conversions results/whisper-tiny           a table over many conversions
  inattention analyze runs/mine --corpus corpora/espeak  every head's attention maps, on one page
  inattention encoders import faster-whisper-tiny.en --out models/whisper-tiny.en
  inattention time --rows patterned none --lengths 500 1000
"""

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "study": study.run,
    "compare": compare.run,
    "mechanisms": mechanisms.run,
    "corpus": corpus.run,
    "pretrain": pretrain.run,
    "probe": probe.run,
    "extract": extract.run,
    "time": time.run,
    "analyze": analyze.run,
    "convert": convert.run,
    "measure": measure.run,
    "conversions": conversions.run,
    "encoders": encoders.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after ``inattention``; those of the process if None.

    Returns:
        0 on success, 1 if part of the work failed, 2 if it could not be done; a line on stderr gives the reason.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from inattention.version import __version__

        print(__version__)
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        return complain("", f"there is no command {name!r}{nearest(name, COMMANDS)}")
    try:
        return COMMANDS[name](rest)
    except KeyboardInterrupt:
        return complain(name, "stopped; run the same command again to resume")
    except Exception as error:
        from inattention.pretraining.stopping import RunDiverged, RunStopped

        # Errors that we raise on purpose are one line; anything else is a bug, and its traceback is wanted.
        expected = isinstance(error, ValueError | OSError | RunDiverged | RunStopped)
        if not expected or os.environ.get("INATTENTION_DEBUG"):
            raise
        return complain(name, str(error))


def _help() -> str:
    lines = "\n".join(f"  {name:<12} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items())
    return (
        "usage: inattention COMMAND [--help] ...\n\n"
        "Speech transformers with input-independent attention.\n\n"
        f"commands:\n{lines}\n\n{EXAMPLES}"
    )
