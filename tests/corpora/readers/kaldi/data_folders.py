"""Small Kaldi data folders for the tests."""

from pathlib import Path

from recordings import noise, write


def data_folder(root: Path, speakers: tuple[str, ...] = ("ann", "bob"), each: int = 3, seconds: float = 1.0) -> Path:
    """Write `data/train` below a root, with paths relative to the root, two segments and phones per recording."""
    folder = root / "data/train"
    folder.mkdir(parents=True)
    rows: dict[str, list[str]] = {name: [] for name in ("wav.scp", "segments", "utt2spk", "text", "ctm")}
    for speaker in speakers:
        for number in range(each):
            recording = f"{speaker}-r{number}"
            write(root / f"wav/{recording}.flac", noise(seconds, seed=number))
            rows["wav.scp"].append(f"{recording} wav/{recording}.flac")
            for part, start in enumerate((0.0, seconds / 2)):
                name = f"{recording}-{part}"
                rows["segments"].append(f"{name} {recording} {start:.2f} {start + seconds / 2:.2f}")
                rows["utt2spk"].append(f"{name} {speaker}")
                rows["text"].append(f"{name} THE WORDS  OF {name.upper()}")
                rows["ctm"] += [f"{name} 1 0.00 0.20 SIL", f"{name} 1 0.20 {seconds / 2 - 0.2:.2f} AH0_B"]
    for name, lines in rows.items():
        (folder / name).write_text("".join(line + "\n" for line in lines))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file, which must have it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
