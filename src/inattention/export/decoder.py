"""Whisper's decoder as a folder of CTranslate2, which decodes what an exported encoder returns."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from inattention.encoders.hub import model_folder
from inattention.encoders.hugging_face import load_hugging_face
from inattention.encoders.quiet import quiet
from inattention.export.config import ExportError

DECODER = ".decoder"  # ends the name of the folder: whisper.onnx, whisper.decoder
FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")


def decoder_folder(out: Path) -> Path:
    """Return the folder of the decoder that belongs to an encoder's file."""
    return out.with_suffix(DECODER)


def check_decoder(model: str, out: Path) -> None:
    """Raise if a decoder cannot be written.

    Raises:
        ExportError: if CTranslate2 is not installed, the tokenizer is missing, or something is in the way.
    """
    from importlib.util import find_spec

    if find_spec("ctranslate2") is None:
        raise ExportError("ctranslate2 is not installed: pip install 'inattention[export]'")
    if not (model_folder(model) / "tokenizer.json").is_file():
        raise ExportError(f"{model}: has no tokenizer.json, which transcripts need")
    target = decoder_folder(out)
    if target.exists() and not (target / "model.bin").is_file():
        raise ExportError(f"{target} is in the way: it is no decoder; move it, or choose another --out")


def export_decoder(model: str, out: Path, precision: str) -> Path:
    """Write the decoder of a Whisper, converted or not, beside its encoder's file.

    CTranslate2 wants an encoder too, which is never run: it gets one layer.

    Args:
        model: folder or hub name.
        out: the encoder's file.
        precision: float32 or int8.

    Raises:
        ExportError: if CTranslate2 cannot convert it.
    """
    from ctranslate2.converters import TransformersConverter

    source: Any = load_hugging_face(model)
    names = ("model_type", "inattention", "architectures")
    settings: Any = {k: v for k, v in source.config.to_dict().items() if k not in names}
    settings["encoder_layers"] = 1
    config = transformers.WhisperConfig(**settings)
    target = decoder_folder(out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".decoder-") as folder, quiet(), torch.no_grad():
        plain = transformers.WhisperForConditionalGeneration(config)
        own = {k: v for k, v in source.state_dict().items() if ".encoder.layers." not in k}
        plain.load_state_dict(own, strict=False)
        plain.generation_config = source.generation_config
        plain.save_pretrained(Path(folder, "plain"))
        for name in FILES:
            if (model_folder(model) / name).is_file():
                shutil.copy(model_folder(model) / name, Path(folder, "plain"))
        try:
            converter = TransformersConverter(str(Path(folder, "plain")), copy_files=["tokenizer.json"])
            converter.convert(str(Path(folder, "made")), quantization=None if precision == "float32" else precision)
        except Exception as error:  # of a library whose errors are of any type
            reason = " ".join(str(error).split())[:300]
            raise ExportError(f"{model}: CTranslate2 cannot convert its decoder ({reason})") from error
        if target.exists():
            shutil.rmtree(target)
        Path(folder, "made").rename(target)
    return target
