"""Input-independent maps derived from an encoder whose attention looks at its input.

A head gives each step i the average o_i = sum_j A_ij v_j of its values, with weights A that depend on the utterance.
A map that does not may stand for it: for each i the weights w that minimise E|sum_j w_j v_j - o_i|² over utterances,
w >= 0 with a sum of 1. It takes E[V V'] and E[O V'] alone, which are summed up over utterances of equal length, so
memory does not grow with the corpus.

The candidates for every head are the mean of A over utterances, and solutions of the least-squares problem that are
drawn towards the mean, little or much (`RIDGES`), for where utterances are few. Which is kept is decided on one half of
the held-out utterances; errors are told of the other half, that nothing was chosen by. They are told as a share of the
values' spread, E|v_j - mean over j|²: 0 for an exact stand-in, around 1 for one that is as far off as any step's value
is from the utterance's average.
"""

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from tqdm import tqdm

from inattention.analysis.capture import SECONDS_BEFORE_PROGRESS, CaptureError, choose, common_length, crop_batches
from inattention.analysis.config import AnalysisConfig
from inattention.analysis.run import open_source
from inattention.attention.ops.map_files import SUFFIX, TENSOR, names_file
from inattention.attention.ops.projections import split_heads
from inattention.conversion.least_squares import least_squares
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.encoders.base import MapSource, as_source
from inattention.files import write_bytes
from inattention.model.encoder import MultiHeadAttention

if TYPE_CHECKING:
    from lhotse.cut import Cut

RIDGES = (1e-3, 1e-2, 1e-1)


@dataclass
class Moments:
    """What a least-squares problem over utterances needs, summed up: for each layer and head of equal length.

    Attributes:
        gram: values with values.
        cross: outputs with values.
        energy: outputs with themselves.
        weights: the maps themselves.
        count: utterances.
    """

    gram: Float[Tensor, "layers heads time time"]
    cross: Float[Tensor, "layers heads time time"]
    energy: Float[Tensor, "layers heads time"]
    weights: Float[Tensor, "layers heads time time"]
    count: int = 0

    @classmethod
    def none(cls, layers: int, heads: int, time: int) -> "Moments":
        """Begin with no utterances."""
        square = torch.zeros(layers, heads, time, time, dtype=torch.float64)
        return cls(square, square.clone(), square[..., 0].clone(), square.clone())

    def add(
        self,
        maps: Float[Tensor, "layers batch heads time time"],
        values: Float[Tensor, "layers batch heads time head_dim"],
    ) -> None:
        """Add utterances."""
        for layer, (weights, value) in enumerate(zip(maps.double(), values.double(), strict=True)):
            output = weights @ value
            beside = [x.permute(1, 2, 0, 3).flatten(2) for x in (value, output)]  # utterances side by side
            self.gram[layer] += beside[0] @ beside[0].mT
            self.cross[layer] += beside[1] @ beside[0].mT
            self.energy[layer] += beside[1].square().sum(-1)
            self.weights[layer] += weights.sum(0)
        self.count += maps.shape[1]

    @property
    def mean_maps(self) -> Float[Tensor, "layers heads time time"]:
        """The mean of the maps over utterances; its rows are made to sum to 1."""
        return self.weights / self.weights.sum(-1, keepdim=True)

    def errors(self, maps: Float[Tensor, "layers heads time time"]) -> Float[Tensor, "layers heads"]:
        """Give the error of maps in place of the encoder's own, as a share of the values' spread, over all steps."""
        return _errors(maps, self.gram, self.cross, self.energy)

    def error_of(self, at: tuple[int, int], weights: Float[Tensor, "time time"]) -> float:
        """Give the error of one head's map."""
        return float(_errors(weights, self.gram[at], self.cross[at], self.energy[at]))


def _errors(maps: Tensor, gram: Tensor, cross: Tensor, energy: Tensor) -> Float[Tensor, "*heads"]:
    squared = (maps @ gram * maps).sum(-1) - 2 * (maps * cross).sum(-1) + energy
    spread = gram.diagonal(dim1=-2, dim2=-1).mean(-1) - gram.mean((-2, -1))
    return (squared.mean(-1) / spread.clamp(min=1e-30)).clamp(min=0)


