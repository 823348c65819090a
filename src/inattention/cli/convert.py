"""``inattention convert``: a trained encoder with another attention mechanism."""

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from inattention.cli.terminal.output import print_json
from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.conversion.config import ConversionConfig
from inattention.conversion.trained.config import TrainedConversionConfig

if TYPE_CHECKING:
    from inattention.conversion.trained.convert import Speech, TrainedConversionReport


def run(arguments: list[str]) -> int:
    """Replace the attention of a trained encoder, and distil it."""
    return _convert_ours(arguments) if any(_is_ours(word) for word in arguments) else _convert_trained(arguments)


def _convert_trained(arguments: list[str]) -> int:
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Convert(Quiet):
        """Replace the attention of a trained encoder by another mechanism, and distil it to the original.

        Example: inattention convert openai/whisper-tiny.en --recordings speech/ --minutes 10 --out whisper-toeplitz

        Example: inattention convert openai/whisper-tiny.en --corpus corpora/queen --order least-error
        --until wer=+0.01 --out frontier

        The result is a Hugging Face folder. If the command was stopped, the same command resumes it. For an encoder
        that was pre-trained with inattention, the options are others: inattention convert FOLDER --help.

        Attributes:
            model: Hugging Face folder or hub name of Whisper, wav2vec 2.0, HuBERT or a similar encoder.
            recordings: folder of recordings to distil on; a text beside a recording, a.txt beside a.wav, is used.
            corpus: folder of a prepared corpus to distil on, in place of recordings.
            out: folder of the converted model, with conversion.json and conversion.html beside it.
            teacher_cache: folder of the teacher's outputs, which stays: conversions of one teacher with the same
                speech, seed, lengths and language share it. By default they are in out, and removed at the end.
            continue_from: folder of a finished conversion of the same model with the same replacements, whose student
                is distilled further; it stays as it is.
            device: cpu, cuda, or auto for a GPU if there is one.
            json: print the contents of conversion.json (to, layers, config, speech, relative_error, stages, heads, ...)
                in place of a summary.
            settings: of the conversion.
        """

        model: Annotated[str, tyro.conf.Positional]
        out: Path
        recordings: Path | None = None
        corpus: Path | None = None
        teacher_cache: Path | None = None
        continue_from: Path | None = None
        device: Literal["auto", "cpu", "cuda"] = "auto"
        json: bool = False
        settings: flat(TrainedConversionConfig) = field(  # ty: ignore[invalid-type-form]
            default_factory=TrainedConversionConfig
        )

    options = parse(Convert, "convert", arguments)
    speech = open_speech(options.recordings, options.corpus)
    from inattention.conversion.frontier import convert_in_stages
    from inattention.conversion.trained.convert import convert_trained

    convert = convert_in_stages if options.settings.staged else convert_trained
    report = convert(
        options.model,
        speech,
        options.out,
        options.settings,
        device=options.device,
        teacher_cache=options.teacher_cache,
        continue_from=options.continue_from,
        progress=not options.quiet,
    )
    _print(report, options)
    return 0


def _print(report: "TrainedConversionReport", options: Any) -> None:
    """Print the outcome, and the command that measures the model."""
    from inattention.conversion.page.page import PAGE

    if options.json:
        print_json(report.record)
    elif not options.quiet:
        corpus = "CORPUS" if options.corpus is None else str(options.corpus)
        words = ["inattention", "measure", str(options.out), "--against", options.model, "--corpus", corpus]
        print(report.summary())
        print(f"model: {options.out}")
        print(f"page: {options.out / PAGE}")
        print(f"next, word errors, probes and times: {shlex.join(words)}")


def open_speech(recordings: Path | None, corpus: Path | None) -> "Speech":
    """Return the speech of a folder or of a prepared corpus.

    Raises:
        ValueError: if neither or both are given, or there is no speech.
    """
    if (recordings is None) == (corpus is None):
        raise ValueError("speech to distil on is needed: either --recordings FOLDER or --corpus CORPUS")
    from inattention.conversion.trained.convert import Speech
    from inattention.conversion.trained.speech import corpus_utterances, folder_key, folder_utterances

    if corpus is not None:
        from inattention.corpora.core.corpus import open_corpus

        opened = open_corpus(corpus)
        train, held_out = (corpus_utterances(opened, split) for split in ("train", "dev"))
        return Speech(opened.name, opened.key, train, held_out)
    assert recordings is not None
    train, held_out = (folder_utterances(recordings, split) for split in ("train", "dev"))
    return Speech(recordings.resolve().name, folder_key(recordings), train, held_out)


def _convert_ours(arguments: list[str]) -> int:
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Convert:
        """Make the attention of an encoder that was pre-trained with inattention input-independent.

        Maps are derived from the encoder's own, then the encoder is distilled. If it was stopped, the same command
        resumes it.

        Attributes:
            model: folder of an encoder.
            corpus: folder of a prepared corpus.
            out: folder of the converted encoder, with conversion.json beside it.
            settings: of the conversion.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path
        settings: flat(ConversionConfig) = field(default_factory=ConversionConfig)  # ty: ignore[invalid-type-form]

    options = parse(Convert, "convert", arguments)
    from inattention.conversion.convert import convert
    from inattention.corpora.core.corpus import open_corpus
    from inattention.model.transformer import AudioTransformer

    encoder = AudioTransformer.from_pretrained(options.model)
    print(convert(encoder, open_corpus(options.corpus), options.out, options.settings).summary())
    print(f"model: {options.out}")
    return 0


def _is_ours(word: str) -> bool:
    """Return whether an argument is the folder of an encoder that was pre-trained with inattention."""
    if not os.path.isfile(os.path.join(word, "config.json")):  # what follows imports PyTorch
        return False
    from inattention.model.loading import is_ours

    return is_ours(Path(word))
