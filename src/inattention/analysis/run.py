"""The analysis of one encoder on one corpus: an atlas, figures and tables in a folder.

atlas.html               maps of every head on a self-contained page, to be sorted, filtered and inspected
measures.json            heads with categories and measures, settings, versions
measures.csv             the heads as a table
maps.safetensors         mean and variance of every weight: (layers, heads, time, time) each
figures/                 each figure as SVG and PNG
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from inattention.analysis import figures
from inattention.analysis.atlas import Made, atlas_html
from inattention.analysis.capture import Captured, capture
from inattention.analysis.config import AnalysisConfig
from inattention.analysis.figures import Drawn, Moment
from inattention.analysis.heads import as_csv, as_data, counts_of, heads_of
from inattention.analysis.measures import CATEGORIES, Thresholds
from inattention.analysis.projection import project
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.encoders.base import MapSource
from inattention.encoders.crops import Skipped
from inattention.encoders.open import open_source
from inattention.encoders.ours import EncoderSource
from inattention.files import write_bytes, write_json, write_text
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import MANIFEST, Run, RunManifest
from inattention.provenance import provenance

ATLAS, MEASURES_JSON, MEASURES_CSV = "atlas.html", "measures.json", "measures.csv"
MAPS, FIGURES = "maps.safetensors", "figures"
DEFAULT_FOLDER = "atlas"  # inside the folder of a model


@dataclass(frozen=True)
class Analysis:
    """Outcome of an analysis.

    Attributes:
        folder: folder of the files.
        captured: the maps.
        notes: what was skipped, with the reasons.
    """

    folder: Path
    captured: Captured
    notes: tuple[str, ...]

    @property
    def atlas(self) -> Path:
        """The page."""
        return self.folder / ATLAS

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Ids of utterances that could not be used, with the reasons."""
        return self.captured.skipped

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        captured = self.captured
        counts = ", ".join(f"{n} {name}" for name, n in zip(CATEGORIES, counts_of(captured), strict=True) if n)
        lines = [f"{captured.name}: {counts}; over {captured.count} utterances of {captured.steps} frames"]
        if captured.count > 1:
            low, mean, high = (f(captured.input_dependence) for f in (np.min, np.mean, np.max))
            lines.append(f"input dependence of heads: mean {mean:.2f}, from {low:.2f} to {high:.2f}")
        if captured.skipped:
            name, why = captured.skipped[0]
            lines.append(f"{len(captured.skipped)} utterances could not be used, such as {name}: {why}")
        return "\n".join([*lines, *self.notes, f"atlas: {self.atlas}"])


def default_folder(model: str) -> Path:
    """Return the default output folder: inside the folder of the model, else in ``runs``.

    >>> str(default_folder("somebody/some-model"))
    'runs/atlas-some-model'
    """
    return Path(model) / DEFAULT_FOLDER if Path(model).is_dir() else Path("runs") / f"atlas-{Path(model).name}"


def analyze(model: str, corpus: Path, out: Path | None, config: AnalysisConfig, *, progress: bool = True) -> Analysis:
    """Analyze an encoder's attention and write all files.

    Args:
        model: folder or hub name of one of our encoders or of a Hugging Face encoder.
        corpus: folder of a prepared corpus.
        out: output folder; defaults to `default_folder`.
        config: the settings.
        progress: show bars on stderr if it takes long.

    Raises:
        ValueError: if the model, the corpus or a setting cannot be used; the message states which and why.
    """
    opened = open_corpus(corpus)
    source = open_source(model)
    captured = _capture(source, opened, config, progress=progress)
    start = start_of(model, opened)
    before = _capture(start, opened, config, like=captured, progress=progress) if start else None
    moments = _moments(model, opened, config, captured, before, progress=progress)
    drawn, notes = _draw(captured, before, moments, config)
    record = _record(model, opened, source, captured, config)
    record["over_training"] = [
        {"step": it.step, "heads": dict(zip(CATEGORIES, it.counts.tolist(), strict=True))} for it in moments
    ]
    record["left_out"] = notes
    made = Made(model, _label(source), opened.name, record, provenance(), opened.info.get("caveat", ""))
    analysis = Analysis(out or default_folder(model), captured, tuple(notes))
    _write(analysis, drawn, made)
    return analysis


def start_of(model: str, corpus: Corpus) -> MapSource | None:
    """Rebuild an encoder as it was before training, from the manifest of its run.

    Args:
        model: the folder of a run.
        corpus: any corpus; the start does not depend on it.

    Returns:
        The encoder; None if the folder has no complete manifest, or a file that the encoder started from is gone or
        has changed.
    """
    path = Path(model) / MANIFEST
    if not path.is_file():
        return None
    manifest = RunManifest.read(path.parent)
    if manifest.model is None or manifest.seed is None:
        return None
    run = Run(
        AudioTransformerConfig.from_dict(manifest.model, str(path)),
        PretrainingConfig(target=manifest.training["target"]),
        corpus,
        manifest.seed,
    )
    try:
        if run.manifest().files != manifest.files:
            return None
    except ValueError:
        return None
    return EncoderSource(run.fresh_model().encoder.eval(), "start")


