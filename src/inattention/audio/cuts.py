"""The waveform of a lhotse cut, checked, at the rate that is asked for."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.files import AudioError, resample

if TYPE_CHECKING:
    from lhotse.cut import Cut


def cut_waveform(cut: "Cut", sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a cut's audio as one channel.

    Raises:
        AudioError: naming the cut, if its audio is missing, unreadable, empty, not finite or digital silence.
    """
    try:
        samples = cut.load_audio()
    except Exception as error:  # decoders and lhotse raise many kinds; each means that this cut cannot be used
        raise AudioError(f"cut {cut.id}: its audio cannot be read ({error})") from error
    if samples is None or not samples.size:
        raise AudioError(f"cut {cut.id}: holds no samples")
    waveform = torch.from_numpy(samples).float().mean(0)
    if not bool(waveform.isfinite().all()):
        raise AudioError(f"cut {cut.id}: holds NaN or infinite samples")
    if not bool((waveform != waveform[0]).any()):
        raise AudioError(f"cut {cut.id}: is silent, every sample is {float(waveform[0]):g}")
    return resample(waveform, cut.sampling_rate, sampling_rate)
