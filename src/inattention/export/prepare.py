"""A copy of an encoder whose fixed attention is replaced by what is exported."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from inattention.attention import AttentionMechanism
from inattention.attention.mechanisms.fixed_encoder import FixedEncoder
from inattention.attention.mechanisms.toeplitz_convolution import ToeplitzConvolution
from inattention.attention.ops.fixed_maps import VANISHING_MASS, FixedMaps
from inattention.attention.ops.sparse_patterns import SparseAttention
from inattention.attention.ops.toeplitz_band import least_mass
from inattention.export.choice import HeadForm, as_numpy, taps_of, toeplitz_parts
from inattention.export.config import ExportConfig
from inattention.export.costs import Costs, measure_costs
from inattention.export.forms import MapForm
from inattention.export.mixing import ByDefinition, ExportedMixing, Part
from inattention.model.encoder import Encoder


@dataclass
class Prepared:
    """An encoder that is ready for export.

    Attributes:
        model: the copy.
        forms: for each mechanism by the name of its module, the form of each of its heads.
        bound: greatest part of a row of weights that any band leaves out; 0 without bands.
    """

    model: nn.Module
    forms: dict[str, list[HeadForm]] = field(default_factory=dict)

    @property
    def bound(self) -> float:
        """The largest part of a row that a band leaves out."""
        bands = [it.band for forms in self.forms.values() for it in forms if it.band is not None]
        return max((band.outside for band in bands), default=0.0)

    @property
    def moved(self) -> float:
        """The share of a row of weights that two levels change, the mean of the worst head; 0 without them."""
        return max((it.moved for forms in self.forms.values() for it in forms), default=0.0)


def prepare(
    model: nn.Module,
    config: ExportConfig,
    longest: int,
    frames: int,
    measure: Callable[[int, int, int], Costs] = measure_costs,
    *,
    exact: bool = False,
) -> Prepared:
    """Return a copy of a model in which fixed weights are constants, in the form that each head is exported in.

    Args:
        model: an encoder, in evaluation mode.
        config: settings of the export.
        longest: greatest number of frames of the input.
        frames: number of frames that forms are chosen for.
        measure: measures the forms in what will run the file, given longest, frames and the features of a head.
        exact: whether two levels are no choice; in float32 they are none anyway.

    Raises:
        ExportError: if the form does not suit a head.
    """
    prepared = Prepared(copy.deepcopy(model).cpu().float().eval())
    known: dict[int, Costs] = {}
    exact = exact or config.precision == "float32"
    shared = isinstance(model, Encoder) and len(model.mechanisms) == 1
    uses = model.config.layers if shared else 1
    for name, mechanism in list(prepared.model.named_modules()):
        if isinstance(mechanism, FixedEncoder | SparseAttention):
            prepared.model.set_submodule(name, ByDefinition(mechanism))
        if not isinstance(mechanism, FixedMaps | ToeplitzConvolution):
            continue
        costs = None
        if config.form == "auto" and taps_of(mechanism, 2) is not None:
            if mechanism.head_dim not in known:
                known[mechanism.head_dim] = measure(longest, frames, mechanism.head_dim)
            costs = known[mechanism.head_dim]
        with torch.no_grad():
            parts, forms = _parts(mechanism, config, longest, costs, uses, exact)
        if parts:
            kernel = mechanism.kernel if isinstance(mechanism, ToeplitzConvolution) else None
            prepared.model.set_submodule(name, ExportedMixing(mechanism, parts, kernel))
            prepared.forms[name] = forms
    return prepared


def _parts(
    mechanism: AttentionMechanism, config: ExportConfig, longest: int, costs: Costs | None, uses: int, exact: bool
) -> tuple[Sequence[Part], list[HeadForm]]:
    """Return the parts of a mechanism; none if its weights span more than a quotient of sums can hold."""
    parts: list[Part] = []
    forms: list[HeadForm] = []
    taps = taps_of(mechanism, longest)
    if taps is not None:
        if min(map(least_mass, as_numpy(taps))) < VANISHING_MASS:
            return [], []
        parts, forms = toeplitz_parts(taps, costs, config.form, config.bound, exact=exact, uses=uses)
    count = len(forms)
    if count < mechanism.heads:
        assert isinstance(mechanism, FixedMaps)
        logits = mechanism.logits(longest)[count:].double()
        maps = (logits - logits.amax(-1, keepdim=True)).exp()
        if float(maps.amin()) < VANISHING_MASS:
            return [], []
        parts.append(Part(tuple(range(count, mechanism.heads)), MapForm(maps)))
        forms += [HeadForm("dense")] * (mechanism.heads - count)
    return parts, forms
