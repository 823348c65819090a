"""Real acted English: the spoken lines of *Flight of the Amazon Queen* (1995), from the user's own copy.

The Debian package `flight-of-the-amazon-queen` contains them in the archive `queen.1c`: about 4.6 hours of MP3 at
11,025 Hz. The archive is downloaded by apt where there is one, without root, or read from where the user says. Dialogue
files in the same archive give the text and the character of more than half of the lines; the others serve pre-training
only. Phones come from forced alignment (`inattention.corpora.labels.alignment`).

Speakers are *characters*, not actors, and the bandwidth is 5.5 kHz: `CAVEAT` belongs beside any number measured on this
corpus. The game's licence lets it be redistributed whole; nothing of it is part of this package.

This module is light to import: the libraries that decode and align are loaded in worker processes.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.core.splits import check_all_fractions
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.acceptance import MEASURED
from inattention.corpora.labels.alignment_jobs import Aligned, Refused, require_pocketsphinx
from inattention.corpora.readers.queen.archive import Archive
from inattention.corpora.readers.queen.fetch import find_archive
from inattention.corpora.readers.queen.jobs import BadLine, DecodedLine, LineJob, answer_from_json
from inattention.corpora.readers.queen.lines import Line, split_lines, spoken_lines, text_mark

if TYPE_CHECKING:
    from lhotse.cut import Cut

NAME = "queen"
GENERATOR = 1
CAVEAT = (
    "Acted English of a game from 1995 with 5.5 kHz of bandwidth: its speakers are characters, some of one actor, and "
    "its phone labels come from forced alignment, not from people."
)
_PACKAGES = ("lhotse", "numpy", "scipy", "soundfile")
_WORKER = "inattention.corpora.readers.queen.worker"
_SAMPLING_RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class QueenConfig:
    """Settings of a corpus of the game's lines.

    Attributes:
        archive: The game's `queen.1c` or its folder; by default the installed package's, else apt downloads it.
        untold: Include lines whose text is not known, for training without labels.
        phones: Find phones by forced alignment (extra `align`).
        lines_per_speaker: A character with fewer lines is not used in the speaker task.
        train: Fraction of each character's lines for training.
        dev: Fraction for tuning.
        test: Fraction for testing.
        seed: Of the splits.
    """

    archive: Path | None = None
    untold: bool = True
    phones: bool = True
    lines_per_speaker: int = 20
    train: float = 0.8
    dev: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_all_fractions(self.train, self.dev, self.test)
        if self.lines_per_speaker < 3:
            raise CorpusError(f"lines_per_speaker must be at least 3, one a split, not {self.lines_per_speaker}")


def prepare(
    config: QueenConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of the game's lines; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: There is no archive, it is damaged, the corpus cannot be written, or pocketsphinx is not installed.
    """
    path = find_archive(config.archive)
    archive = Archive(path)
    if config.phones:
        require_pocketsphinx("do without phones by --no-phones")
    spec = CorpusSpec(
        name=NAME,
        # The archive's content and not its path, so that the same lines from anywhere give the same key.
        config={**dataclasses.asdict(config), "archive": _digest(path)},
        generator=GENERATOR,
        phones=ENGLISH_PHONES if config.phones else (),
        caveat=CAVEAT,
        packages=tuple(sorted((*_PACKAGES, "pocketsphinx"))) if config.phones else _PACKAGES,
    )

    def fill(writer: CorpusWriter) -> None:
        from inattention.corpora.workers.pool import run_jobs

        lines, bad = spoken_lines(archive)
        for item, reason in (*archive.bad, *bad):
            writer.skip(item, reason, kind="file")
        writer.found("recording", len(lines))
        wanted = [line for line in lines if config.untold or line.text is not None]
        for line in lines:
            if not config.untold and line.text is None:
                writer.ignore(line.id, "text not known", kind="recording")
        jobs = [_job(config, archive, writer.folder, line).to_json() for line in wanted]
        answers = run_jobs(_WORKER, jobs, writer, workers=workers, progress=progress, unit="line")
        decoded = [(line, answer_from_json(answer)) for line, (_, answer) in zip(wanted, answers, strict=True)]
        _fill(config, writer, decoded)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error}") from error


