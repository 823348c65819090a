"""A user's lhotse manifests (cuts, or recordings with supervisions; JSON lines, JSON or YAML) or Shar folder.

A manifest may come from a stranger: lhotse would run commands and open addresses that a manifest names. Only pieces of
plain files are accepted (`MonoCut`, `MultiCut`; sources of type `file`), or audio in a Shar's own archives; everything
else is skipped with its reason, and no code is run.

With `path` alone, each speaker's recordings are split; with `dev` and `test` too, these three are the splits. Files of
a CutSet stay where they are unless `--copy` is given; audio in a Shar is unpacked into the corpus as it is. Relative
paths are looked up as `inattention.corpora.core.audio_paths` says. A cut should have one supervision, or several of one
speaker: the corpus takes its speaker from there and its phones from the alignment `phone` (or `phones`). Of recordings
and supervisions, each supervision becomes a cut.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS, Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.audio_paths import AudioPaths, MissingAudioError
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone, make_cut, shortened
from inattention.corpora.core.file_tree import content_digest
from inattention.corpora.core.phones import LabelSymbols
from inattention.corpora.core.recordings import as_json, copy_audio, inspect_files, inventory, without_defaults
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.ctm import STEP
from inattention.corpora.labels.intervals import Interval, Labels, use_labels
from inattention.corpora.readers.lhotse_manifests import kind_of, read_cuts, supervisions_beside
from inattention.corpora.readers.shar import shar_key, unpacked_cuts
from inattention.text import printable

if TYPE_CHECKING:
    from lhotse.cut import Cut

NAME = "cutset"
GENERATOR = 2  # 2: silence has the same label everywhere, and labels may end before their cut
CAVEAT = "A user's own cuts: speakers, phones and, where given, splits are theirs."
_PACKAGES = ("lhotse", "soundfile")


@dataclass(frozen=True, kw_only=True)
class CutSetConfig:
    """Settings of a corpus of lhotse cuts.

    Attributes:
        path: A manifest of cuts or of recordings (.jsonl, .json, .yaml, each also with .gz), or a Shar folder.
        dev: Another one for tuning; by default a fraction of each speaker's recordings is used.
        test: Another one for testing; likewise.
        supervisions: The manifest of supervisions, if `path` has recordings; by default the one beside it whose name
            has `supervisions` instead of `recordings`.
        audio_root: Folder where relative paths of audio may begin, tried after the manifest's and the working folder.
        silence: More labels of silence, besides `sil`, `sp`, `spn`, `<eps>`, the empty label and other usual ones.
        dev_fraction: Fraction for tuning if there is no `dev`.
        test_fraction: Fraction for testing if there is no `test`.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them.
    """

    path: Path = Path("cuts.jsonl.gz")
    dev: Path | None = None
    test: Path | None = None
    supervisions: Path | None = None
    audio_root: Path | None = None
    silence: tuple[str, ...] = ()
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"

    def __post_init__(self) -> None:
        check_fractions(self.dev_fraction, self.test_fraction)
        if (self.dev is None) != (self.test is None):
            raise CorpusError("give both --dev and --test, or neither")


@dataclass
class _Item:
    cut: "Cut"
    path: str
    split: str


def prepare(
    config: CutSetConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of cuts; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: There are no cuts there, a manifest is damaged, or the corpus cannot be written.
    """
    sources = _sources(config)
    unpack = all(source.path.is_dir() for source in sources)
    spec = CorpusSpec(
        name=NAME,
        config=_settings(config, sources, copy=config.copy or unpack),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=_PACKAGES,
        audio_root=None if config.copy or unpack else Path("/"),
    )

    def fill(writer: CorpusWriter) -> None:
        items: list[_Item] = []
        for source in sources:
            found = (
                unpacked_cuts(writer, source.path, source.split)
                if unpack
                else _from_manifest(writer, source, config.audio_root)
            )
            items += [_Item(cut, path, source.split) for cut, path in found]
        root = writer.folder if unpack else Path("/")
        files: dict[str, list[str]] = defaultdict(list)
        for item in items:
            files[item.path].append(item.cut.id)
        how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
        facts = dict(inspect_files(writer, root, files, items=files, **how))
        _add_all(writer, config, [item for item in items if item.path in facts], facts, copied=unpack)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


