"""Files that end before their samples begin, of which a decoder reports no more than an internal error."""

from inattention.audio.containers import mpeg
from inattention.audio.containers.chunks import FORMS, sample_chunk_is_cut_off
from inattention.audio.containers.layout import File, read_at

WITHIN_HEADERS = "it ends within its headers"
# Bytes of the shortest header of each container, by how it begins; no file with samples is shorter.
_SHORTEST = {
    b"RIFF": 44,
    b"RIFX": 44,
    b"RF64": 80,
    b"FORM": 40,
    b"riff": 128,
    b"caff": 68,
    b"fLaC": 42,
    b"OggS": 58,
    b".snd": 24,
    b"dns.": 24,
    b"NIST_1A": 1024,
    b"Creative Voice File\x1a": 32,
    b" paf": 2048,
    b"fap ": 2048,
}


def mpeg_ends_early(file: File, size: int) -> bool:
    """Return whether MPEG audio ends within its tags or its first frame.

    Decoders must not be asked: libmpg123 writes warnings about such files to stderr.
    """
    place = mpeg.tags_end(file, size)
    if place >= size:
        return True
    found = mpeg.frame(read_at(file, place, 4))
    return found is not None and place + found.length > size


def ends_early(file: File, size: int) -> bool:
    """Return whether a file that cannot be opened begins like a known container and ends within its headers.

    Args:
        file: The file.
        size: Its length in bytes, above 0.
    """
    start = mpeg.tags_end(file, size)
    head, rest = read_at(file, start, 20), size - start
    for magic, shortest in _SHORTEST.items():
        if head.startswith(magic) or (rest < len(magic) and rest > 1 and magic.startswith(head)):
            return rest < shortest or _lacks_samples(file, start, size, head[:4])
    return False


def _lacks_samples(file: File, start: int, size: int, magic: bytes) -> bool:
    if magic in FORMS and not start:
        return sample_chunk_is_cut_off(file, size, magic)
    return magic == b"fLaC" and _flac_ends_early(file, start + 4, size)


def _flac_ends_early(file: File, place: int, size: int) -> bool:
    """Return whether FLAC ends within its metadata blocks, the first of which is at a place."""
    while place < size:
        head = read_at(file, place, 4)
        place += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:  # the last block; samples follow
            break
    return place >= size