def _capture(
    source: MapSource,
    corpus: Corpus,
    config: AnalysisConfig,
    *,
    like: Captured | None = None,
    progress: bool,
) -> Captured:
    """Capture maps; for a comparison, on the crops of another capture and without a sample of single maps."""
    return capture(
        source,
        corpus,
        split=config.split,
        utterances=config.utterances or None,
        crop_steps=like.steps if like else config.crop_steps or None,
        seed=config.seed,
        singles=1 if like else config.singles,
        progress=progress,
    )


def _moments(
    model: str,
    corpus: Corpus,
    config: AnalysisConfig,
    captured: Captured,
    before: Captured | None,
    *,
    progress: bool,
) -> list[Moment]:
    """Count heads by category at the start, at each snapshot, and at the end."""
    moments = [] if before is None else [Moment(0, counts_of(before))]
    for snapshot in config.snapshots or sorted((Path(model) / "snapshots").glob("step-*")):
        steps = _steps_of(str(snapshot))
        if steps is None:
            raise ValueError(f"{snapshot} has no outcome.json with the number of steps that it was trained for")
        found = _capture(open_source(str(snapshot)), corpus, config, like=captured, progress=progress)
        moments.append(Moment(steps, counts_of(found)))
    end = _steps_of(model)
    if end is not None and moments and end > 0:
        moments.append(Moment(end, counts_of(captured)))
    return sorted(moments, key=lambda moment: moment.step)


def _steps_of(model: str) -> int | None:
    path = Path(model) / "outcome.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _draw(
    captured: Captured, before: Captured | None, moments: list[Moment], config: AnalysisConfig
) -> tuple[list[Drawn], list[str]]:
    """Draw all figures that there are data for; also return notes on those that are missing."""
    layers = captured.mean.shape[0]
    if config.layer > layers:
        raise ValueError(f"there is no layer {config.layer}: {captured.name} has {layers}, and 0 is the last")
    layer = (config.layer or layers) - 1
    drawn, notes = [figures.typical_maps(captured), figures.dependence(captured)], []
    try:
        projection = project(captured, layer=layer, components=config.components, perplexity=config.perplexity)
        drawn += [figures.plane(projection), figures.explained_variance(projection)]
    except ValueError as error:
        notes.append(f"no t-SNE: {error}")
    if before is None:
        notes.append(
            "no maps before pre-training: the folder of the model has no run manifest, or the maps that it started "
            "from are gone"
        )
    else:
        drawn.append(figures.before_and_after(before, captured, layer))
    if len(moments) > 1:
        drawn.append(figures.over_training(moments))
    else:
        notes.append("no heads by category over training: there is no model of another step")
    return drawn, notes


def _record(
    model: str, corpus: Corpus, source: MapSource, captured: Captured, config: AnalysisConfig
) -> dict[str, Any]:
    return {
        "model": model,
        "encoder": {"name": captured.name, "layers": source.layers, "heads": source.heads},
        "corpus": {"name": corpus.name, "key": corpus.key},
        "config": config.to_dict(),
        "thresholds": asdict(Thresholds()),
        "captured": {
            "utterances": captured.count,
            "steps": captured.steps,
            "step_seconds": captured.step_seconds,
            "singles": [single.cut_id for single in captured.singles],
            "skipped": [list(it) for it in captured.skipped],
        },
    }


def _write(analysis: Analysis, drawn: list[Drawn], made: Made) -> None:
    """Write every file atomically, the page last, because it refers to the others."""
    folder, captured = analysis.folder, analysis.captured
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for it in drawn:
        write_text(folder / FIGURES / f"{it.name}.svg", it.svg)
        write_bytes(folder / FIGURES / f"{it.name}.png", it.png)
    heads = heads_of(captured)
    write_text(folder / MEASURES_CSV, as_csv(heads))
    write_json(folder / MEASURES_JSON, {**made.record, "heads": as_data(heads), "provenance": made.provenance})
    maps = {"mean": captured.mean.astype(np.float32), "variance": captured.variance.astype(np.float32)}
    write_bytes(folder / MAPS, save(maps))
    write_text(folder / ATLAS, atlas_html(captured, made, drawn))


def _label(source: MapSource) -> str:
    """Return the name of the encoder with its mechanism."""
    if isinstance(source, EncoderSource):
        return f"{source.name} ({source.model.config.attention})"
    return source.name