@dataclass(frozen=True)
class Derived:
    """Input-independent maps for every layer and head, and what they cost on utterances that they have not seen.

    Attributes:
        maps: the candidate that was chosen for each head.
        mean: the mean maps.
        solved: the least-squares maps, with the ridge that was chosen for each head.
        errors: on held-out utterances, (layers, heads) each: of ``mean``, ``least-squares``, ``kept`` (the one of
            these that was chosen), ``shared`` (the kept maps' mean over layers), and ``uniform`` averaging.
        gap: at most so much of a head's error, on the utterances of the fit, is due to the solver's stopping.
        utterances: of the fit, of the choice, and of the errors.
        step_seconds: time from one step to the next.
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
        """Where the least-squares map is better than the mean."""
        return self.errors["least-squares"] < self.errors["mean"]

    def account(self) -> dict[str, Any]:
        """Give what is known of them as plain data."""
        return {
            "steps": self.maps.shape[-1],
            "step_seconds": self.step_seconds,
            "utterances": dict(zip(("fit", "choice", "errors"), self.utterances, strict=True)),
            "solver_gap": self.gap,
            "heads_where_least_squares_is_better": int(self.won.sum()),
            "heads": self.won.numel(),
            "mean_error": {name: float(errors.mean()) for name, errors in self.errors.items()},
            "errors": {name: errors.tolist() for name, errors in self.errors.items()},
        }

    def table(self) -> str:
        """Say the errors in a few lines, a layer a line."""
        names = ("mean", "least-squares", "kept", "shared", "uniform")
        titles = ("layer", "mean map", "least squares", "the chosen", "one for all", "uniform")
        lines = ["  ".join(f"{title:>13}" for title in titles)]
        lines += [
            f"{layer + 1:>13}  " + "  ".join(f"{float(self.errors[name][layer].mean()):>13.4f}" for name in names)
            for layer in range(len(self.maps))
        ]
        means = self.errors["mean"].mean(), self.errors["least-squares"].mean()
        return "\n".join(
            [
                "error on held-out utterances as a share of the values' spread, mean over heads",
                *lines,
                f"least squares is better than the mean map in {int(self.won.sum())} of {self.won.numel()} heads; "
                f"over all heads its error is {float(means[1]):.4f}, the mean map's {float(means[0]):.4f}",
            ]
        )


def derive_maps(
    model: "MapSource | nn.Module",
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
        model: one of our encoders, a Hugging Face encoder, or a source of maps made of one.
        corpus: the maps are fitted on its training split and compared on its dev split.
        utterances: a seeded choice of so many of the training split; None for all.
        held_out: and of the dev split.
        crop_steps: steps that each utterance is cut to; if left out, what half of the training split reaches.
        seed: of the choices and crops.
        progress: show bars on stderr for what lasts.

    Raises:
        CaptureError: if no utterance can be used, or crops are longer than the encoder takes.
        ValueError: if the encoder's values are not to be had.
    """
    source = as_source(model)
    steps = crop_steps or common_length(source, corpus.cuts("train"), at_most=source.longest or 128)

    def summed_up(cuts: "Iterable[Cut]", where: str) -> Moments:
        skipped: list[tuple[str, str]] = []
        batches = crop_batches(source, cuts, crop_steps=steps, seed=seed, skipped=skipped, progress=progress)
        moments = moments_of(source, (batch.inputs for batch in batches))
        if moments is None:
            reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            raise CaptureError(f"no utterance of {where} has the {steps} steps of a crop and can be used{reason}")
        return moments

    fit = summed_up(choose(source, corpus.cuts("train"), steps, utterances, seed), "train")
    unseen = list(choose(source, corpus.cuts("dev"), steps, held_out, seed))
    if len(unseen) < 2:
        raise CaptureError(f"two utterances of dev or more must have the {steps} steps of a crop; {len(unseen)} have")
    halves = [summed_up(unseen[half::2], "dev") for half in (0, 1)]
    return solve(fit, *halves, step_seconds=source.step_seconds, progress=progress)


