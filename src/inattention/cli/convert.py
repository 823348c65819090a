"""``inattention convert``: a trained encoder with input-independent attention."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from inattention.cli.options import flat, parse


def run(arguments: list[str]) -> int:
    """Replace a trained encoder's attention by input-independent maps."""
    import tyro

    from inattention.conversion.config import ConversionConfig

    @dataclass(frozen=True, kw_only=True)
    class Convert:
        """Make a trained encoder's attention input-independent. If it was stopped, the same command resumes it.

        Attributes:
            model: folder or hub name of an encoder.
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
