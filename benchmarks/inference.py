"""Speed of speech encoders on a CPU, side by side with what people use, in one run.

Whisper, from log-mel features to the encoder's output, each peer as its users run it: `transformers` (SDPA in float32,
dynamic int8) and CTranslate2 (float32, int8) on inputs padded to 30 s; ONNX Runtime with query-key attention, padded
and at the speech's own length; converted encoders in ONNX Runtime at their own length. Paper-sized encoders: PyTorch in
float32, ONNX Runtime in float32 and int8. All contenders take turns; ratios are medians over rounds, with quartiles.

    python benchmarks/inference.py --whisper whisper-base --converted whisper-toeplitz whisper-none
    python benchmarks/inference.py --rows qk patterned toeplitz none --lengths 500

`speech_to_text.py` measures the whole way from recordings to text.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from inattention.export.config import ExportConfig
from inattention.export.run import export
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.text import aligned
from inattention.timing.measure import quartiles, ratio_quartiles, take_turns

SAMPLING_RATE = 16_000
WINDOW_SECONDS = 30
MEL_FRAMES = 100  # per second, of Whisper


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure encoders side by side.

    Attributes:
        whisper: Hugging Face folder of an unmodified Whisper.
        converted: folders of converted ones.
        rows: paper-sized encoders, with random weights.
        seconds: seconds of speech for Whisper; more than 30 are encoded in windows.
        lengths: frames for paper-sized encoders.
        export_seconds: seconds of speech that the forms of exported heads are chosen for.
        threads: threads of every contender.
        rounds: how often each contender is measured.
        compiled: measure torch.compile too.
        work: folder of the exported files.
        out: JSON file of all results.
    """

    whisper: Path | None = None
    converted: tuple[Path, ...] = ()
    rows: tuple[str, ...] = ()
    seconds: tuple[float, ...] = (2.0, 5.0, 10.0, 30.0)
    lengths: tuple[int, ...] = (500,)
    export_seconds: float = 5.0
    threads: int = 2
    rounds: int = 9
    compiled: bool = False
    work: Path = Path("runs/benchmarks/inference")
    out: Path = Path("runs/benchmarks/inference.json")


@dataclass
class Contender:
    """A way to run an encoder.

    Attributes:
        name: in tables; the first one is what ratios refer to.
        load: returns a function of features.
        padded: it is fed 30 s whatever the length of the speech.
        file: the file of its weights.
        load_seconds: time that loading took.
    """

    name: str
    load: Callable[[], Callable[[np.ndarray], Any]]
    padded: bool = False
    file: Path | None = None
    load_seconds: float = 0.0
    run: Callable[[np.ndarray], Any] | None = field(default=None, repr=False)

    def prepare(self) -> None:
        """Load it."""
        began = time.perf_counter()
        self.run = self.load()
        self.load_seconds = time.perf_counter() - began


def main(options: Options) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    results: list[dict[str, Any]] = []
    if options.whisper is not None:
        results += measure(list(whisper_contenders(options)), options, options.seconds, mel_of, "s")
    if options.rows:
        contenders = list(paper_contenders(options))
        results += measure(contenders, options, options.lengths, features_of, "frames")
    print(table(results))
    settings = {name: str(value) for name, value in vars(options).items()}
    write_json(options.out, {"options": settings, "results": results, "provenance": provenance()})
    print(f"written to {options.out}")


def whisper_contenders(options: Options) -> Iterator[Contender]:
    """Yield the ways to run Whisper's encoder; the first is that of `transformers` in float32."""
    whisper = options.whisper
    assert whisper is not None
    yield Contender("transformers float32", lambda: transformers_encoder(whisper), True, whisper)
    yield Contender("transformers int8", lambda: transformers_encoder(whisper, int8=True), True)
    if options.compiled:
        yield Contender("transformers compiled", lambda: transformers_encoder(whisper, compiled=True), True)
    for precision in ("float32", "int8"):
        folder = ctranslate2_folder(whisper, options.work, precision)
        yield Contender(
            f"CTranslate2 {precision}",
            lambda folder=folder: ctranslate2_encoder(folder, options.threads),
            True,
            folder / "model.bin",
        )
    for model in (whisper, *options.converted):
        for precision in ("float32", "int8"):
            file = exported(model, options, precision)
            name = f"ONNX {model.name} {precision}"
            load = onnx_loader(file, options.threads)
            yield Contender(name, load, False, file)
            if model == whisper:
                yield Contender(f"{name}, padded", load, True, file)


def paper_contenders(options: Options) -> Iterator[Contender]:
    """Yield paper-sized encoders; the first is the first row in PyTorch."""
    from inattention.attention.rows import parse_row
    from inattention.model.config import AudioTransformerConfig
    from inattention.model.transformer import AudioTransformer

    for row in options.rows:
        parsed = parse_row(row)
        folder = options.work / f"paper-{row.replace('@', '-').replace('=', '-')}"
        torch.manual_seed(0)
        config = AudioTransformerConfig(
            attention=parsed.mechanism, attention_options=dict(parsed.options), max_length=max(options.lengths)
        )
        model = AudioTransformer(config).eval()
        if not (folder / "model.safetensors").is_file():
            model.save_pretrained(folder)
        yield Contender(f"PyTorch {row}", lambda model=model: pytorch_encoder(model), file=folder / "model.safetensors")
        for precision in ("float32", "int8"):
            file = exported(folder, options, precision)
            yield Contender(f"ONNX {row} {precision}", onnx_loader(file, options.threads), file=file)