@dataclass(frozen=True)
class _Source:
    """Source of a split, or of all of them: a Shar folder or a manifest, which may need another."""

    split: str
    path: Path
    supervisions: Path | None = None

    @property
    def key(self) -> str:
        """A digest of the cuts."""
        if self.path.is_dir():
            return shar_key(self.path)
        files = [self.path] + ([self.supervisions] if self.supervisions else [])
        return "".join(content_digest(file).hex()[:16] for file in files)


def _sources(config: CutSetConfig) -> list[_Source]:
    """Return what the splits are read from.

    Raises:
        CorpusError: One does not exist, or they are of different kinds.
    """
    given = {"train": config.path, "dev": config.dev, "test": config.test}
    paths = {split: path.expanduser().resolve() for split, path in given.items() if path is not None}
    for path in paths.values():
        if not path.exists():
            raise CorpusError(f"there is no {path}: --path, --dev and --test must be existing cuts")
    shar = [path.is_dir() for path in paths.values()]
    if any(shar) != all(shar):
        raise CorpusError("train, dev and test must all be manifests, or all be Shar folders")
    if all(shar):
        return [_Source(split, path) for split, path in paths.items()]
    return [_manifest(split, path, config.supervisions if split == "train" else None) for split, path in paths.items()]


def _manifest(split: str, path: Path, supervisions: Path | None) -> _Source:
    kind = kind_of(path)
    if kind == "nothing":
        raise CorpusError(f"{path} has no cuts: the file is empty")
    if kind == "supervisions":
        raise CorpusError(f"{path} has supervisions: --path is the manifest of recordings, --supervisions this one")
    if kind == "cuts":
        if supervisions is not None:
            raise CorpusError(f"{path} has cuts, which contain their supervisions: leave --supervisions out")
        return _Source(split, path)
    supervisions = supervisions_beside(path) if supervisions is None else supervisions.expanduser().resolve()
    if supervisions is not None and (not supervisions.is_file() or kind_of(supervisions) == "recordings"):
        raise CorpusError(f"{supervisions} is no manifest of supervisions")
    return _Source(split, path, supervisions)


def _settings(config: CutSetConfig, sources: list[_Source], *, copy: bool) -> dict[str, Any]:
    """Return what distinguishes the corpus from others, as JSON: the cuts count, and not where they are."""
    settings = dataclasses.asdict(config) | {"copy": copy, "cuts": {source.split: source.key for source in sources}}
    for name in ("path", "dev", "test", "supervisions"):
        del settings[name]
    if config.audio_root is None:
        del settings["audio_root"]
    return as_json(without_defaults(settings, silence=()))


def _from_manifest(writer: CorpusWriter, source: _Source, audio_root: Path | None) -> Iterator[tuple["Cut", str]]:
    """Yield the cuts of a manifest with their files, relative to `/`; bad ones are counted."""
    paths = AudioPaths(source.path.parent, audio_root)
    for item, cut in read_cuts(writer, source.path, source.supervisions):
        try:
            yield cut, paths.find(_audio_of(cut)).lstrip("/")
        except MissingAudioError as error:
            writer.skip(item, str(error), category=error.category, seconds=cut.duration)


def _audio_of(cut: Any) -> str:
    return cut.recording.sources[0].source


def _add_all(
    writer: CorpusWriter, config: CutSetConfig, items: list[_Item], facts: dict[str, Facts], *, copied: bool
) -> None:
    splits = Splits({item.cut.id: item.split for item in items})
    if config.dev is None:
        members = [Member(i.cut.id, _speaker(i.cut) or "", i.path, i.cut.duration) for i in items]
        fractions = {"dev": config.dev_fraction, "test": config.test_fraction}
        splits = split_within_speakers(members, **fractions, seed=config.seed)
    symbols_of = LabelSymbols(english=False, silence=config.silence)
    symbols: set[str] = set()
    seen: set[str] = set()
    of_recording = _are_times_of_recordings(item.cut for item in items)
    for item in items:
        cut, known = item.cut, facts[item.path]
        try:
            if cut.id in seen:
                raise CorpusError("a cut before it has the same id: cuts need different ids")
            cut = shortened(cut, known.samples, known.rate) if known.damage else cut
            _check(cut, known)
        except CorpusError as error:
            writer.skip(printable(cut.id), str(error), seconds=cut.duration)
            continue
        seen.add(cut.id)
        labels = _labels(cut, -cut.start if of_recording else 0.0)
        about: Any = {"seconds": cut.duration, "truncated": bool(known.damage), "speaker": _speaker(cut)}
        phones = use_labels(writer, printable(cut.id), labels, symbols_of, **about) if labels else None
        symbols |= {symbol for symbol, _, _ in phones or ()}
        source = item.path if copied or not config.copy else copy_audio(writer, Path("/"), item.path)
        writer.add(splits.of[cut.id], _remade(cut, source, phones))
    writer.phones = inventory(symbols)
    writer.report("notes", splits.notes())


