"""Help texts: what a command is for, an example of its use, and its options, as wide as the terminal."""

import shlex
import shutil
import textwrap
from collections.abc import Sequence

from inattention.cli.terminal.options import plain

WIDEST = 100  # of running text
EXAMPLE = "Example:"
EXAMPLES = {
    "study": (
        "inattention study --preset smoke",
        "inattention study --preset laptop --corpus corpora/queen --only qk patterned --seeds 0 1 2",
    ),
    "compare": (
        "inattention compare runs/queen --against qk@identity",
        "inattention compare results/queen results/queen-leak --only qk patterned --json",
    ),
    "mechanisms": ("inattention mechanisms", "inattention mechanisms --draw maps.png --rows qk patterned"),
    "corpus prepare": (
        "inattention corpus prepare espeak --hours 1 --voices 40 --out corpora/espeak",
        "inattention corpus prepare folder --path recordings/ --out corpora/mine",
    ),
    "corpus prepare cutset": ("inattention corpus prepare cutset --path cuts.jsonl.gz --out corpora/mine",),
    "corpus prepare espeak": ("inattention corpus prepare espeak --hours 1 --voices 40 --out corpora/espeak",),
    "corpus prepare folder": ("inattention corpus prepare folder --path recordings/ --align --out corpora/mine",),
    "corpus prepare hf": ("inattention corpus prepare hf --dataset openslr/librispeech_asr --subset clean",),
    "corpus prepare librispeech": (
        "inattention corpus prepare librispeech --path LibriSpeech --subsets train-clean-100 --phones mfa --labels mfa",
    ),
    "corpus prepare queen": ("inattention corpus prepare queen --out corpora/queen",),
    "corpus prepare timit": ("inattention corpus prepare timit --path TIMIT --out corpora/timit",),
    "corpus features": ("inattention corpus features corpora/espeak",),
    "corpus show": ("inattention corpus show corpora/espeak", "inattention corpus show corpora/espeak --json"),
    "corpus describe": ("inattention corpus describe corpora/espeak --out espeak.html",),
    "corpus validate": ("inattention corpus validate corpora/espeak",),
    "pretrain": ("inattention pretrain --corpus corpora/espeak --row patterned --out runs/mine --training.steps 2000",),
    "probe": (
        "inattention probe runs/mine --corpus corpora/espeak --out runs/mine",
        "inattention probe mel --corpus corpora/espeak",
    ),
    "extract": (
        "inattention extract runs/mine recordings/ --out features/",
        "inattention extract runs/mine speech.wav --out features/",
    ),
    "export": (
        "inattention export runs/mine --out mine.onnx",
        "inattention export whisper-toeplitz --out whisper.onnx --precision int8 --corpus corpora/queen",
    ),
    "time": ("inattention time --rows patterned none --lengths 500 1000",),
    "analyze": ("inattention analyze runs/mine --corpus corpora/espeak",),
    "encoders import": ("inattention encoders import faster-whisper-tiny.en --out models/whisper-tiny.en",),
    "corpus prepare kaldi": ("inattention corpus prepare kaldi --path data/train --out corpora/mine",),
}


def introduction(of: type, name: str) -> str:
    """Return what a command is for, from the docstring of its options, and examples of its use.

    A paragraph of the docstring that begins with "Example:" is an example.

    Args:
        of: the dataclass of its options.
        name: the command, such as ``corpus show``.
    """
    purpose = (of.__doc__ or "").partition("Attributes:")[0].strip()
    paragraphs = [plain(text) for text in purpose.split("\n\n")]
    given = [text.removeprefix(EXAMPLE).strip() for text in paragraphs if text.startswith(EXAMPLE)]
    texts = [wrapped(text) for text in paragraphs if not text.startswith(EXAMPLE)]
    return "\n\n".join([*texts, examples(name, given)])


def examples(name: str, given: Sequence[str] = ()) -> str:
    """Return examples of a command, which can be copied to a shell whatever the width of the terminal.

    Args:
        name: the command.
        given: its examples; those of `EXAMPLES` by default.
    """
    # A corpus of a plug-in or a later version has the example of the command above it.
    known = next((it for it in (name, name.rpartition(" ")[0]) if it in EXAMPLES), "")
    commands = given or EXAMPLES.get(known, (f"inattention {name} --help",))
    lines = "\n".join(_shell_lines(command, text_width()) for command in commands)
    return f"example{'s' if len(commands) > 1 else ''}:\n{lines}"


def text_width() -> int:
    """Return the number of columns for running text."""
    return max(20, min(WIDEST, shutil.get_terminal_size().columns))


def wrapped(text: str, indent: int = 0) -> str:
    """Return text in lines that fit the terminal, all but the first indented."""
    return textwrap.fill(text, text_width(), subsequent_indent=" " * indent, break_on_hyphens=False)


def entries(pairs: list[tuple[str, str]]) -> str:
    """Return names, each with one line of explanation, or more where the terminal is narrow."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(wrapped(f"  {name:<{width}}  {text}", indent=width + 4) for name, text in pairs)


def _shell_lines(command: str, width: int) -> str:
    """Return a command in lines that end in a backslash where they are continued."""
    lines, line = [], "  "
    for word in map(shlex.quote, shlex.split(command)):
        if line.strip() and len(line) + len(word) + 2 > width:
            lines.append(f"{line.rstrip()} \\")
            line = "      "
        line += f"{word} "
    return "\n".join([*lines, line.rstrip()])
