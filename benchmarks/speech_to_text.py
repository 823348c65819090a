"""Time from speech to text on a CPU, and word errors, compared with faster-whisper's engine.

CTranslate2 in int8, as faster-whisper runs it (greedy, every recording padded to 30 s), against `inattention_runtime`
with converted encoders in int8 and the same kind of decoder. Every contender is a process of its own; they take turns.
Where a recording has its text beside it (`line.wav`, `line.txt`), word error rates are compared by the paired test.

    python benchmarks/speech_to_text.py --whisper whisper-tiny.en --converted whisper-toeplitz --recordings lines/
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from inattention.conversion.measure.transcripts import Transcript
from inattention.conversion.measure.word_errors import WordErrors, rate_difference, word_errors
from inattention.export.config import ExportConfig
from inattention.export.run import export
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.text import aligned
from inattention.timing.measure import quartiles, ratio_quartiles

SAMPLING_RATE = 16_000
WINDOW_FRAMES = 3000  # of log-mel features, 30 s


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the time from speech to text.

    Attributes:
        whisper: Hugging Face folder of an unmodified Whisper.
        converted: folders of converted ones.
        recordings: folder of recordings, and of their texts.
        threads: threads of every contender.
        rounds: how often each contender transcribes all recordings.
        work: folder of the exported files.
        out: JSON file of all results.
    """

    whisper: Path
    converted: tuple[Path, ...]
    recordings: Path
    threads: int = 2
    rounds: int = 5
    work: Path = Path("work")
    out: Path = Path("speech_to_text.json")


def main(options: Options) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    contenders = files_of(options)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, dict[str, str]] = {}
    for _ in range(options.rounds):
        for name, path in contenders.items():
            command = [sys.executable, __file__, "--transcribe", path, str(options.recordings), str(options.threads)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            seconds[name].append(found["seconds"])
            texts[name] = found["texts"]
    results = compare(seconds, texts, references(options.recordings))
    print(table(results))
    settings = json.loads(json.dumps(vars(options), default=str))
    write_json(options.out, {"options": settings, "results": results, "provenance": provenance()})
    print(f"written to {options.out}")


def files_of(options: Options) -> dict[str, str]:
    """Return the model of each contender, exported or converted if it does not exist; the first is CTranslate2's."""
    from inference import ctranslate2_folder

    found = {f"CTranslate2 {options.whisper.name}": str(ctranslate2_folder(options.whisper, options.work, "int8"))}
    if len({it.name for it in options.converted}) < len(options.converted):
        raise SystemExit("folders of converted models must have different names")
    for model in options.converted:
        file = options.work / f"{model.name}-text.onnx"
        if not file.with_suffix(".decoder").is_dir():
            export(str(model), file, ExportConfig(precision="int8", decoder="int8", seconds=5.0))
        found[model.name] = str(file)
    return found


def references(recordings: Path) -> dict[str, str]:
    """Return the texts beside the recordings, by the name without suffix."""
    return {it.stem: it.read_text(encoding="utf-8") for it in sorted(recordings.glob("*.txt"))}


def compare(
    seconds: dict[str, list[float]], texts: dict[str, dict[str, str]], references: dict[str, str]
) -> list[dict[str, Any]]:
    """Return times, relative to the first contender, and word errors."""
    first = next(iter(seconds))
    errors = {name: errors_of(found, references) for name, found in texts.items()}
    results = []
    for name, taken in seconds.items():
        difference = None if name == first else rate_difference(errors[name], errors[first])
        results.append(
            {
                "name": name,
                "recordings": len(texts[name]),
                "seconds": quartiles(taken)._asdict(),
                "ratio": ratio_quartiles(taken, seconds[first])._asdict(),
                "words": sum(errors[name].words),
                "word_error_rate": errors[name].rate if errors[name].words else None,
                "difference": None if difference is None else [difference.estimate, difference.low, difference.high],
            }
        )
    return results


def errors_of(texts: dict[str, str], references: dict[str, str]) -> WordErrors:
    return word_errors([Transcript(name, text, False, 0.0) for name, text in texts.items()], references)


def transcribe_all(model: str, recordings: str, threads: str) -> None:
    """Print the transcripts of all recordings, and the seconds that they take; loading is left out."""
    from inattention_runtime.reader import list_audio

    files = list_audio(Path(recordings)).files
    transcribe = runtime(model, int(threads)) if model.endswith(".onnx") else ctranslate2_whisper(model, int(threads))
    transcribe(files[0])
    began = time.perf_counter()
    texts = {path.stem: transcribe(path) for path in files}
    print(json.dumps({"seconds": time.perf_counter() - began, "texts": texts}))


def runtime(model: str, threads: int) -> Callable[[Path], str]:
    from inattention_runtime import Whisper

    whisper = Whisper(model, threads=threads)
    return lambda path: whisper.transcribe(path).text


def ctranslate2_whisper(model: str, threads: int) -> Callable[[Path], str]:
    """Return Whisper as faster-whisper runs it: 30 s of features, no timestamps, greedy."""
    import ctranslate2
    import numpy as np
    import tokenizers

    from inattention_runtime.features import whisper_mel
    from inattention_runtime.reader import load_audio

    peer = ctranslate2.models.Whisper(model, device="cpu", intra_threads=threads)
    tokenizer = tokenizers.Tokenizer.from_file(f"{model}/tokenizer.json")
    names = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    prompt = [tokenizer.token_to_id(it) for it in (names if peer.is_multilingual else (names[0], names[3]))]
    settings = {"fft_size": 400, "hop_samples": 160, "mels": 80, "sampling_rate": SAMPLING_RATE}

    def transcribe(path: Path) -> str:
        mel = whisper_mel(load_audio(path, SAMPLING_RATE), settings, WINDOW_FRAMES, WINDOW_FRAMES)[None]
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel))
        found = peer.generate(features, [prompt], beam_size=1)
        return tokenizer.decode(found[0].sequences_ids[0])

    return transcribe


def table(results: Sequence[dict[str, Any]]) -> str:
    """Format results as a table."""
    cells = [["contender", "recordings", "s", "quartiles", "ratio", "quartiles", "WER", "minus first"]]
    for it in results:
        seconds, ratio, rate, difference = (it[key] for key in ("seconds", "ratio", "word_error_rate", "difference"))
        bounds = None if difference is None else f"{difference[0]:+.3f} [{difference[1]:+.3f}, {difference[2]:+.3f}]"
        cells.append(
            [
                it["name"],
                str(it["recordings"]),
                f"{seconds['median']:.2f}",
                f"{seconds['low']:.2f} to {seconds['high']:.2f}",
                f"{ratio['median']:.3f}",
                f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                "-" if rate is None else f"{rate:.3f}",
                bounds or "-",
            ]
        )
    return aligned(cells)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--transcribe"]:
        transcribe_all(*sys.argv[2:5])
    else:
        main(tyro.cli(Options))