def _job(config: QueenConfig, archive: Archive, folder: Path, line: Line) -> LineJob:
    return LineJob(
        id=line.id,
        path=str(archive.path),
        offset=line.entry.offset,
        size=line.entry.size,
        audio=str(folder / _audio(line)),
        text=line.text if config.phones else None,
    )


def _audio(line: Line) -> str:
    """Return the path of a line's audio, relative to the corpus."""
    return f"audio/{line.character or 'untold'}/{NAME}-{line.id}.flac"


def _fill(config: QueenConfig, writer: CorpusWriter, lines: Sequence[tuple[Line, DecodedLine | BadLine]]) -> None:
    """Add every line that could be decoded, and report on the alignment."""
    known: list[tuple[Line, str, str, DecodedLine]] = []  # with character and text
    unknown: list[tuple[Line, DecodedLine]] = []
    for line, decoded in lines:
        if isinstance(decoded, BadLine):
            writer.skip(line.id, decoded.reason)
        elif line.character is None or line.text is None:
            unknown.append((line, decoded))
        else:
            known.append((line, line.character, line.text, decoded))
    count = Counter(character for _, character, _, _ in known)
    splits = split_lines(
        [(line.id, character, (text_mark(text), decoded.digest)) for line, character, text, decoded in known],
        {split: getattr(config, split) for split in SPLITS},
        config.seed,
    )
    for line, character, _, decoded in known:
        if isinstance(decoded.alignment, Refused):
            reason = f"its text could not be aligned: {decoded.alignment.reason}"
            writer.skip(line.id, reason, kind="label", speaker=character)
        speaker = character if count[character] >= config.lines_per_speaker else None
        writer.add(splits[line.id], _cut(line, decoded, speaker))
    seen = {decoded.digest for _, _, _, decoded in known}
    for line, decoded in unknown:
        if decoded.digest in seen:
            reason, seconds = "the same recording as another line", decoded.samples / _SAMPLING_RATE
            writer.skip(line.id, reason, seconds=seconds)
            continue
        seen.add(decoded.digest)
        writer.add("train", _cut(line, decoded, None))
    if config.phones:
        writer.report("alignment", _alignment_report([decoded for _, _, _, decoded in known]))


def _cut(line: Line, decoded: DecodedLine, speaker: str | None) -> "Cut":
    from inattention.corpora.core.cut_building import make_cut

    aligned = decoded.alignment if isinstance(decoded.alignment, Aligned) else None
    cut = make_cut(
        f"{NAME}-{line.id}",
        _audio(line),
        rate=_SAMPLING_RATE,
        samples=decoded.samples,
        speaker=speaker,
        text=line.text,
        language="English",
        phones=aligned.phones if aligned else None,
    )
    (supervision,) = cut.supervisions
    if line.character:
        supervision.custom = {"character": line.character}
    if aligned and supervision.alignment:
        score = round(aligned.facts.confidence, 4)
        supervision.alignment = {"phone": [item._replace(score=score) for item in supervision.alignment["phone"]]}
    return cut


def _alignment_report(lines: Sequence[DecodedLine]) -> dict[str, Any]:
    """Return how many of the lines with text were aligned and how confidently, and why others were refused."""
    results = [line.alignment for line in lines]
    aligned = [result for result in results if isinstance(result, Aligned)]
    refused = [result.reason for result in results if isinstance(result, Refused)]
    confidence = sorted(round(result.facts.confidence, 4) for result in aligned)
    return {
        "lines_with_text": len(lines),
        "aligned": len(aligned),
        "yield": round(len(aligned) / max(1, len(lines)), 4),
        "aligned_at_attempt": dict(sorted(Counter(str(result.attempt) for result in aligned).items())),
        "confidence_quartiles": [confidence[len(confidence) * q // 4] for q in (1, 2, 3)] if confidence else [],
        "refused": dict(Counter(refused).most_common()),
        "measured_on_known_phone_times": MEASURED,
    }
