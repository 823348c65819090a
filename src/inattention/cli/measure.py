"""``inattention measure``: what a converted encoder keeps of its teacher."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from inattention.cli.terminal.parsing import flat, parse
from inattention.conversion.measure.config import MeasureConfig


def run(arguments: list[str]) -> int:
    """Measure a converted encoder against its teacher."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Measure:
        """Measure a converted encoder against its teacher: word errors, hidden states, times.

        Example: inattention measure whisper-toeplitz --against openai/whisper-tiny.en --corpus corpora/queen \
--out measured

        Utterances are decoded one by one, greedily and without timestamps, in the same way for both models. If the
        command was stopped, the same command goes on.

        Attributes:
            model: folder or hub name of the converted model.
            against: folder or hub name of the model that it was converted from.
            corpus: folder of a prepared corpus.
            split: which part of the corpus.
            out: folder of measurements.json and the transcripts.
            settings: of the measurement.
        """

        model: Annotated[str, tyro.conf.Positional]
        against: str
        corpus: Path
        out: Path
        split: Literal["train", "dev", "test"] = "test"
        settings: flat(MeasureConfig) = field(default_factory=MeasureConfig)  # ty: ignore[invalid-type-form]

    options = parse(Measure, "measure", arguments)
    from inattention.conversion.measure.run import RECORD, measure
    from inattention.conversion.trained.speech import corpus_utterances
    from inattention.corpora.core.corpus import open_corpus

    utterances = corpus_utterances(open_corpus(options.corpus), options.split)
    found = measure(options.model, options.against, utterances, options.out, options.settings)
    print(found.summary())
    print(f"measurements: {options.out / RECORD}")
    return 0
