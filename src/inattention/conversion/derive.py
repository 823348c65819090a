"""Input-independent maps derived from an encoder whose attention depends on its input.

A head returns for each frame i the average o_i = sum_j A_ij v_j of its values, with weights A that depend on the
utterance. A fixed map can replace it: for each i the weights w that minimise E|sum_j w_j v_j - o_i|² over utterances,
subject to w >= 0 and sum w = 1. The problem depends on E[V V'] and E[O V'] alone, which are summed over utterances of
equal length, so memory does not grow with the corpus.

The candidates of each head are the mean of A over utterances, and least-squares solutions with a ridge penalty towards
the mean map (`RIDGES`), for corpora with few utterances. One half of the held-out utterances selects the candidate;
errors are reported on the other half, which selected nothing. They are a share of the variance of the values,
E|v_j - mean over j|²: 0 for an exact replacement, about 1 for one that is as far off as the value of any frame is from
the utterance's mean.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from safetensors.torch import save
from torch import Tensor, nn

from inattention.attention.ops.map_files import TENSOR
from inattention.conversion.least_squares import least_squares
from inattention.conversion.moments import Moments, moments_of
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import MapSource
from inattention.encoders.crops import (
    CropError,
    Skipped,
    choose,
    common_length,
    crop_batches,
    no_crops,
)
from inattention.encoders.open import as_source
from inattention.files import write_bytes
from inattention.progress import bar as progress_bar

if TYPE_CHECKING:
    from lhotse.cut import Cut

RIDGES = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, kw_only=True)
class MapErrors:
    """Errors of derived maps, as plain numbers.

    Attributes:
        steps: number of frames of a map.
        step_seconds: frame shift in seconds.
        utterances: number of utterances of the fit, the choice and the errors.
        solver_gap: upper bound of the part of a head's error that is due to the early end of the solver.
        heads_where_least_squares_is_better: number of heads whose least-squares map is better than the mean map.
        heads: number of heads of all layers.
        mean_error: mean error over heads by candidate.
        errors: error of each head, (layers, heads), by candidate.
    """

    steps: int
    step_seconds: float | None
    utterances: dict[str, int]
    solver_gap: float
    heads_where_least_squares_is_better: int
    heads: int
    mean_error: dict[str, float]
    errors: dict[str, list[list[float]]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Derived:
    """Input-independent maps for every layer and head, with their errors on held-out utterances.

    Attributes:
        maps: the selected candidate of each head.
        mean: the mean maps.
        solved: the least-squares maps, with the ridge that was selected for each head.
        errors: on held-out utterances, (layers, heads) each: of ``mean``, ``least-squares``, ``kept`` (the selected
            one of these), ``shared`` (the mean of the selected maps over layers), and ``uniform`` averaging.
        gap: upper bound of the part of a head's error, on the utterances of the fit, that is due to the early end of
            the solver.
        utterances: number of utterances of the fit, the choice and the errors.
        step_seconds: frame shift in seconds.
    """

    maps: Float[Tensor, "layers heads time time"]
    mean: Float[Tensor, "layers heads time time"]
    solved: Float[Tensor, "layers heads time time"]
    errors: dict[str, Float[Tensor, "layers heads"]]
    gap: float
    utterances: tuple[int, int, int]
    step_seconds: float | None

    @property
    def won(self) -> Bool[Tensor, "layers heads"]:
        """Whether the least-squares map of a head is better than the mean map."""
        return self.errors["least-squares"] < self.errors["mean"]

    def record(self) -> MapErrors:
        """Return the errors as plain numbers."""
        return MapErrors(
            steps=self.maps.shape[-1],
            step_seconds=self.step_seconds,
            utterances=dict(zip(("fit", "choice", "errors"), self.utterances, strict=True)),
            solver_gap=self.gap,
            heads_where_least_squares_is_better=int(self.won.sum()),
            heads=self.won.numel(),
            mean_error={name: float(errors.mean()) for name, errors in self.errors.items()},
            errors={name: errors.tolist() for name, errors in self.errors.items()},
        )

    def table(self) -> str:
        """Return the errors as text, one line per layer."""
        names = ("mean", "least-squares", "kept", "shared", "uniform")
        titles = ("layer", "mean map", "least squares", "selected", "one for all", "uniform")
        lines = ["  ".join(f"{title:>13}" for title in titles)]
        lines += [
            f"{layer + 1:>13}  " + "  ".join(f"{float(self.errors[name][layer].mean()):>13.4f}" for name in names)
            for layer in range(len(self.maps))
        ]
        means = self.errors["mean"].mean(), self.errors["least-squares"].mean()
        return "\n".join(
            [
                "error on held-out utterances as a share of the variance of the values, mean over heads",
                *lines,
                f"least squares is better than the mean map in {int(self.won.sum())} of {self.won.numel()} heads; "
                f"its mean error over all heads is {float(means[1]):.4f}, that of the mean map {float(means[0]):.4f}",
            ]
        )


def derive_maps(
    model: MapSource | nn.Module,
    corpus: Corpus,
    *,
    utterances: int | None = 300,
    held_out: int | None = 100,
    crop_steps: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Derived:
    """Derive maps from a trained encoder.

    Args:
        model: one of our encoders, a Hugging Face encoder, or a source of maps.
        corpus: maps are fitted on its training split and compared on its dev split.
        utterances: number of utterances of the training split, chosen at random; None for all.
        held_out: number of utterances of the dev split.
        crop_steps: number of frames of a crop; defaults to a length that half of the training split reaches.
        seed: of the choices and crops.
        progress: show bars on stderr if it takes long.

    Raises:
        CropError: if no utterance can be used, or crops are longer than the encoder takes.
        ValueError: if the values of the encoder are not accessible.
    """
    source = as_source(model)
    steps = crop_steps or common_length(source, corpus.cuts("train"), at_most=source.longest or 128)

    def moments_over(cuts: "Iterable[Cut]", split: str) -> Moments:
        skipped: list[Skipped] = []
        batches = crop_batches(source, cuts, crop_steps=steps, seed=seed, skipped=skipped, progress=progress)
        moments = moments_of(source, (batch.inputs for batch in batches))
        if moments is None:
            raise no_crops(steps, skipped, split)
        return moments

    fit = moments_over(choose(source, corpus.cuts("train"), steps, utterances, seed), "train")
    unseen = list(choose(source, corpus.cuts("dev"), steps, held_out, seed))
    if len(unseen) < 2:
        raise CropError(f"at least two utterances of dev must have the {steps} frames of a crop; {len(unseen)} have")
    choice, errors = (moments_over(unseen[half::2], "dev") for half in (0, 1))
    return solve(fit, choice, errors, step_seconds=source.step_seconds, progress=progress)


def solve(
    fit: Moments, choice: Moments, unseen: Moments, *, step_seconds: float | None = None, progress: bool = False
) -> Derived:
    """Solve the problem of each head, select a candidate, and compute the errors.

    Args:
        fit: moments of the utterances that maps are fitted on.
        choice: moments of those that select a candidate.
        unseen: moments of those that errors are computed on.
        step_seconds: frame shift in seconds.
        progress: show a bar on stderr if it takes long.
    """
    mean = fit.mean_maps
    solved, gap = mean.clone(), 0.0
    best = torch.full(mean.shape[:2], torch.inf, dtype=torch.float64)
    for ridge, at in _problems(mean.shape[:2], progress):
        gram, cross = fit.gram[at] / fit.count, fit.cross[at] / fit.count
        solution = least_squares(gram, cross, mean[at], ridge=ridge)
        error = choice.error_of(at, solution.weights)
        if error < best[at]:
            best[at], solved[at] = error, solution.weights
            variance = float(gram.diagonal().mean() - gram.mean())
            gap = max(gap, float(solution.gaps.mean()) / max(variance, 1e-30))
    maps = torch.where((best < choice.errors(mean))[..., None, None], solved, mean)
    candidates = {
        "mean": mean,
        "least-squares": solved,
        "kept": maps,
        "shared": maps.mean(0).expand_as(maps),
        "uniform": torch.full_like(mean, 1 / mean.shape[-1]),
    }
    errors = {name: unseen.errors(candidate) for name, candidate in candidates.items()}
    counts = (fit.count, choice.count, unseen.count)
    return Derived(maps.float(), mean.float(), solved.float(), errors, gap, counts, step_seconds)


def write_maps(derived: Derived, path: Path) -> None:
    """Write maps atomically, in the format that ``patterned@init=PATH`` starts from."""
    tensors = {TENSOR: derived.maps, "mean": derived.mean, "least-squares": derived.solved}
    metadata = {"derived": json.dumps(derived.record().to_dict())}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def _problems(shape: Sequence[int], progress: bool) -> Iterable[tuple[float, tuple[int, int]]]:
    """Return every ridge with every layer and head, behind a progress bar."""
    layers, heads = shape
    problems = [(ridge, (layer, head)) for ridge in RIDGES for layer in range(layers) for head in range(heads)]
    return progress_bar(problems, desc="maps of heads", unit="map", show=progress)
