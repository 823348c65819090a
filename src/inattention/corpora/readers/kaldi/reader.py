"""A Kaldi data folder: `wav.scp`, `segments`, `utt2spk` or `spk2utt`, `text`, and perhaps the times of phones.

    data/train/wav.scp    RECORDING audio/1.flac        (files only: commands are refused, and nothing is ever run)
    data/train/segments   UTTERANCE RECORDING 0.5 3.25  (without it, each recording is an utterance)
    data/train/utt2spk    UTTERANCE SPEAKER
    data/train/text       UTTERANCE the words
    data/train/ctm        UTTERANCE 1 0.00 0.12 ah      (phones; or ali.ctm, phones.ctm, or --ctm FILE)

With `path` alone, each speaker's recordings are split; with `dev` and `test` too, these three are the splits. The audio
stays where it is unless `--copy` is given. Relative paths are looked up as `inattention.corpora.core.audio_paths` says.
"""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.audio_paths import AudioPaths
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone, make_cut, phones_within
from inattention.corpora.core.file_tree import check_encoding, content_digest
from inattention.corpora.core.phones import ENGLISH_PHONES, LabelSymbols
from inattention.corpora.core.recordings import as_json, copy_audio, inspect_files, inventory, pieces_of
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.intervals import skip_labels, use_labels
from inattention.corpora.readers.kaldi.data_folder import Utterance, read_utterances
from inattention.corpora.readers.kaldi.phone_times import NAMES, PhoneTimes
from inattention.text import printable

NAME = "kaldi"
GENERATOR = 1
CAVEAT = "A user's Kaldi data folder: speakers, texts and phones are what its files say."
OVERSHOOT_SECONDS = 0.5  # of a segment over the end of its recording, which Kaldi's extract-segments cuts off
_PACKAGES = ("lhotse", "soundfile")
_FILES = ("wav.scp", "segments", "utt2spk", "spk2utt", "text")


@dataclass(frozen=True, kw_only=True)
class KaldiConfig:
    """Settings of a corpus of Kaldi data folders.

    Attributes:
        path: A data folder, with wav.scp in it.
        dev: Another one for tuning; by default a fraction of each speaker's recordings is used.
        test: Another one for testing; likewise.
        audio_root: Folder where relative paths of wav.scp may begin, tried after the manifest and working folders.
        ctm: File with the times of phones; by default ctm, ali.ctm or phones.ctm in the data folder. With dev and test
            the same file may have the phones of all.
        phone_set: `as-is` keeps the phones' own symbols; `english` reads ARPAbet, drops stress and positions in words
            (AH0_B), and refuses others.
        silence: More phones that are silence, besides `sil`, `sp`, `spn`, `<eps>` and other usual ones, as in SIL_S.
        encoding: Of lines that are not UTF-8, such as latin-1.
        longest_seconds: Longer utterances are divided.
        dev_fraction: Fraction for tuning if there is no `dev`.
        test_fraction: Fraction for testing if there is no `test`.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them.
        language: The language spoken, if it is the same in all recordings.
    """

    path: Path = Path("data/train")
    dev: Path | None = None
    test: Path | None = None
    audio_root: Path | None = None
    ctm: Path | None = None
    phone_set: Literal["as-is", "english"] = "as-is"
    silence: tuple[str, ...] = ()
    encoding: str = "utf-8"
    longest_seconds: float = 30.0
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"
    language: str = ""

    def __post_init__(self) -> None:
        check_fractions(self.dev_fraction, self.test_fraction)
        check_encoding(self.encoding)
        if (self.dev is None) != (self.test is None):
            raise CorpusError("give both --dev and --test, or neither")
        if not self.longest_seconds > 0:
            raise CorpusError(f"longest_seconds must be above 0, not {self.longest_seconds}")


@dataclass(frozen=True)
class _Source:
    """A data folder and its file of phone times."""

    split: str
    folder: Path
    ctm: Path | None

    @property
    def key(self) -> str:
        """A digest of the files that matter."""
        files = [self.folder / name for name in _FILES]
        if self.ctm is not None:
            files += [self.ctm, self.ctm.with_name("phones.txt")]
        digest = hashlib.sha256()
        for file in files:
            digest.update(content_digest(file))
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Item:
    """A piece of an utterance: first sample and end in its recording."""

    name: str
    utterance: Utterance
    split: str
    first: int
    end: int
    whole: bool
    phones: list[Phone] | None


