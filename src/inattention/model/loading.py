"""Find and check the two files of a saved model before anything is built from them.

Downloaded files are not trusted: the config is JSON of a known form, weights are safetensors of the names and shapes
that the config requires. Nothing is unpickled, and no memory is allocated before the files agree.
"""

import json
import logging
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError, safe_open

from inattention.model.config import MODEL_TYPE, AudioTransformerConfig
from inattention.text import placeholder, printable

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
EXTRACTOR_FILE = "preprocessor_config.json"
_FOR_AUTO_CLASSES = ("model_type", "architectures")
LARGEST_CONFIG_BYTES = 2**20
_LONGEST_POINTER = 1024  # bytes

Shapes = dict[str, tuple[int, ...]]


class ModelFolderError(ValueError):
    """Raised for a folder or hub name that does not hold a usable model; it says what is wrong and where."""


def find_files(name: str, **hub_options: Any) -> tuple[Path, Path]:
    """Return the paths of a model's config and weights.

    Args:
        name: a folder, or a name on the Hugging Face hub.
        **hub_options: for `huggingface_hub.hf_hub_download`.

    Raises:
        ModelFolderError: if there is neither, or one of the files is missing.
    """
    config, weights = (_find(name, file, hub_options) for file in (CONFIG_FILE, WEIGHTS_FILE))
    return config, weights


def _find(name: str, file: str, hub_options: dict[str, Any]) -> Path:
    if os.path.isdir(name):
        path = Path(name, file)
        check_link(path)
        if not path.is_file():
            raise ModelFolderError(
                f"{name}: holds no {file}; a model's folder has {CONFIG_FILE} and {WEIGHTS_FILE}, "
                "and weights of any other kind (pickles such as .bin or .pt) are not read"
            )
        return path
    if os.path.exists(name):
        raise ModelFolderError(f"{name}: is a file; give the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}")
    if name.count("/") != 1:  # a name on the hub is USER/MODEL, and requests for others take long
        raise ModelFolderError(f"{name}: there is no such folder, and it is no name on the hub")
    try:
        with quiet_hub():
            return Path(hf_hub_download(name, file, **hub_options))
    except HFValidationError as error:
        raise ModelFolderError(f"{name}: there is no such folder, and it is no name on the hub") from error
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ModelFolderError(
            f"{name}: is no folder, and no {file} was found on the hub or in its cache ({reason}); where there is a "
            f"network, download it with `hf download {name}`"
        ) from error


def check_link(path: Path) -> None:
    """Raise if a file is a link that leads nowhere.

    Raises:
        ModelFolderError: with the place that it leads to.
    """
    if path.is_symlink() and not path.exists():
        raise ModelFolderError(f"{path}: is a link to {printable(os.readlink(path))}, which does not exist")


def check_weights(file: Path) -> None:
    """Raise if a file of weights is a link that leads nowhere, or a text: a pointer to the weights, or a web page.

    Raises:
        ModelFolderError: with what the file is.
    """
    check_link(file)
    try:
        size = file.stat().st_size
        with file.open("rb") as content:
            head = content.read(_LONGEST_POINTER)
    except OSError:  # its reader reports it
        return
    # A safetensors file begins with the length of its header, in 8 bytes whose last ones are zero.
    if head and b"\0" not in head:
        what = placeholder(head, size) or f"is damaged: it is no safetensors file but {size} bytes of text"
        raise ModelFolderError(f"{file}: {what}")


@contextmanager
def quiet_hub() -> Generator[None]:
    """Suppress the hub's warnings about each retry: the error reports the failure once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds an encoder that was pre-trained with inattention, of this version or another."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "attention" in config and config.get("model_type", MODEL_TYPE) == MODEL_TYPE


def read_config(file: Path) -> AudioTransformerConfig:
    """Read a model's config.

    Raises:
        ModelFolderError: if the file is not JSON or far too large, or a field is unknown or has a wrong value.
    """
    try:
        if file.stat().st_size > LARGEST_CONFIG_BYTES:
            raise ValueError(f"has {file.stat().st_size} bytes, which no settings have")
        content = file.read_bytes()
        if what := placeholder(content[:_LONGEST_POINTER], len(content)):
            raise ModelFolderError(f"{file}: {what}")
        settings = json.loads(content.decode())
        if not isinstance(settings, dict):
            raise ValueError(f"expected settings by name, found {type(settings).__name__}")
        if settings.get("model_type") == MODEL_TYPE:
            settings = {name: value for name, value in settings.items() if name not in _FOR_AUTO_CLASSES}
    except ModelFolderError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise ModelFolderError(f"{file}: is not a model's settings in JSON ({error})") from error
    try:
        return AudioTransformerConfig.from_dict(settings)
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{file}: {error}") from error


def file_settings(config: AudioTransformerConfig) -> dict[str, Any]:
    """Return the contents of config.json, with what the auto classes of `transformers` go by."""
    return {"model_type": MODEL_TYPE, "architectures": ["InattentionModel"], **config.to_dict()}


def wanted_dtype(options: Mapping[str, Any]) -> torch.dtype | None:
    """Return the type of weights that options of `from_pretrained` ask for; None for that of the file.

    Raises:
        ValueError: if there is no such type.

    >>> wanted_dtype({"dtype": "float16"})
    torch.float16
    """
    found = options.get("dtype", options.get("torch_dtype"))
    if isinstance(found, str) and found != "auto":
        found = getattr(torch, found, found)
    if found in (None, "auto"):
        return None
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype must be a type of torch such as 'float16', not {found!r}")
    return found


def tensor_shapes(file: Path) -> Shapes:
    """Read the names and shapes of the tensors in a safetensors file.

    Raises:
        ModelFolderError: if it is damaged or of another format, or a link that leads nowhere.
    """
    check_weights(file)
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"{file}: is damaged or no safetensors file ({error})") from error


def check_shapes(found: Shapes, wanted: Mapping[str, tuple[int, ...]], weights: Path, config: Path) -> None:
    """Raise if the weights are not what the config requires.

    Raises:
        ModelFolderError: naming the first few tensors that are missing, unknown or of another shape.
    """
    shared = wanted.keys() & found.keys()
    other = [f"{name} is {found[name]}, not {wanted[name]}" for name in shared if found[name] != wanted[name]]
    faults = {
        "missing": wanted.keys() - found.keys(),
        "unknown": found.keys() - wanted.keys(),
        "of another shape": other,
    }
    problems = [f"{len(names)} tensors are {fault} ({_some(names)})" for fault, names in faults.items() if names]
    if problems:
        raise ModelFolderError(f"{weights}: does not fit {config.name}: {'; '.join(problems)}")


def _some(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")
