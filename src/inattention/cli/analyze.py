"""``inattention analyze``: an atlas of an encoder's attention heads, with figures and measures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from inattention.cli.options import flat, parse


def run(arguments: list[str]) -> int:
    """Analyze an encoder's attention: an atlas of its heads, figures and measures."""
    import tyro

    from inattention.analysis.config import AnalysisConfig

    @dataclass(frozen=True, kw_only=True)
    class Analyze:
        """Analyze an encoder's attention: an atlas of its heads, figures and measures.

        Attributes:
            model: folder or hub name of an encoder, ours or a Hugging Face audio encoder.
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
    from inattention.analysis.run import run_analyze

    run_analyze(options.model, options.corpus, options.out, options.settings)
    study = Path(options.model).absolute().parent
    if options.out is None and (study / "results.jsonl").is_file():
        from inattention.study import store
        from inattention.study.reporting.report import build_report, write_report

        print(f"the study's report links to it: {write_report(build_report(store.load(study)))}")
    if options.derive_maps is not None:
        from inattention.conversion.derive import run_derive

        run_derive(options.model, options.corpus, options.derive_maps, options.settings)
    return 0
