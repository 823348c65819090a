"""``inattention analyze``: an atlas of an encoder's attention heads, with figures and measures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.files import check_writable
from inattention.progress import hidden

if TYPE_CHECKING:
    from inattention.analysis.config import AnalysisConfig


def run(arguments: list[str]) -> int:
    """Measure and draw the attention heads of an encoder, as an atlas."""
    import tyro

    from inattention.analysis.config import AnalysisConfig

    @dataclass(frozen=True, kw_only=True)
    class Analyze(Quiet):
        """Analyze an encoder's attention: an atlas of its heads, figures and measures.

        Attributes:
            model: folder or hub name of an encoder, ours or one of Hugging Face (Whisper, wav2vec 2.0, HuBERT, WavLM,
                AST, ...), which is fed by the feature extractor of its folder.
            corpus: folder of a prepared corpus.
            out: folder of the atlas; default: MODEL/atlas.
            derive_maps: also derive the input-independent maps that come closest to the encoder's attention, into this
                safetensors file; an encoder starts from them as patterned@init=FILE.
            settings: of the analysis.
        """

        model: Annotated[str, tyro.conf.Positional]
        corpus: Path
        out: Path | None = None
        derive_maps: Path | None = None
        settings: flat(AnalysisConfig) = field(default_factory=AnalysisConfig)  # ty: ignore[invalid-type-form]

    options = parse(Analyze, "analyze", arguments)
    from inattention.analysis.run import analyze

    if options.derive_maps is not None:
        check_maps_name(options.derive_maps)
        check_writable(options.derive_maps.parent)
    if options.out is not None:
        check_writable(options.out)
    say = print if not options.quiet else lambda _: None
    with hidden(options.quiet):
        say(analyze(options.model, options.corpus, options.out, options.settings).summary())
    study = Path(options.model).absolute().parent
    if options.out is None and (study / "results.jsonl").is_file():
        from inattention.study import store
        from inattention.study.reporting.report import build_report, write_report

        say(f"the study's report links to it: {write_report(build_report(store.load(study)))}")
    if options.derive_maps is not None:
        with hidden(options.quiet):
            say(derive(options.model, options.corpus, options.derive_maps, options.settings))
    return 0


def derive(model: str, corpus: Path, out: Path, config: "AnalysisConfig") -> str:
    """Derive input-independent maps from an encoder's attention, write them, and return a table of their errors.

    Args:
        model: folder or hub name of an encoder, ours or a Hugging Face one.
        corpus: folder of a prepared corpus.
        out: the safetensors file.
        config: number of utterances (of the training split, and of dev to compare on), their crops, and the seed.

    Raises:
        ValueError: if the model or the corpus cannot be used, or the file name does not end like a safetensors file.
    """
    from inattention.conversion.derive import derive_maps, write_maps
    from inattention.corpora.core.corpus import open_corpus
    from inattention.encoders.open import open_source

    check_maps_name(out)
    derived = derive_maps(
        open_source(model),
        open_corpus(corpus),
        utterances=config.utterances or None,
        held_out=config.utterances or None,
        crop_steps=config.crop_steps or None,
        seed=config.seed,
        progress=True,
    )
    write_maps(derived, out)
    return f"{derived.table()}\nmaps: {out}; an encoder starts from them as patterned@init={out}"


def check_maps_name(out: Path) -> None:
    """Raise ValueError if a file of maps has a name that no row could refer to."""
    from inattention.attention.ops.map_files import SUFFIX, names_file

    if not names_file(str(out)):
        raise ValueError(f"{out}: the name of a file of maps must end in {SUFFIX}")
