"""Kind of a file, by its content where that is certain, else by its name: audio, audio of another format, or litter."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inattention.audio.containers import mpeg
from inattention.audio.containers.layout import read_at
from inattention.audio.limits import SUFFIXES
from inattention.text import placeholder

Kind = Literal["audio", "unsupported", "litter", "other"]

HEAD_BYTES = 1024

# Containers that libsndfile recognises by how they begin.
_AUDIO = (
    *(b"RIFX", b"RF64", b"caff", b"OggS", b"fLaC", b".snd", b"dns.", b"NIST_1A", b"Creative Voice File\x1a"),
    *(b"riff\x2e\x91\xcf\x11", b"2BIT", b" paf", b"fap ", b"PVF1\n", b"Extended Instrument: "),
    *(b"\x64\xa3\x01\x00", b"\x64\xa3\x02\x00", b"\x64\xa3\x03\x00", b"\x00\x01\xa3\x64", b"\x00\x02\xa3\x64"),
)
_TYPED = {(b"RIFF", b"WAVE"), *((b"FORM", kind) for kind in (b"AIFF", b"AIFC", b"8SVX", b"16SV"))}
# Formats without a decoder here: beginning of the file, place of these bytes, and name.
_UNSUPPORTED = (
    (b"ftyp", 4, "MP4 or M4A"),
    (b"\x1a\x45\xdf\xa3", 0, "Matroska or WebM"),
    (b"#!AMR", 0, "AMR"),
    (b"#!SILK", 0, "SILK"),
    (b"\x02#!SILK", 0, "SILK"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, "Windows Media"),
    (b"wvpk", 0, "WavPack"),
    (b"MAC ", 0, "Monkey's Audio"),
    (b"ajkg", 0, "Shorten"),
    (b"TTA1", 0, "True Audio"),
    (b"MPCK", 0, "Musepack"),
    (b"MP+", 0, "Musepack"),
    (b"DSD ", 0, "DSD"),
    (b"FLV\x01", 0, "Flash video"),
    (b".RMF", 0, "RealMedia"),
    (b"AVI LIST", 8, "AVI"),
    (b"\x00\x00\x01\xba", 0, "MPEG video"),
    (b"Speex   ", 28, "Speex"),
)


def _by_word(groups: dict[str, str]) -> dict[str, str]:
    """Return the description of each word."""
    return {word: what for what, words in groups.items() for word in words.split()}


_UNSUPPORTED_SUFFIXES = _by_word(
    {
        "MP4 or M4A": ".m4a .m4b .mp4 .m4v .mov .3gp .3g2 .3gpp .qt",
        "Matroska or WebM": ".webm .mkv .mka .weba",
        "Windows Media": ".wma .wmv .asf",
        "AAC": ".aac .adts .loas",
        "AMR": ".amr .awb",
        "RealMedia": ".ra .rm .ram",
        "AC-3 or DTS": ".ac3 .eac3 .dts",
        "headerless": ".raw .pcm .ulaw .ul .alaw .al .vox .sln .g722 .g729",
        "GSM 06.10": ".gsm",
        "Speex": ".spx",
        "WavPack": ".wv",
        "Monkey's Audio": ".ape",
        "Shorten": ".shn",
        "True Audio": ".tta",
        "Musepack": ".mpc",
        "DSD": ".dsf .dff",
        "SILK": ".silk",
        "Flash video": ".flv",
        "AVI": ".avi",
    }
)
# Never audio, and not opened: labels, texts, tables, archives, pictures, programs.
_OTHER_SUFFIXES = _by_word(
    {
        "labels and texts": ".txt .textgrid .ctm .lab .phn .wrd .ltr .trn .stm .rttm .mlf .eaf .cha .trs .srt .vtt "
        ".lrc .csv .tsv .json .jsonl .xml .yaml .yml .toml .md .rst .html .htm .pdf .doc .docx .xls .xlsx .log .ini "
        ".cfg .bib .tex .collection .praat .antx .hlb .m3u .m3u8 .pls .cue .sfv .md5 .sha1 .sha256",
        "archives": ".gz .bz2 .xz .zst .zip .tar .tgz .7z .rar .iso",
        "pictures": ".png .jpg .jpeg .gif .svg .webp .bmp .tif .tiff .eps .ps",
        "programs and data": ".py .sh .pl .c .h .js .css .exe .dll .so .bin .dat .npy .npz .pt .pth .ckpt .pkl .scp "
        ".ark .safetensors .parquet .arrow .feather .h5 .hdf5 .db .sqlite .lock",
    }
)
_LITTER_NAMES = {"icon\r": "macOS file"} | _by_word(
    {
        "macOS file": ".ds_store .localized .apdisk .volumeicon.icns .com.apple.timemachine.donotpresent",
        "Windows file": "thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini",
        "folder settings": ".directory .nomedia",
    }
)
_LITTER_FOLDERS = _by_word(
    {
        "macOS folder": "__macosx .appledouble .trashes .fseventsd .spotlight-v100 .temporaryitems "
        ".documentrevisions-v100",
        "NAS folder": "@eadir #recycle #snapshot @recycle .@__thumb .snapshot .snapshots",
        "Windows folder": "$recycle.bin recycler",
        "version control folder": ".git .svn .hg .bzr",
        "folder of another program": ".ipynb_checkpoints __pycache__ lost+found",
    }
) | {"system volume information": "Windows folder"}
_LITTER_PATTERNS = (
    (r".*~|#.*#|\.#.*|.*\.(swp|swo|bak|orig)|~\$.*|\.~lock\..*#|\.goutputstream-.*", "backup of an editor"),
    (r".*\.(part|partial|crdownload|download|filepart|tmp|temp|!ut|aria2)", "unfinished download"),
    (r"\.nfs[0-9a-f]+|\.fuse_hidden\w+|\.smbdelete\w+", "file deleted while in use"),
    (r".*\.(reapeaks|sfk|asd|pkf|pk|gpk|ovw)", "peaks of an audio editor"),
)
_APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")


@dataclass(frozen=True)
class Recognised:
    """Kind of a file.

    Attributes:
        kind: `audio` is decoded here; `unsupported` is audio for another program; `litter` is written by systems and
            programs; `other` is everything else.
        what: What it is, in words; empty for audio and other files.
    """

    kind: Kind
    what: str = ""

    @property
    def category(self) -> str:
        """A line for counts: what the file is, and the command that converts it if there is one."""
        return f"{self.what}: {conversion(self.what)}" if self.kind == "unsupported" else self.what


def litter_folder(name: str) -> str:
    """Return what kind of folder it is if all in it is litter, by its name; else an empty text.

    >>> litter_folder("__MACOSX"), litter_folder("speech")
    ('macOS folder', '')
    """
    what = _LITTER_FOLDERS.get(name.lower(), "")
    return what or ("trash folder" if re.fullmatch(r"\.trash(-\d+)?", name, re.IGNORECASE) else "")


def recognise(path: str | Path, size: int) -> Recognised:
    """Return what a file is. Files whose names say that they are no audio are not opened.

    Args:
        path: A plain file.
        size: Its length in bytes.
    """
    name = os.path.basename(os.fspath(path))
    suffix = os.path.splitext(name)[1].lower()
    litter = _litter(name)
    if litter:
        return Recognised("litter", litter)
    if suffix in _OTHER_SUFFIXES:
        known = _by_content(path, size) if name.startswith("._") and size else Recognised("other")
        return known if known.kind == "litter" else Recognised("other")
    if not size:
        return Recognised("litter" if not suffix or _by_suffix(suffix).kind != "other" else "other", "empty file")
    known = _by_content(path, size)
    if name.startswith("._") and known.kind != "audio":
        return Recognised("litter", "macOS AppleDouble file")
    return known if known.kind != "other" else _by_suffix(suffix)


def conversion(what: str) -> str:
    """Return the command that converts a format which is not decoded here."""
    if what == "headerless":
        return "convert with `ffmpeg -f s16le -ar 16000 -ac 1 -i FILE FILE.wav`, with its true encoding and rate"
    if what == "Shorten in SPHERE":
        return "convert with `sph2pipe -f wav FILE FILE.wav`"
    return "convert with `ffmpeg -i FILE FILE.wav`"


def unsupported_format(head: bytes) -> str:
    """Return the name of a format that is not decoded here, by the beginning of a file; empty for all others.

    >>> unsupported_format(b"    ftypM4A ")
    'MP4 or M4A'
    """
    if head[:2] in (b"\xff\xf1", b"\xff\xf9", b"\xff\xf0", b"\xff\xf8"):
        return "AAC"
    if head.startswith(b"NIST_1A") and b"embedded-shorten" in head:
        return "Shorten in SPHERE"
    return next((name for magic, place, name in _UNSUPPORTED if head[place : place + len(magic)] == magic), "")


def no_audio(head: bytes, size: int) -> str:
    """Return what a file is that stands in the place of audio, by its beginning; an empty text for all others.

    Args:
        head: The first bytes.
        size: Length of the file in bytes.
    """
    if head.startswith(_APPLE_DOUBLE):
        return "is a macOS AppleDouble file, which holds attributes of another file and no audio"
    if head.startswith(b"\xff\xfe") and not any(head[3:40:2]):  # such a byte order mark looks like a frame of MPEG
        return "is text in UTF-16, not audio"
    return placeholder(head, size)


def is_known_audio(head: bytes) -> bool:
    """Return whether a file begins like a container that libsndfile decodes."""
    return head.startswith(_AUDIO) or (head[:4], head[8:12]) in _TYPED


def _litter(name: str) -> str:
    what = _LITTER_NAMES.get(name.lower())
    return what or next(
        (words for pattern, words in _LITTER_PATTERNS if re.fullmatch(pattern, name, re.IGNORECASE)), ""
    )


def _by_content(path: str | Path, size: int) -> Recognised:
    """Return what a file is by its first bytes; `other` if they are none of those that are known."""
    try:
        with open(path, "rb") as file:
            head = read_at(file, mpeg.tags_end(file, size), HEAD_BYTES)
            if unsupported := unsupported_format(head):
                return Recognised("unsupported", unsupported)
            if head.startswith(_APPLE_DOUBLE):
                return Recognised("litter", "macOS AppleDouble file")
            return Recognised("audio" if is_known_audio(head) or mpeg.begins(file, size) else "other")
    except OSError:  # its reader will report it, if its name says that it is audio
        return Recognised("other")


def _by_suffix(suffix: str) -> Recognised:
    """Return what a file is whose content is not known."""
    if suffix in SUFFIXES:  # damaged, or of a kind that only libsndfile knows
        return Recognised("audio")
    unsupported = _UNSUPPORTED_SUFFIXES.get(suffix)
    return Recognised("unsupported", unsupported) if unsupported else Recognised("other")
