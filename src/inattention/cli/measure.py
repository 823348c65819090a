"""``inattention measure``: what a converted encoder keeps of its teacher."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from inattention.cli.terminal.output import print_json
from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.conversion.measure.config import MeasureConfig


def run(arguments: list[str]) -> int:
    """Measure a converted encoder against its teacher."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Measure(Quiet):
        """Measure a converted encoder against its teacher: word errors, hidden states, probes, times.

        Example: inattention measure whisper-toeplitz --against openai/whisper-tiny.en --corpus corpora/queen

        Utterances are decoded one by one, greedily and without timestamps, in the same way for both models. Without
        texts, the words in which the transcripts of both differ are counted. If the command was stopped, the same
        command resumes it.

        Attributes:
            model: folder or hub name of the converted model.
            against: folder or hub name of the model that it was converted from.
            corpus: folder of a prepared corpus.
            recordings: folder of recordings, in place of a corpus; a text beside a recording, a.txt beside a.wav, is
                used. Of recordings that the model was distilled on, only the held-out ones are used.
            split: which part of the corpus.
            out: folder of measurements.json, the transcripts and the page; by default the folder of the model, whose
                page is completed.
            device: cpu, cuda, or auto for a GPU if there is one.
            json: print the contents of measurements.json (model, teacher, speech, words, relative_error, probes, times,
                ...) in place of a summary.
            settings: of the measurement.
        """

        model: Annotated[str, tyro.conf.Positional]
        against: str
        corpus: Path | None = None
        recordings: Path | None = None
        split: Literal["train", "dev", "test"] = "test"
        out: Path | None = None
        device: Literal["auto", "cpu", "cuda"] = "auto"
        json: bool = False
        settings: flat(MeasureConfig) = field(default_factory=MeasureConfig)  # ty: ignore[invalid-type-form]

    options = parse(Measure, "measure", arguments)
    out = _out(options.model, options.out)
    from inattention.conversion.measure.run import RECORD, measure

    found = measure(
        options.model,
        options.against,
        out=out,
        config=options.settings,
        device=options.device,
        progress=not options.quiet,
        **_speech(options),
    )
    if options.json:
        print_json(found.to_dict())
    elif not options.quiet:
        print(found.summary())
        print(f"measurements: {out / RECORD}")
    return 0


def _out(model: str, out: Path | None) -> Path:
    """Return the output folder.

    Raises:
        ValueError: if there is none because the model is not in a folder.
    """
    if out is None and not Path(model).is_dir():
        raise ValueError(f"{model} is not a folder, so that measurements need one: --out FOLDER")
    return out or Path(model)


def _speech(options: Any) -> dict[str, Any]:
    """Return the speech of a corpus or a folder, as arguments of `measure`.

    Raises:
        ValueError: if neither or both are given, or there are no recordings.
    """
    if (options.recordings is None) == (options.corpus is None):
        raise ValueError("speech to measure on is needed: either --corpus CORPUS or --recordings FOLDER")
    from inattention.conversion.trained.speech import corpus_utterances, folder_key, folder_utterances, recordings

    if options.corpus is not None:
        from inattention.corpora.core.corpus import open_corpus

        corpus = open_corpus(options.corpus)
        speech = {"name": corpus.name, "key": corpus.key, "split": options.split}
        return {"utterances": corpus_utterances(corpus, options.split), "corpus": corpus, "speech": speech}
    folder, key = options.recordings, folder_key(options.recordings)
    known = key == _distilled_on(Path(options.model))
    found = folder_utterances(folder, "dev") if known else recordings(folder)
    if not found:
        raise ValueError(f"{folder}: there are no recordings")
    return {"utterances": found, "speech": {"name": folder.resolve().name, "key": key}}


def _distilled_on(model: Path) -> str | None:
    """Return the key of the speech that a model was distilled on, if it is known."""
    try:
        record = json.loads((model / "conversion.json").read_text(encoding="utf-8"))
        return record["speech"]["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
