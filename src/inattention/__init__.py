"""Speech transformers with input-independent attention.

The front doors are attributes of this package; each is imported when it is first used, so that `import inattention`
and the command line's `--help` stay quick.

>>> import inattention
>>> "patterned" in inattention.attention.mechanisms()
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from inattention.registration import register_with_transformers
from inattention.version import __version__

if TYPE_CHECKING:
    from inattention import attention as attention
    from inattention.encoders.converted import from_pretrained as from_pretrained
    from inattention.model.config import AudioTransformerConfig as AudioTransformerConfig
    from inattention.model.transformer import AudioTransformer as AudioTransformer

__all__ = ["AudioTransformer", "AudioTransformerConfig", "__version__", "attention", "from_pretrained"]

_MODULES = {
    "AudioTransformer": "inattention.model.transformer",
    "AudioTransformerConfig": "inattention.model.config",
    "from_pretrained": "inattention.encoders.converted",
}


register_with_transformers()


def __getattr__(name: str) -> Any:
    if name == "attention":
        return import_module("inattention.attention")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'inattention' has no attribute {name!r}")
