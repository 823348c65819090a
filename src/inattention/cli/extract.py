"""``inattention extract``: the features of a recording, or of every one in a folder."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from inattention.cli.terminal.parsing import Quiet, flat, parse


def run(arguments: list[str]) -> int:
    """Extract the features of a recording, or of every one in a folder."""
    import tyro

    from inattention.encoders.extraction.config import ExtractionConfig

    @dataclass(frozen=True, kw_only=True)
    class Extract(Quiet):
        """Extract the features of a recording, or of every one in a folder, at any sampling rate and length.

        Run again, it resumes.

        Attributes:
            model: folder or hub name of a model, ours or a Hugging Face encoder.
            folder: folder of recordings, searched recursively, or a single recording.
            out: folder of the features, which are named like the recordings.
            settings: of the extraction.
        """

        model: Annotated[str, tyro.conf.Positional]
        folder: Annotated[Path, tyro.conf.Positional]
        out: Path
        settings: flat(ExtractionConfig) = field(default_factory=ExtractionConfig)  # ty: ignore[invalid-type-form]

    options = parse(Extract, "extract", arguments)
    from inattention.encoders.extraction.run import extract_folder

    settings = asdict(options.settings)
    done = extract_folder(options.model, options.folder, options.out, **settings, progress=not options.quiet)
    if not options.quiet:
        speed = f"{done.audio_hours:.2f} hours of audio at {done.audio_seconds_per_second:.0f} times real time"
        print(
            f"{done.extracted} of {done.files} files extracted, {done.done_before} were done before, "
            f"{done.bad} could not be used{f'; {speed}' if done.extracted else ''}"
        )
        if done.reach:
            print(f"a frame depends on {done.reach}")
        if done.extracted or done.done_before:
            print(f"features: {done.out}")
        for what, count in sorted(done.ignored.items()):
            print(f"not read: {count} x {what}")
    return 1 if done.bad else 0
