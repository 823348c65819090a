"""Names of models: a folder, or a name on the Hugging Face hub, resolved to a folder of the local cache."""

import os
import re
from pathlib import Path

from inattention.model.loading import ModelFolderError, quiet_hub

FILES = ["*.json", "*.safetensors", "*.txt"]  # all that is read; pickles (.bin, .pt) are not even downloaded
_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w.-]+")


def model_folder(name: str) -> Path:
    """Return the folder of a model; a hub name is taken from the cache, and downloaded if it is not there.

    A model in the cache is used as it is, without asking for a newer revision, so that a run can be repeated and works
    offline.

    Args:
        name: folder, or name on the Hugging Face hub.

    Raises:
        ModelFolderError: if there is no such folder, and no such model in the cache or on the hub.
    """
    if os.path.isdir(name):
        return Path(name)
    if os.path.exists(name):
        raise ModelFolderError(f"{name}: is a file; a model is a folder with config.json and model.safetensors")
    if not _HUB_NAME.fullmatch(name):
        raise ModelFolderError(f"{name}: there is no such folder, and it is no name on the hub (USER/MODEL)")
    cached = _snapshot(name, offline=True)
    if isinstance(cached, Path) and any(cached.glob("*.safetensors")):
        return cached
    found = _snapshot(name, offline=False)
    if isinstance(found, Path) and any(found.glob("*.safetensors")):
        return found
    if isinstance(found, Path):
        raise ModelFolderError(
            f"{name}: its folder in the cache ({found}) has no weights in safetensors; complete it with "
            f"`hf download {name}`, or, if the hub has pickles only (pytorch_model.bin), which can run code and are "
            "not read, load and save it with `transformers` where you trust it"
        )
    from huggingface_hub.constants import HF_HUB_CACHE

    raise ModelFolderError(
        f"{name}: is no folder, the cache of the Hugging Face hub ({HF_HUB_CACHE}) has no such model, and it was not "
        f"found on the hub ({found}); where there is a network, download it with `hf download {name}`"
    )


def _snapshot(name: str, *, offline: bool) -> Path | str:
    """Return the folder of a model in the cache, or why there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        with quiet_hub():
            folder = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        return "there is no connection" if error.__cause__ is None else _one_line(error.__cause__)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        return _one_line(error)
    return folder if (folder / "config.json").is_file() else "it has no config.json"


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
