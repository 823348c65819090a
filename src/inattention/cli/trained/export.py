"""``inattention export``: an encoder as a file that runs without this package."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from inattention.cli.terminal.output import print_json, print_lines
from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.export.config import ExportConfig


def run(arguments: list[str]) -> int:
    """Export an encoder to ONNX."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Export(Quiet):
        """Export an encoder to ONNX or torch.export, compare the file with PyTorch, and only then keep it.

        The file takes features and a padding mask (valid, True at real frames) of any batch and length, and has the
        settings of its features in its metadata. inattention-runtime runs it on recordings, without PyTorch.

        With --corpus, the accuracy of the file is compared with the model's, by paired intervals.

        Attributes:
            model: folder or hub name of a model: ours, a converted one, Whisper, wav2vec 2.0, HuBERT or a similar one.
            out: the file: .onnx, or .pt2 for torch.export.
            json: print the metadata, size, difference from PyTorch and accuracy in place of a summary.
            settings: of the export.
        """

        model: Annotated[str, tyro.conf.Positional]
        out: Path
        json: bool = False
        settings: flat(ExportConfig) = field(default_factory=ExportConfig)  # ty: ignore[invalid-type-form]

    options = parse(Export, "export", arguments)
    from inattention.export.run import export

    report = export(options.model, options.out, options.settings, progress=not options.quiet)
    if options.json:
        print_json(report.to_dict())
    elif not options.quiet:
        print_lines(report.summary())
        print(f"file: {report.path}")
        if options.settings.decoder != "none":
            from inattention.export.decoder import decoder_folder

            print(f"decoder: {decoder_folder(report.path)}")
    return 0
