"""Real acted English: the spoken lines of *Flight of the Amazon Queen* (1995), from the user's own copy.

The Debian package `flight-of-the-amazon-queen` holds them, about 4.6 hours of MP3 at 11,025 Hz, in the archive
`queen.1c`: fetched with apt where there is one, no rights needed, or taken from where the user says. Dialogue files in
the same archive tell the words and the character of more than half of the lines; the others serve pre-training only.
Phones come from forced alignment (`inattention.corpora.labels.alignment`).

Speakers are *characters*, not actors, and 5.5 kHz of bandwidth are left: say so beside any number that comes from it
(`CAVEAT`). The licence of the game lets it be redistributed whole; nothing of it is part of this package.

This module is light to import: the libraries that decode and align are loaded in worker processes.
"""

import dataclasses
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.acceptance import MEASURED
from inattention.corpora.labels.spoken_words import words_of
from inattention.corpora.readers.queen.archive import Archive, Piece, dialogue
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    import lhotse

NAME = "queen"
GENERATOR = 1
PACKAGE = "flight-of-the-amazon-queen"
CAVEAT = (
    "Acted English of a game from 1995 with 5.5 kHz of bandwidth: its speakers are characters, some of one actor, and "
    "its phone labels come from forced alignment, not from people."
)
_PACKAGES = ("lhotse", "numpy", "pocketsphinx", "scipy", "soundfile")
_WORKER = "inattention.corpora.readers.queen.worker"
_SAMPLING_RATE = 16_000
_EFFECT = "SSSS.SB"  # ends the names of sounds that nobody makes with the voice: doors, shots, engines
_INSTALLED = Path("/usr/share/scummvm/flight-of-the-amazon-queen/queen.1c")
_FETCH_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class QueenConfig:
    """Which lines of the game, and how they are split.

    Attributes:
        archive: The game's `queen.1c`, or the folder it is in; if left out, the installed package's, else apt is asked.
        untold: Also take the lines whose words are not known, for training without labels.
        phones: Align the words with the speech, by the extra `align`.
        lines_per_speaker: A character with fewer lines is no speaker of the speaker task.
        train: Fraction of each character's lines for training.
        dev: Fraction for tuning.
        test: Fraction for the final measure.
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
        if min(self.train, self.dev, self.test) <= 0 or abs(self.train + self.dev + self.test - 1) > 1e-6:
            raise CorpusError(
                f"train, dev and test must be above 0 and sum to 1, not {self.train}, {self.dev}, {self.test}"
            )
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
    """Make the corpus in `folder`, unless it stands there already.

    Args:
        config: Which lines, and how they are split.
        folder: Where the corpus is to stand.
        overwrite: Prepare it in any case, replacing the corpus that stands there.
        workers: Processes that decode and align; by default one a core. They do not change the outcome.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: There is no archive, it is damaged, something else stands in `folder`, it cannot be written, or
            pocketsphinx is missing.
    """
    if workers is not None and workers < 1:
        raise CorpusError(f"workers must be at least 1, not {workers}")
    path = find_archive(config.archive)
    archive = Archive(path)
    if config.phones:
        require_pocketsphinx()
    # The same lines from wherever they are: the key tells what the archive holds, and not where it is.
    settings = {**dataclasses.asdict(config), "archive": _digest(path)}
    spec = CorpusSpec(
        name=NAME,
        config=settings,
        generator=GENERATOR,
        phones=ENGLISH_PHONES if config.phones else (),
        caveat=CAVEAT,
        packages=_PACKAGES if config.phones else tuple(set(_PACKAGES) - {"pocketsphinx"}),
    )

    def fill(writer: CorpusWriter) -> None:
        from inattention.corpora.workers.pool import cores, run_jobs

        jobs = _jobs(config, archive, writer)
        told = run_jobs(_WORKER, jobs, writer, workers=workers or cores(), progress=progress, unit="line")
        _fill(config, writer, [(job, result) for job, result in told])

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def find_archive(given: Path | None) -> Path:
    """Where `queen.1c` is: as given, or installed, or in the cache, into which apt fetches it if it must.

    Raises:
        CorpusError: It is not there and cannot be had; the message says what to do.
    """
    if given is not None:
        path = given.expanduser().resolve()
        path = path / "queen.1c" if path.is_dir() else path
        if not path.is_file():
            raise CorpusError(f"{path}: there is no such file; give the path of the game's queen.1c")
        return path
    cached = cache_folder() / "queen.1c"
    return next((path for path in (_INSTALLED, cached) if path.is_file()), None) or _fetch(cached)


def cache_folder() -> Path:
    """Where the archive is kept that apt fetched: below the environment variable XDG_CACHE_HOME, or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "inattention" / NAME