def exported(model: Path, options: Options, precision: Any) -> Path:
    """Return the exported file of a model, after writing it if it does not exist."""
    file = options.work / f"{model.name}-{options.export_seconds:g}s-{precision}.onnx"
    if not file.is_file():
        report = export(str(model), file, ExportConfig(precision=precision, seconds=options.export_seconds))
        print(f"{file.name}: {report.summary()}")
    return file


def ctranslate2_folder(whisper: Path, work: Path, precision: str) -> Path:
    """Return a Whisper in the format of CTranslate2, after converting it if it does not exist."""
    from ctranslate2.converters import TransformersConverter

    folder = work / f"ct2-{whisper.name}-{precision}"
    if not (folder / "model.bin").is_file():
        converter = TransformersConverter(str(whisper), copy_files=["tokenizer.json", "preprocessor_config.json"])
        converter.convert(str(folder), quantization=None if precision == "float32" else precision, force=True)
    return folder


def transformers_encoder(whisper: Path, *, int8: bool = False, compiled: bool = False) -> Callable[[np.ndarray], Any]:
    """Return Whisper's encoder as `transformers` runs it."""
    from inattention.encoders.hugging_face import load_hugging_face

    model: Any = load_hugging_face(str(whisper))
    encoder = model.model.encoder
    if int8:
        encoder = torch.ao.quantization.quantize_dynamic(encoder, {torch.nn.Linear}, dtype=torch.qint8)
    if compiled:
        encoder = torch.compile(encoder)

    def run(mel: np.ndarray) -> Any:
        with torch.inference_mode():
            return encoder(torch.from_numpy(mel)).last_hidden_state

    return run


def ctranslate2_encoder(folder: Path, threads: int) -> Callable[[np.ndarray], Any]:
    """Return Whisper's encoder as CTranslate2 runs it."""
    import ctranslate2

    model = ctranslate2.models.Whisper(str(folder), device="cpu", intra_threads=threads)
    return lambda mel: model.encode(ctranslate2.StorageView.from_array(mel))


def onnx_loader(file: Path, threads: int) -> Callable[[], Callable[[np.ndarray], Any]]:
    """Return what loads an exported file."""

    def load() -> Callable[[np.ndarray], Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # no warning of inputs that have a default
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

        def run(features: np.ndarray) -> Any:
            # Whisper: (1, mels, frames), two of which are one of the encoder; ours: (1, time, size).
            mel = isinstance(session.get_inputs()[0].shape[1], int)
            valid = np.ones((1, features.shape[2] // 2 if mel else features.shape[1]), bool)
            return session.run(None, {"features": features, "valid": valid})

        return run

    return load


def pytorch_encoder(model: Any) -> Callable[[np.ndarray], Any]:
    """Return one of our encoders in PyTorch."""

    def run(features: np.ndarray) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(features)).last_hidden_state

    return run


def mel_of(seconds: float, padded: bool) -> list[np.ndarray]:
    """Return Whisper's input for speech of this length, in windows of 30 s."""
    rest, windows = seconds, []
    while rest > 0:
        length = WINDOW_SECONDS if padded else min(rest + 0.5, WINDOW_SECONDS)  # half a second of silence
        frames = 2 * round(length * MEL_FRAMES / 2)
        windows.append(np.random.default_rng(0).standard_normal((1, 80, frames)).astype(np.float32))
        rest -= WINDOW_SECONDS
    return windows


def features_of(frames: float, padded: bool) -> list[np.ndarray]:
    """Return the input of a paper-sized encoder."""
    return [np.random.default_rng(0).standard_normal((1, int(frames), 480)).astype(np.float32)]


def measure(
    contenders: Sequence[Contender],
    options: Options,
    lengths: Sequence[float],
    inputs: Callable[[float, bool], list[np.ndarray]],
    unit: str,
) -> list[dict[str, Any]]:
    """Return the times of all contenders at each length, and their ratios to the first one's."""
    for contender in contenders:
        contender.prepare()
    found = []
    for length in lengths:
        fed = {padded: inputs(length, padded) for padded in (False, True)}

        def turn(contender: Contender, fed: dict[bool, list[np.ndarray]] = fed) -> None:
            assert contender.run is not None
            for features in fed[contender.padded]:
                contender.run(features)

        tasks = {it.name: (lambda it=it: turn(it)) for it in contenders}
        taken = take_turns(tasks, rounds=options.rounds, threads=options.threads)
        reference = taken[contenders[0].name]
        for it in contenders:
            size = it.file.stat().st_size if it.file is not None and it.file.is_file() else None
            found.append(row(it.name, f"{length:g} {unit}", taken[it.name], reference, it.load_seconds, size))
    return found


def row(
    name: str, length: str, seconds: Sequence[float], reference: Sequence[float], load: float, size: int | None
) -> dict[str, Any]:
    """Return one row of results."""
    return {
        "name": name,
        "length": length,
        "seconds": quartiles(seconds)._asdict(),
        "ratio": ratio_quartiles(seconds, reference)._asdict(),
        "load_seconds": load,
        "bytes": size,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Format results as a table."""
    cells = [["contender", "input", "ms", "quartiles", "ratio", "quartiles", "load s", "MB"]]
    for it in results:
        seconds, ratio = it["seconds"], it["ratio"]
        cells.append(
            [
                it["name"],
                it["length"],
                f"{1000 * seconds['median']:.1f}",
                f"{1000 * seconds['low']:.1f} to {1000 * seconds['high']:.1f}",
                f"{ratio['median']:.3f}",
                f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                f"{it['load_seconds']:.2f}",
                "-" if it["bytes"] is None else f"{it['bytes'] / 1e6:.1f}",
            ]
        )
    return aligned(cells)


if __name__ == "__main__":
    main(tyro.cli(Options))
