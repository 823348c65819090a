"""The waveform of a lhotse cut, checked, at the rate that is asked for."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.files import AudioError, check_samples, resample

if TYPE_CHECKING:
    from lhotse.cut import Cut


def cut_waveform(cut: "Cut", sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a cut's audio as one channel.

    Raises:
        AudioError: naming the cut, if its audio is missing, unreadable, empty, not finite or silent, or if its file
            has another sampling rate than its manifest says.
    """
    _check_rates(cut)
    try:
        samples = cut.load_audio()
    except Exception as error:  # decoders and lhotse raise many kinds; each means that this cut cannot be used
        raise AudioError(f"cut {cut.id}: its audio cannot be read ({error})") from error
    if samples is None:
        raise AudioError(f"cut {cut.id}: has no audio")
    waveform = torch.from_numpy(samples).float().mean(0)
    check_samples(waveform, f"cut {cut.id}")
    return resample(waveform, cut.sampling_rate, sampling_rate)


def _check_rates(cut: "Cut") -> None:
    """Refuse a file of another rate than its manifest says: lhotse would play it too fast or too slow, in silence."""
    import soundfile

    for part in getattr(cut, "tracks", [cut]):
        recording = getattr(getattr(part, "cut", part), "recording", None)  # a mixed cut's tracks hold cuts
        if recording is None or recording.transforms:  # a transform may change the rate
            continue
        for source in recording.sources:
            if source.type != "file":
                continue
            try:
                rate = soundfile.info(source.source).samplerate
            except (soundfile.SoundFileError, OSError):  # lhotse may know how to read it, or will say what is wrong
                continue
            if rate != recording.sampling_rate:
                raise AudioError(
                    f"cut {cut.id}: {source.source} has {rate} Hz, its manifest says {recording.sampling_rate} Hz; "
                    "make the manifest anew"
                )