def _check(cut: Any, facts: Facts) -> None:
    """Raise if a cut does not fit its file."""
    if cut.recording.sampling_rate != facts.rate:
        raise CorpusError(f"its file has {facts.rate} Hz, its manifest says {cut.recording.sampling_rate} Hz")
    if cut.start + cut.duration > facts.seconds + 0.1:
        raise CorpusError(f"it ends at {cut.start + cut.duration:.3f} s, its file at {facts.seconds:.3f} s")
    wanted = cut.channel if isinstance(cut.channel, list) else [cut.channel]
    channels = cut.recording.sources[0].channels
    if not set(wanted) <= set(channels) or len(channels) > facts.channels:
        raise CorpusError(f"its channels are {wanted} of {channels}; its file has {facts.channels}")
    if len({s.speaker for s in cut.supervisions}) > 1:
        raise CorpusError("several speakers speak in it: cut it into their turns (cuts.trim_to_supervisions)")


def _speaker(cut: Any) -> str | None:
    return next((str(s.speaker) for s in cut.supervisions if s.speaker is not None), None)


def _are_times_of_recordings(cuts: "Iterable[Cut]") -> bool:
    """Return whether alignments count from the start of the recordings, as lhotse's own do, or from that of the cuts.

    A manifest does not say. Cuts from the start of a recording leave it open; most of the others decide.
    """
    votes = 0
    for cut in cuts:
        times = _phones(cut, 0.0)
        if times and cut.start > DURATION_TOLERANCE_SECONDS:
            first, last = min(start for _, start, _ in times), max(end for _, _, end in times)
            fits_recording = first >= cut.start - 0.01 and last <= cut.start + cut.duration + DURATION_TOLERANCE_SECONDS
            fits_cut = last <= cut.duration + DURATION_TOLERANCE_SECONDS
            votes += fits_recording - fits_cut
    return votes >= 0


def _phones(cut: Any, offset: float) -> list[Phone]:
    """Return the phones of all supervisions; the offset in seconds is added to their times."""
    items = [
        item for s in cut.supervisions for name in ("phone", "phones") for item in (s.alignment or {}).get(name, ())
    ]
    return [(item.symbol, item.start + offset, item.start + item.duration + offset) for item in items]


def _labels(cut: Any, offset: float) -> Labels | None:
    """Return the labels inside of a cut, if it has any; those of the time before it are cut off."""
    intervals = [Interval(symbol, max(a, 0.0), b) for symbol, a, b in sorted(_phones(cut, offset), key=itemgetter(1))]
    inside = tuple(interval for interval in intervals if interval.end > 0)
    # Alignments mostly come from a CTM.
    return Labels(inside, STEP, overhang=DURATION_TOLERANCE_SECONDS) if inside else None


def _remade(cut: Any, source: str, phones: list[Phone] | None) -> "Cut":
    """Return the cut with one supervision over the whole of it."""
    plain: Any = make_cut(
        cut.id,
        source,
        rate=cut.recording.sampling_rate,
        samples=cut.recording.num_samples,
        piece=(round(cut.start * cut.recording.sampling_rate), round(cut.end * cut.recording.sampling_rate)),
        speaker=_speaker(cut),
        text=" ".join(s.text for s in cut.supervisions if isinstance(s.text, str)) or None,
        language=next((s.language for s in cut.supervisions if isinstance(s.language, str)), None),
        phones=phones,
    )
    # The times and channels are the user's.
    kept = dataclasses.replace(cut, supervisions=plain.supervisions, recording=plain.recording)
    kept.recording.sources[0].channels = cut.recording.sources[0].channels
    kept.recording.channel_ids = list(cut.recording.sources[0].channels)
    return kept