def run_derive(model: str, corpus: Path, out: Path, config: AnalysisConfig) -> Derived:
    """Derive maps, write them, and print what they cost: what ``inattention analyze --derive-maps`` does.

    Args:
        model: the folder or hub name of an encoder, ours or a Hugging Face one.
        corpus: the folder of a prepared corpus.
        out: the file.
        config: how many utterances (of the training split, and of dev to compare on), their crops, and the seed.

    Raises:
        ValueError: if the model or the corpus cannot be used, or the file's name is not one of safetensors.
    """
    if not names_file(str(out)):
        raise ValueError(f"{out}: maps go to a file whose name ends in {SUFFIX}")
    derived = derive_maps(
        open_source(model),
        open_corpus(corpus),
        utterances=config.utterances or None,
        held_out=config.utterances or None,
        crop_steps=config.crop_steps or None,
        seed=config.seed,
        progress=True,
    )
    write_maps(derived, out)
    print(f"{derived.table()}\nmaps: {out}; an encoder starts from them as patterned@init={out}")
    return derived


def moments_of(source: MapSource, batches: Iterable[Float[Tensor, "..."]]) -> Moments | None:
    """Sum up what an encoder's heads do on crops of equal length; None if there are none."""
    moments = None
    for inputs in batches:
        with values_heard(source) as values:
            maps = source.maps(inputs)
        if moments is None:
            moments = Moments.none(len(maps), *maps.shape[2:4])
        moments.add(maps, torch.stack(values))
    return moments


def solve(
    fit: Moments, choice: Moments, unseen: Moments, *, step_seconds: float | None = None, progress: bool = False
) -> Derived:
    """Solve each head's problem, choose among the candidates, and tell the errors.

    Args:
        fit: of the utterances that maps are fitted on.
        choice: of those that choose.
        unseen: of those that errors are told of.
        step_seconds: time from one step to the next.
        progress: show a bar on stderr when it lasts.
    """
    mean = fit.mean_maps
    solved, gap = mean.clone(), 0.0
    chosen = torch.full(mean.shape[:2], torch.inf, dtype=torch.float64)
    tasks = [
        (ridge, *at) for ridge in RIDGES for at in torch.cartesian_prod(*map(torch.arange, mean.shape[:2])).tolist()
    ]
    bar = tqdm(tasks, desc="maps of heads", delay=SECONDS_BEFORE_PROGRESS, disable=not progress, leave=False)
    for ridge, layer, head in bar:
        at = (layer, head)
        gram, cross = fit.gram[at] / fit.count, fit.cross[at] / fit.count
        solution = least_squares(gram, cross, mean[at], ridge=ridge)
        error = choice.error_of(at, solution.weights)
        if error < chosen[at]:
            chosen[at], solved[at] = error, solution.weights
            spread = float(gram.diagonal().mean() - gram.mean())
            gap = max(gap, float(solution.gaps.mean()) / max(spread, 1e-30))
    maps = torch.where((chosen < choice.errors(mean))[..., None, None], solved, mean)
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
    """Write maps so that ``patterned@init=PATH`` starts from them, whole or not at all."""
    from safetensors.torch import save

    tensors = {TENSOR: derived.maps, "mean": derived.mean, "least-squares": derived.solved}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({k: v.contiguous() for k, v in tensors.items()}, {"derived": json.dumps(derived.account())}))


@contextmanager
def values_heard(source: MapSource) -> Generator[list[Float[Tensor, "batch heads time head_dim"]]]:
    """Collect the values of every layer, in order, while the encoder runs.

    Raises:
        ValueError: if the encoder's attention is of no known kind.
    """
    model = getattr(source, "model", None)
    parts = list(_attentions(model)) if isinstance(model, nn.Module) else []
    if not parts:
        raise ValueError(
            f"{source.name}: its values are not to be had; maps can be derived from our encoders and "
            "from Hugging Face's whose attention has q_proj, k_proj and v_proj"
        )
    values: list[Tensor] = []

    def hear(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        project = module.value if isinstance(module, MultiHeadAttention) else module.v_proj
        values.append(split_heads(project(hidden), source.heads).detach().cpu())  # ty: ignore[not-callable]

    hooks = [module.register_forward_pre_hook(hear, with_kwargs=True) for module in parts]
    try:
        yield values
    finally:
        for hook in hooks:
            hook.remove()


def _attentions(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that mix values over time."""
    for module in model.modules():
        if isinstance(module, MultiHeadAttention) or all(hasattr(module, f"{x}_proj") for x in "qkv"):
            yield module
