"""Run speech encoders that inattention exported to ONNX, without PyTorch.

>>> from inattention_runtime import Encoder  # doctest: +SKIP
>>> Encoder("encoder.onnx").extract("speech.flac").values.shape  # doctest: +SKIP
(134, 768)
"""

from inattention_runtime.encoder import Encoder, Extracted
from inattention_runtime.metadata import ModelFileError
from inattention_runtime.reader import AudioError
from inattention_runtime.transcription import Transcript, Whisper

__version__ = "0.1.0"
__all__ = ["AudioError", "Encoder", "Extracted", "ModelFileError", "Transcript", "Whisper", "__version__"]