def _fetch(destination: Path) -> Path:
    """Fetch the Debian package and take the archive out of it; nothing is installed."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise CorpusError(
            f"the lines are in queen.1c of the Debian package {PACKAGE}, which cannot be fetched here ({missing[0]} is "
            "missing): give the path of your copy with --archive"
        )
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=destination.parent) as folder:
            _run(["apt-get", "download", PACKAGE], folder)
            package = next(Path(folder).glob("*.deb"), None)
            if package is None:
                raise CorpusError(f"apt-get download {PACKAGE} brought no package: give your queen.1c with --archive")
            _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
            found = next((Path(folder) / "unpacked").rglob("queen.1c"), None)
            if found is None:
                raise CorpusError(f"{package.name} holds no queen.1c: give the path of your copy with --archive")
            os.replace(found, destination)
    except OSError as error:
        raise CorpusError(f"cannot keep the archive in {destination.parent}: {error}") from error
    return destination


def _run(command: list[str], folder: str) -> None:
    advice = f"give the path of your queen.1c with --archive, or install the package {PACKAGE}"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CorpusError(f"{' '.join(command)} did not end within {_FETCH_SECONDS} s: {advice}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise CorpusError(f"{' '.join(command)} failed ({said}): {advice}")


def require_pocketsphinx() -> None:
    """Raise unless pocketsphinx is there, before any work is done.

    Raises:
        CorpusError: It is not.
    """
    if importlib.util.find_spec("pocketsphinx") is None:
        raise CorpusError(
            "phones are found by pocketsphinx, which is not installed: pip install 'inattention[align]', or leave the "
            "phones out with --no-phones"
        )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error}") from error


def _jobs(config: QueenConfig, archive: Archive, writer: CorpusWriter) -> list[dict[str, Any]]:
    """One job a line, in the order of their names."""
    for item, reason in archive.bad:
        writer.skip(item, reason)
    told = _told(archive, writer)
    jobs = []
    for name, entry in sorted(archive.entries.items()):
        if not name.endswith(".SB") or name.endswith(_EFFECT):
            continue
        piece = told.get(name)
        if piece is None and not config.untold:
            continue
        line = name.removesuffix(".SB").lower()
        character = piece.character if piece else "untold"
        jobs.append(
            {
                "id": line,
                "path": str(archive.path),
                "offset": entry.offset,
                "size": entry.size,
                "audio": str(writer.folder / "audio" / character / f"{NAME}-{line}.flac"),
                "character": piece and piece.character,
                "text": piece and piece.text,
                "align": config.phones,
            }
        )
    return jobs


def _told(archive: Archive, writer: CorpusWriter) -> dict[str, Piece]:
    """What is said in each sound whose words are known."""
    told: dict[str, Piece] = {}
    for name in sorted(archive.entries):
        if name.endswith(".DOG"):
            try:
                pieces = dialogue(name, archive.read(name))
            except CorpusError as error:
                writer.skip(name, str(error))
                continue
            told |= {sound: piece for sound, piece in pieces.items() if piece.text.strip()}
    return told


def _fill(config: QueenConfig, writer: CorpusWriter, lines: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Add every line that could be decoded, and report on the alignment."""
    told: list[tuple[dict[str, Any], dict[str, Any]]] = []
    untold: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for job, result in lines:
        if "bad" in result:
            writer.skip(job["id"], result["bad"])
        else:
            (untold if job["text"] is None else told).append((job, result))
    count = Counter(job["character"] for job, _ in told)
    speakers = {character for character, lines in count.items() if lines >= config.lines_per_speaker}
    splits = split_lines(
        [(job["id"], job["character"], (_same(job["text"]), result["digest"])) for job, result in told],
        {split: getattr(config, split) for split in SPLITS},
        config.seed,
    )
    for job, result in told:
        speaker = job["character"] if job["character"] in speakers else None
        writer.add(splits[job["id"]], _cut(writer.folder, job, result, speaker))
    seen = {result["digest"] for _, result in told}
    for job, result in untold:
        if result["digest"] in seen:
            writer.skip(job["id"], "the same recording as another line")
            continue
        seen.add(result["digest"])
        writer.add("train", _cut(writer.folder, job, result, None))
    if config.phones:
        writer.report("alignment", _alignment_report([result for _, result in told]))


