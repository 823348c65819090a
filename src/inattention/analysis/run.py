"""`inattention analyze`: the maps of one encoder on one corpus, as an atlas, figures and tables in a folder.

atlas.html               every head's maps, to be sorted, filtered and looked into; needs nothing else
measures.json            heads with categories and measures, settings, versions
measures.csv             the heads as a table
maps.safetensors         mean and variance of every weight: (layers, heads, time, time) each
figures/                 each figure as SVG and PNG
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.analysis.config import AnalysisConfig

if TYPE_CHECKING:
    from inattention.analysis.capture import Captured
    from inattention.analysis.figures import Drawn, Moment
    from inattention.corpora.core.corpus import Corpus
    from inattention.encoders.base import MapSource
    from inattention.model.transformer import AudioTransformer

ATLAS, MEASURES_JSON, MEASURES_CSV = "atlas.html", "measures.json", "measures.csv"
MAPS, FIGURES = "maps.safetensors", "figures"
DEFAULT_FOLDER = "atlas"  # in a model's


@dataclass(frozen=True)
class Analysis:
    """What an analysis found, and where it stands.

    Attributes:
        folder: with the files.
        captured: the maps.
        skipped: ids of utterances that could not be used, and why.
        notes: what was left out, and why.
    """

    folder: Path
    captured: "Captured"
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def atlas(self) -> Path:
        """The page."""
        return self.folder / ATLAS


def default_folder(model: str) -> Path:
    """Say where an analysis goes if nothing is said: into the model's folder, else beside the runs.

    >>> str(default_folder("somebody/some-model"))
    'runs/atlas-some-model'
    """
    return Path(model) / DEFAULT_FOLDER if Path(model).is_dir() else Path("runs") / f"atlas-{Path(model).name}"


def run_analyze(
    model: str, corpus: Path, out: Path | None, config: AnalysisConfig, *, progress: bool = True
) -> Analysis:
    """Analyze an encoder's attention, write all that was found, and print a summary.

    Args:
        model: the folder or hub name of an encoder of ours, or of a Hugging Face one.
        corpus: the folder of a prepared corpus.
        out: where the files go; `default_folder` if left out.
        config: the settings.
        progress: show bars on stderr when they last.

    Raises:
        ValueError: if the model, the corpus or a setting cannot be used; the message says what and where.
    """
    from inattention.corpora.core.corpus import open_corpus

    opened = open_corpus(corpus)
    source = open_source(model)
    captured = _capture(source, opened, config, progress=progress)
    start = start_of(model, opened)
    before = _capture(start, opened, config, like=captured, progress=progress) if start else None
    moments = _moments(model, opened, config, captured, before, progress=progress)
    folder = out or default_folder(model)
    drawn, notes = _draw(captured, before, moments, config)
    _write(folder, model, opened, source, captured, drawn, moments, notes, config)
    _say(folder, captured, notes)
    return Analysis(folder, captured, captured.skipped, tuple(notes))


def open_source(model: str) -> "MapSource":
    """Open an encoder of ours or of Hugging Face's, told apart by its config.json.

    Raises:
        ValueError: if it is neither.
    """
    from inattention.encoders.base import EncoderMaps, as_source
    from inattention.model.transformer import AudioTransformer

    name = Path(model).resolve().name if Path(model).is_dir() else model
    if _is_hugging_face(Path(model) / "config.json"):
        from inattention.encoders.hugging_face import load_hugging_face

        return as_source(load_hugging_face(model), name)
    return EncoderMaps(AudioTransformer.from_pretrained(model), name)


def start_of(model: str, corpus: "Corpus") -> "MapSource | None":
    """Make the encoder as its run started, from the run's own account.

    None if there is no account of a run, or it started from a file that is gone or has changed.
    """
    from inattention.encoders.base import EncoderMaps
    from inattention.model.config import AudioTransformerConfig
    from inattention.pretraining.config import PretrainingConfig
    from inattention.pretraining.manifest import MANIFEST, Run, RunManifest

    path = Path(model) / MANIFEST
    if not path.is_file():
        return None
    manifest = RunManifest.read(path.parent)
    if manifest.model is None or manifest.seed is None:
        return None
    run = Run(
        AudioTransformerConfig.from_dict(manifest.model, str(path)),
        PretrainingConfig(target=manifest.training["target"]),
        corpus,  # on which a start does not depend
        manifest.seed,
    )
    try:
        if run.manifest().files != manifest.files:
            return None
    except ValueError:
        return None
    encoder: AudioTransformer = run.fresh_model().encoder
    return EncoderMaps(encoder.eval(), "start")


def _capture(
    source: "MapSource",
    corpus: "Corpus",
    config: AnalysisConfig,
    *,
    like: "Captured | None" = None,
    progress: bool,
) -> "Captured":
    from inattention.analysis.capture import capture

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
    corpus: "Corpus",
    config: AnalysisConfig,
    captured: "Captured",
    before: "Captured | None",
    *,
    progress: bool,
) -> "list[Moment]":
    """Count heads by category at the start, at each snapshot, and at the end."""
    from inattention.analysis.figures import Moment
    from inattention.analysis.heads import counts_of

    moments = [] if before is None else [Moment(0, counts_of(before))]
    for snapshot in config.snapshots or sorted((Path(model) / "snapshots").glob("step-*")):
        steps = _steps_of(str(snapshot))
        if steps is None:
            raise ValueError(f"{snapshot} has no outcome.json that says after how many steps it was kept")
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
    captured: "Captured", before: "Captured | None", moments: "list[Moment]", config: AnalysisConfig
) -> "tuple[list[Drawn], list[str]]":
    """Draw all figures that there is something to draw for; say which are left out, and why."""
    from inattention.analysis import figures
    from inattention.analysis.projection import project

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
            "no maps before pre-training: the model's folder holds no account of its run, or the maps that it started "
            "from are gone"
        )
    else:
        drawn.append(figures.before_and_after(before, captured, layer))
    if len(moments) > 1:
        drawn.append(figures.over_training(moments))
    else:
        notes.append("no heads by category over training: there is no model of another step")
    return drawn, notes


def _write(
    folder: Path,
    model: str,
    corpus: "Corpus",
    source: "MapSource",
    captured: "Captured",
    drawn: "list[Drawn]",
    moments: "list[Moment]",
    notes: list[str],
    config: AnalysisConfig,
) -> None:
    """Write every file, each whole or not at all; the page last, as what the others lead up to."""
    import numpy as np
    from safetensors.numpy import save

    from inattention.analysis.atlas import Made, atlas_html
    from inattention.analysis.heads import as_csv, as_data, heads_of
    from inattention.analysis.measures import CATEGORIES, Thresholds
    from inattention.files import write_bytes, write_json, write_text
    from inattention.provenance import provenance

    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for it in drawn:
        write_text(folder / FIGURES / f"{it.name}.svg", it.svg)
        write_bytes(folder / FIGURES / f"{it.name}.png", it.png)
    heads = heads_of(captured)
    record: dict[str, Any] = {
        "model": model,
        "encoder": {"name": captured.name, "layers": source.layers, "heads": source.heads},
        "corpus": {"name": corpus.name, "key": corpus.key},
        "config": config.to_dict(),
        "thresholds": Thresholds().__dict__,
        "captured": {
            "utterances": captured.count,
            "steps": captured.steps,
            "step_seconds": captured.step_seconds,
            "singles": [single.cut_id for single in captured.singles],
            "skipped": [list(it) for it in captured.skipped],
        },
        "over_training": [
            {"step": it.step, "heads": dict(zip(CATEGORIES, it.counts.tolist(), strict=True))} for it in moments
        ],
        "left_out": notes,
    }
    made_with = provenance()
    write_text(folder / MEASURES_CSV, as_csv(heads))
    write_json(folder / MEASURES_JSON, {**record, "heads": as_data(heads), "provenance": made_with})
    maps = {"mean": captured.mean.astype(np.float32), "variance": captured.variance.astype(np.float32)}
    write_bytes(folder / MAPS, save(maps))
    made = Made(model, _label(model, source), corpus.name, record, made_with, corpus.info.get("caveat", ""))
    write_text(folder / ATLAS, atlas_html(captured, made, drawn))


def _label(model: str, source: "MapSource") -> str:
    """Name the encoder and its mechanism."""
    from inattention.encoders.base import EncoderMaps

    if isinstance(source, EncoderMaps):
        return f"{source.name} ({source.model.config.attention})"
    return f"{source.name}"


def _say(folder: Path, captured: "Captured", notes: list[str]) -> None:
    import numpy as np

    from inattention.analysis.heads import counts_of
    from inattention.analysis.measures import CATEGORIES

    counts = ", ".join(f"{n} {name}" for name, n in zip(CATEGORIES, counts_of(captured), strict=True) if n)
    print(f"{captured.name}: {counts}; over {captured.count} utterances of {captured.steps} steps")
    if captured.count > 1:
        low, mean, high = (f(captured.input_dependence) for f in (np.min, np.mean, np.max))
        print(f"input dependence of heads: mean {mean:.2f}, from {low:.2f} to {high:.2f}")
    if captured.skipped:
        name, why = captured.skipped[0]
        print(f"{len(captured.skipped)} utterances could not be used, such as {name}: {why}")
    for note in notes:
        print(note)
    print(f"atlas: {folder / ATLAS}")


def _is_hugging_face(path: Path) -> bool:
    try:
        return "model_type" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
