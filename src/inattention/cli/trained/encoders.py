"""``inattention encoders ...``: import trained encoders from other formats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from inattention.cli.terminal.help import entries, examples, wrapped
from inattention.cli.terminal.parsing import complain, parse
from inattention.text import nearest


def run(arguments: list[str]) -> int:
    """Import trained encoders: Whisper of CTranslate2."""
    verbs = {"import": import_folder}
    if not arguments or arguments[0] in ("-h", "--help"):
        verb_help = entries([("import", (import_folder.__doc__ or "").splitlines()[0])])
        usage = wrapped("usage: inattention encoders import FOLDER --out OUT", indent=7)
        print(f"{usage}\n\n{wrapped('Import a trained encoder.')}\n\n{verb_help}\n\n{examples('encoders import')}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in verbs:
        return complain("encoders", f"there is no {verb!r}{nearest(verb, verbs)}")
    return verbs[verb](rest)


def import_folder(arguments: list[str]) -> int:
    """Write a Whisper folder of CTranslate2 (faster-whisper) as a Hugging Face folder."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Import:
        """Write a Whisper folder of CTranslate2, as faster-whisper uses it, as a Hugging Face folder in float32.

        The folder has weights, generation config, feature extractor and tokenizer, so that every command and
        `transformers` (`pipeline("automatic-speech-recognition", model=OUT)`) take it. Weights stored in float32,
        float16, bfloat16, int16 or int8 are read.

        Example: inattention encoders import faster-whisper-tiny.en --out models/whisper-tiny.en

        Attributes:
            folder: folder with model.bin, config.json and tokenizer.json.
            out: folder of the Hugging Face model; new or empty.
        """

        folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
        out: Annotated[Path, tyro.conf.arg(metavar="OUT")]

    options = parse(Import, "encoders import", arguments)
    from inattention.encoders.ctranslate2.import_folder import import_whisper

    imported = import_whisper(options.folder, options.out)
    print(f"{imported.summary()}\nmodel: {imported.folder}")
    return 0