def split_lines(
    lines: Sequence[tuple[str, str, tuple[str, ...]]], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """The split of each line, so that each speaker's lines are shared out as asked, and no two splits share a mark.

    Args:
        lines: Each with an id, its speaker, and its marks: what must stand on one side, such as what is said.
        shares: Of each split.
        seed: Of the order in which lines are shared out.

    >>> lines = [(str(n), "ann", (f"text {n // 2}",)) for n in range(10)]
    >>> splits = split_lines(lines, {"train": 0.6, "dev": 0.2, "test": 0.2}, seed=0)
    >>> sorted(splits.values()), splits["2"] == splits["3"]
    (['dev', 'dev', 'test', 'test', 'train', 'train', 'train', 'train', 'train', 'train'], True)
    """
    parent: dict[str, str] = {}

    def root(mark: str) -> str:
        while parent.setdefault(mark, mark) != mark:
            parent[mark] = mark = parent[parent[mark]]
        return mark

    for name, _, marks in lines:
        for mark in marks:
            parent[root(mark)] = root(f"line {name}")
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, speaker, _ in sorted(lines):
        groups[root(f"line {name}")].append((name, speaker))
    # What each split still lacks of each speaker; the split that lacks most of a group's speakers takes it.
    count = Counter(speaker for _, speaker, _ in lines)
    lacking = {split: {speaker: share * n for speaker, n in count.items()} for split, share in shares.items()}
    splits: dict[str, str] = {}
    for group in sorted(groups.values(), key=lambda group: (-len(group), derive_seed(seed, "split", group[0][0]))):
        split = max(shares, key=lambda split: sum(lacking[split][speaker] / count[speaker] for _, speaker in group))
        for name, speaker in group:
            splits[name] = split
            lacking[split][speaker] -= 1
    return splits


def _same(text: str) -> str:
    """Texts that are said alike are equal."""
    return "says " + " ".join(words_of(text)).lower()


def _cut(folder: Path, job: dict[str, Any], result: dict[str, Any], speaker: str | None) -> "lhotse.MonoCut":
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    name, samples = Path(job["audio"]).stem, result["samples"]
    duration = round(samples / _SAMPLING_RATE, 8)
    recording = Recording(
        id=name,
        sources=[AudioSource(type="file", channels=[0], source=str(Path(job["audio"]).relative_to(folder)))],
        sampling_rate=_SAMPLING_RATE,
        num_samples=samples,
        duration=duration,
    )
    phones = [
        AlignmentItem(phone, round(first, 8), round(end - first, 8), score=round(result["facts"]["confidence"], 4))
        for phone, first, end in result.get("phones", ())
    ]
    supervision = SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        text=job["text"],
        language="English",
        speaker=speaker,
        alignment={"phone": phones} if phones else None,
        custom={"character": job["character"]} if job["character"] else None,
    )
    return MonoCut(id=name, start=0.0, duration=duration, channel=0, supervisions=[supervision], recording=recording)


def _alignment_report(results: list[dict[str, Any]]) -> dict[str, Any]:
    """How many of the lines with words have phones, how well the model liked them, and why others have none."""
    aligned = [result for result in results if "phones" in result]
    confidence = sorted(round(result["facts"]["confidence"], 4) for result in aligned)
    return {
        "lines_with_text": len(results),
        "aligned": len(aligned),
        "yield": round(len(aligned) / max(1, len(results)), 4),
        "aligned_at_attempt": dict(sorted(Counter(str(result["attempt"]) for result in aligned).items())),
        "confidence_quartiles": [confidence[len(confidence) * q // 4] for q in (1, 2, 3)] if confidence else [],
        "refused": dict(Counter(result["refused"] for result in results if "refused" in result).most_common()),
        "measured_on_known_phone_times": MEASURED,
    }