def prepare(
    config: KaldiConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of Kaldi data folders; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: A data folder is missing, none of its utterances can be used, or the corpus cannot be written.
    """
    sources = _sources(config)
    settings = dataclasses.asdict(config) | {"data": {source.split: source.key for source in sources}}
    for name in ("path", "dev", "test", "ctm"):
        del settings[name]  # the same files in another folder are the same corpus
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=_PACKAGES,
        audio_root=None if config.copy else Path("/"),
    )

    def fill(writer: CorpusWriter) -> None:
        read: list[tuple[_Source, Utterance]] = []
        ids: set[str] = set()
        for source in sources:
            paths = AudioPaths(source.folder, config.audio_root)
            utterances, known = read_utterances(writer, source.folder, paths, config.encoding)
            read += [(source, utterance) for utterance in utterances]
            ids |= known
        files: dict[str, list[str]] = defaultdict(list)
        for _, utterance in read:
            files[utterance.path.lstrip("/")].append(utterance.name)
        how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
        facts = dict(inspect_files(writer, Path("/"), files, items=files, **how))
        items = list(_items(config, writer, read, facts, ids))
        _add(config, writer, items, facts)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _sources(config: KaldiConfig) -> list[_Source]:
    """Return the data folders with their files of phone times.

    Raises:
        CorpusError: A folder or the CTM does not exist.
    """
    sources = []
    for split, path in {"train": config.path, "dev": config.dev, "test": config.test}.items():
        if path is None:
            continue
        folder = path.expanduser().resolve()
        if not (folder / "wav.scp").is_file():
            what = "it has no wav.scp" if folder.is_dir() else "there is no such folder"
            raise CorpusError(f"{folder} is no Kaldi data folder ({what}): --path must name one, such as data/train")
        ctm = config.ctm or next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if ctm is not None and not ctm.expanduser().is_file():
            raise CorpusError(f"there is no CTM {ctm}")
        sources.append(_Source(split, folder, ctm.expanduser().resolve() if ctm else None))
    return sources


def _items(
    config: KaldiConfig,
    writer: CorpusWriter,
    read: list[tuple[_Source, Utterance]],
    facts: dict[str, Facts],
    ids: set[str],
) -> Iterator[_Item]:
    """Yield the pieces of all utterances that fit their audio, with their phones; others are counted."""
    times = _times(config, writer, [source for source, _ in read])
    symbols = LabelSymbols(english=_english(config), silence=config.silence)
    seen: dict[str, str] = {}
    used: set[str] = set()
    for source, utterance in read:
        known = facts.get(utterance.path.lstrip("/"))
        if known is None:  # it was counted with its file
            continue
        item = printable(utterance.name)
        if item in seen:
            writer.skip(item, f"{utterance.place}: {seen[item]} has the same id", category="duplicate id")
            continue
        seen[item] = utterance.place
        try:
            first, end = _samples(writer, utterance, known)
        except CorpusError as error:
            writer.skip(item, f"{utterance.place}: {error}", category="segment that does not fit its audio")
            continue
        own_times = times.get(source.ctm) if source.ctm else None
        span = (first / known.rate, (end - first) / known.rate)
        phones = _phones(writer, own_times, symbols, utterance, span, truncated=bool(known.damage))
        pieces = pieces_of(item, dataclasses.replace(known, samples=end - first), config.longest_seconds)
        cut_off = bool(known.damage) and end == known.samples
        is_whole = len(pieces) == 1 and not cut_off
        used |= {utterance.name, utterance.recording}
        if utterance.text and not is_whole:
            writer.ignore(item, f"text of a {'truncated' if cut_off else 'divided'} recording", kind="text")
        for name, a, b in pieces:
            own = phones_within(phones, a / known.rate, b / known.rate) if phones else None
            yield _Item(name, utterance, source.split, first + a, first + b, is_whole, own)
    _count_unused(writer, times, ids, used)


def _times(config: KaldiConfig, writer: CorpusWriter, sources: list[_Source]) -> dict[Path, PhoneTimes]:
    """Read the files of phone times; one that cannot be read is counted."""
    times: dict[Path, PhoneTimes] = {}
    for path in dict.fromkeys(source.ctm for source in sources if source.ctm):
        try:
            times[path] = PhoneTimes(path, config.encoding)
        except CorpusError as error:
            skip_labels(writer, printable(path.name), error)
    return times


def _english(config: KaldiConfig) -> bool:
    return config.phone_set == "english"


def _samples(writer: CorpusWriter, utterance: Utterance, facts: Facts) -> tuple[int, int]:
    """Return the first sample of an utterance and its end.

    Raises:
        CorpusError: It does not fit its audio.
    """
    if utterance.channel is not None and utterance.channel >= facts.channels:
        raise CorpusError(f"its channel is {utterance.channel}, its file has {facts.channels}, numbered from 0")
    end = facts.seconds if utterance.end is None else utterance.end
    if facts.damage:
        end = min(end, facts.seconds)
    if utterance.start >= facts.seconds or end > facts.seconds + OVERSHOOT_SECONDS:
        raise CorpusError(f"it goes from {utterance.start:g} s to {end:g} s, its audio ends at {facts.seconds:.3f} s")
    first, last = round(utterance.start * facts.rate), min(round(end * facts.rate), facts.samples)
    if last <= first:
        raise CorpusError(f"it has no sample at {facts.rate} Hz")
    if round(end * facts.rate) > facts.samples:
        reason = f"{utterance.place}: its end is {1000 * (end - facts.seconds):.0f} ms past its audio and was cut off"
        writer.repair(printable(utterance.name), reason, kind="recording", category="segment past the end of its audio")
    return first, last


def _phones(
    writer: CorpusWriter,
    times: PhoneTimes | None,
    symbols: LabelSymbols,
    utterance: Utterance,
    span: tuple[float, float],
    *,
    truncated: bool,
) -> list[Phone] | None:
    """Return the phones of an utterance, which starts at span[0] in its recording and lasts span[1] seconds."""
    if times is None:
        return None
    item = printable(utterance.name)
    try:
        labels = times.labels(utterance.name, utterance.recording, *span)
    except CorpusError as error:
        skip_labels(writer, item, error, speaker=utterance.speaker)
        return None
    if labels is None:
        return None
    return use_labels(writer, item, labels, symbols, span[1], truncated=truncated, speaker=utterance.speaker)


def _count_unused(writer: CorpusWriter, times: dict[Path, PhoneTimes], ids: set[str], used: set[str]) -> None:
    """Count the labels that belong to no utterance, or to none that is used."""
    for path, own in times.items():
        for name in sorted(own.names - ids):
            reason = f"{printable(path.name)} has its phones, but there is no such utterance or recording"
            writer.skip(name[:80], reason, kind="label", category="label without audio")
        for name in sorted((own.names & ids) - used):
            writer.ignore(name[:80], "labels of a recording that is not used", kind="label")


def _add(config: KaldiConfig, writer: CorpusWriter, items: list[_Item], facts: dict[str, Facts]) -> None:
    """Split the pieces and add them to the corpus."""
    splits = Splits({item.name: item.split for item in items})
    if config.dev is None:
        fractions: dict[str, Any] = {"dev": config.dev_fraction, "test": config.test_fraction}
        members = [
            Member(i.name, i.utterance.speaker or "", i.utterance.recording, float(i.end - i.first)) for i in items
        ]
        splits = split_within_speakers(members, **fractions, seed=config.seed)
    symbols = {symbol for item in items for symbol, _, _ in item.phones or ()}
    writer.phones = ENGLISH_PHONES if _english(config) and symbols else inventory(symbols)
    for item in items:
        known = facts[item.utterance.path.lstrip("/")]
        writer.add(splits.of[item.name], _cut(config, writer, item, known), item=item.utterance.name)
    writer.report("notes", _notes(items, splits))


def _notes(items: list[_Item], splits: Splits) -> dict[str, int]:
    places: dict[str, set[str]] = defaultdict(set)
    speakers: dict[str, set[str | None]] = defaultdict(set)
    for item in items:
        places[item.utterance.recording].add(splits.of[item.name])
        speakers[item.utterance.recording].add(item.utterance.speaker)
    shared = sum(len(speakers[name]) > 1 and len(places[name]) > 1 for name in places)
    counts = Counter(
        {
            "utterances with phones": sum(bool(item.phones) for item in items),
            "recordings of several speakers, in several splits": shared,
        }
    )
    return {**{words: count for words, count in counts.items() if count}, **splits.notes()}


def _cut(config: KaldiConfig, writer: CorpusWriter, item: _Item, facts: Facts) -> Any:
    path, utterance = item.utterance.path.lstrip("/"), item.utterance
    cut: Any = make_cut(
        item.name,
        copy_audio(writer, Path("/"), path) if config.copy else path,
        rate=facts.rate,
        samples=facts.samples,
        channels=facts.channels,
        piece=(item.first, item.end),
        speaker=None if utterance.speaker is None else printable(utterance.speaker),
        text=utterance.text if item.whole else None,
        language=config.language or None,
        phones=item.phones,
    )
    if utterance.channel is None or facts.channels == 1:
        return cut
    from lhotse import MonoCut

    supervision = dataclasses.replace(cut.supervisions[0], channel=utterance.channel)
    return MonoCut(
        cut.id, cut.start, cut.duration, utterance.channel, supervisions=[supervision], recording=cut.recording
    )
