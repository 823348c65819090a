"""Export of an encoder: prepare, lower, quantise, compare with PyTorch, and only then put the file in its place."""

import platform
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inattention.export.blocks import graph_and_inputs
from inattention.export.checks.accuracy import accuracy_test
from inattention.export.checks.exported import ExportedSource
from inattention.export.checks.parity import Runner, batches, check, compare, tolerance
from inattention.export.config import ExportConfig, ExportError
from inattention.export.costs import measure_costs, measure_torch_costs
from inattention.export.int8.calibration import Calibration
from inattention.export.int8.quantiser import quantise
from inattention.export.lowering import INPUTS, lower, to_bf16, to_onnx, write_onnx, write_program
from inattention.export.metadata import describe, output_names
from inattention.export.prepare import Prepared, prepare
from inattention.export.subject import Subject, WaveformSubject, WhisperSubject, open_subject
from inattention.files import check_writable, folder_for, replacing

SUFFIXES = (".onnx", ".pt2")
X86 = ("x86_64", "amd64", "i686", "i386")


@dataclass(frozen=True)
class ExportReport:
    """Outcome of an export.

    Attributes:
        path: the file.
        metadata: what the file says of itself.
        bytes: size of the file.
        model_bytes: size of the model's parameters in float32.
        difference: greatest difference of a feature from PyTorch, over its own size and the root mean square of the
            hidden state.
        relative_error: root of the summed squared differences over that of the summed squares.
        accuracy: accuracy of the file and of the model on a corpus, with paired intervals, see `Accuracy.to_dict`;
            None without a corpus.
        lines: the accuracy as text.
    """

    path: Path
    metadata: dict[str, Any]
    bytes: int
    model_bytes: int
    difference: float
    relative_error: float
    accuracy: dict[str, Any] | None = None
    lines: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: value for name, value in vars(self).items() if name != "lines"}

    def summary(self) -> str:
        """Return some lines for the terminal."""
        about = self.metadata
        kind = f" ({about['quantisation']})" if about["quantisation"] else ""
        lines = [
            f"precision: {about['precision']}{kind}, {self.bytes / 1e6:.1f} MB (parameters in "
            f"float32: {self.model_bytes / 1e6:.1f} MB)"
        ]
        if calibration := about.get("calibration"):
            lines.append(f"calibrated on {calibration['recordings']} recordings, {calibration['seconds']:.0f} s")
        lines.append(
            f"relative error against PyTorch: {self.relative_error:.1e} ({about['tolerance']:.1e} allowed), difference "
            f"of a feature at most {self.difference:.1e} of its size"
        )
        forms = Counter[str]()
        for counts in about["forms"].values():
            forms.update(counts)
        if forms:
            lines.append("heads: " + ", ".join(f"{count} {form}" for form, count in sorted(forms.items())))
        if about["band_bound"]:
            lines.append(f"bands leave out at most {about['band_bound']:.1e} of a row of weights")
        if about["two_level_share"]:
            lines.append(
                f"two levels change {about['two_level_share']:.2f} of a row of weights (mean of the worst head)"
            )
        if about["reach_seconds"] is not None:
            left, right = about["reach_seconds"]
            lines.append(f"reach of mixing: {left:.2f} s to the left, {right:.2f} s to the right")
        lines.append(f"blocks of long recordings: {'yes' if about['blocks'] else 'no: ' + about['unlimited']}")
        return "\n".join([*lines, self.lines] if self.lines else lines)


def export(model: str, out: Path, config: ExportConfig | None = None, *, progress: bool = True) -> ExportReport:
    """Export an encoder to ONNX or to a `torch.export` program.

    Args:
        model: folder or hub name of one of our encoders, or of Whisper, wav2vec 2.0, HuBERT or a similar one,
            converted or not.
        out: the file, ``.onnx`` or ``.pt2``.
        config: settings.
        progress: show progress bars on stderr.

    Raises:
        ExportError: if the model cannot be exported, or the file does not compute what the model does; no file is
            left then.
        ModelFolderError: if there is no model.
        CorpusError: if there is no corpus.
    """
    config = config or ExportConfig()
    _check_request(out, config)
    subject = open_subject(model)
    if config.decoder != "none":
        _check_decoder(model, out, subject)
    if config.form == "two-level" and isinstance(subject, WaveformSubject):
        raise ExportError(f"--form two-level: not of encoders that take waveforms, as {model} does; use auto or dense")
    states = states_of(config.layers, subject.source.layers)
    calibration = None if config.calibrate is None else Calibration(config.calibrate, subject, progress)
    test = None
    if config.corpus is not None:
        test = accuracy_test(
            model, subject, config.corpus, states, config.lines, language=config.language, progress=progress
        )
    frames = max(1, min(subject.longest, round(config.seconds / subject.source.step_seconds)))
    measure = measure_torch_costs if out.suffix == ".pt2" else measure_costs
    # PyTorch's exporter cannot follow blocks where the number of frames is no plain dimension of the input.
    waveforms = isinstance(subject, WaveformSubject)
    prepared = prepare(subject.model, config, subject.longest, frames, measure, exact=waveforms)
    exact = config.precision == "float32" and not prepared.moved
    allowed = tolerance(subject.source.layers, prepared.bound, config.precision, exact=exact)
    metadata = describe(subject, prepared, config, states, allowed, out.suffix)
    parameters = sum(4 * parameter.numel() for parameter in subject.model.parameters())
    with folder_for(out.parent, worthless=()), replacing(out) as temporary:
        runner = _write(temporary, out.suffix, subject, prepared, calibration, config, states, metadata)
        groups = batches(subject, calibration.checked() if calibration else ())
        difference, relative = compare(runner, subject, states, groups)
        check(difference, relative, allowed, exact=exact)
        found = None if test is None else test.compare(ExportedSource(runner, subject, states))
        report = ExportReport(
            out,
            metadata,
            temporary.stat().st_size,
            parameters,
            difference,
            relative,
            None if found is None else found.to_dict(),
            "" if found is None else found.summary(),
        )
        if config.decoder != "none":  # last, as nothing can fail behind it
            from inattention.export.decoder import export_decoder

            export_decoder(model, out, config.decoder)
    return report


def _check_request(out: Path, config: ExportConfig) -> None:
    """Raise if a file of this kind cannot be written, before any work.

    Raises:
        ExportError: with what to do instead.
    """
    if out.suffix not in SUFFIXES:
        raise ExportError(f"{out}: the file must end in .onnx or .pt2, not {out.suffix or 'without a suffix'}")
    if out.is_dir():
        raise ExportError(f"{out}: is a folder; choose another --out")
    if config.precision == "bf16" and out.suffix == ".onnx" and platform.machine().lower() in X86:
        raise ExportError(
            "onnxruntime has no bf16 matrix products on this CPU; use --precision int8, or an --out that ends in .pt2"
        )
    if config.precision == "int8" and out.suffix == ".pt2":
        raise ExportError("--precision int8 is onnxruntime's: use an --out that ends in .onnx")
    for name in ("onnx", "onnxscript", "onnxruntime") if out.suffix == ".onnx" else ():
        if find_spec(name) is None:
            raise ExportError(f"{name} is not installed: pip install 'inattention[export]'")
    check_writable(out.parent)


def states_of(layers: Sequence[int], count: int) -> list[int]:
    """Return the numbers of hidden states, counted from 0.

    Raises:
        ValueError: if there is no such layer.

    >>> states_of((0, -1), 6)
    [0, 6]
    """
    for layer in layers:
        if not -count - 1 <= layer <= count:
            raise ValueError(f"there is no layer {layer}: the model has hidden states 0 to {count}, -1 is the last")
    return sorted({layer % (count + 1) for layer in layers or (-1,)})


def _write(
    path: Path,
    suffix: str,
    subject: Subject,
    prepared: Prepared,
    calibration: Calibration | None,
    config: ExportConfig,
    states: Sequence[int],
    metadata: dict[str, Any],
) -> Runner:
    """Write the file, and return what runs it; what was calibrated on is added to the metadata."""
    if config.precision == "bf16":
        to_bf16(prepared.model)
    features, mask, _ = subject.batch(2 * batches(subject)[0][:1])  # a batch of one would be taken for a rule
    placed = metadata["blocks"] is not None
    graph, inputs, shapes = graph_and_inputs(subject, prepared.model, states, (features, mask), placed)
    program = lower(graph, inputs, shapes, subject.source.name)
    if suffix == ".pt2":
        write_program(program, metadata, path)
        return _program_runner(path)
    model = to_onnx(program, output_names(states), subject.source.name)
    if config.precision != "int8":
        write_onnx(model, metadata, path)
        return _onnx_runner(path)
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        write_onnx(model, metadata, plain)
        quantise(plain, small, calibration)
        if calibration is not None:
            metadata["calibration"] = {
                "recordings": calibration.recordings,
                "seconds": calibration.seconds,
                "skipped": len(calibration.skipped),
            }
        write_onnx(onnx.load(small), metadata, path)
    return _onnx_runner(path)


def _onnx_runner(path: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that have a default
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"onnxruntime cannot run the exported file on this machine ({reason})") from error

    def run(features: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(it) for it in session.run(None, dict(zip(INPUTS, (features, mask), strict=True)))]

    return run


def _program_runner(path: Path) -> Runner:
    with path.open("rb") as file:
        module = torch.export.load(file).module()

    def run(features: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [it.numpy() for it in module(torch.from_numpy(features), torch.from_numpy(mask))]

    return run


def _check_decoder(model: str, out: Path, subject: Subject) -> None:
    """Raise if there is no decoder to write.

    Raises:
        ExportError: with the reason.
    """
    if not isinstance(subject, WhisperSubject) or not hasattr(subject.source.whole, "generate"):
        raise ExportError(f"--decoder: {model} is no Whisper with a decoder")
    from inattention.export.decoder import check_decoder

    check_decoder(model, out)
