"""Model card of a converted encoder: the README that is saved beside its weights, with what was measured."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from inattention.conversion.page.sources import Sources
from inattention.files import write_text
from inattention.text import printable

CARD = "README.md"
_OURS = "<!-- Written by inattention. Without this line the file is yours, and is kept. -->"
_PIPELINES = {"whisper": "automatic-speech-recognition"}
_LENGTHS = {"own": "fed the speech", "30": "fed 30 s"}
_SEEN = 5  # seconds of speech whose times are shown first


def write_card(folder: Path, sources: Sources) -> None:
    """Write the card into the folder of a converted model, unless there is a README that is not ours."""
    path = folder / CARD
    if path.is_file() and _OURS not in path.read_text(encoding="utf-8", errors="replace"):
        return
    write_text(path, render_card(folder.resolve().name, sources))


def render_card(name: str, sources: Sources) -> str:
    """Return the card as Markdown, with the metadata of the Hugging Face hub at its beginning.

    Args:
        name: of the converted model.
        sources: the records.
    """
    record, measured = sources.record, sources.measurements or {}
    teacher, family = record["teacher"]["name"], record["teacher"].get("family", "")
    data = ModelCardData(
        model_name=name,
        base_model=teacher,
        library_name="inattention",
        pipeline_tag=_PIPELINES.get(family, "feature-extraction"),
        tags=["audio", "speech", "input-independent-attention", record["to"]],
        eval_results=_results(measured),
        ignore_metadata_errors=True,
    )
    layers = sum(it is not None for it in record["conversion"]["layers"])
    error, seed = record["relative_error"], record["config"]["seed"]
    lines = [
        f"---\n{data}\n---\n{_OURS}\n",
        f"# {_plain(name)}\n",
        f"`{_plain(teacher)}` with `{_plain(record['to'])}` attention in {layers} of its {record['layers']} encoder "
        "layers, distilled to the original with the Python package `inattention`. Its weights derive from the "
        "original's, whose licence applies to them.\n",
        '```python\nimport inattention\n\nmodel = inattention.from_pretrained(".")  # this folder, or its name on the '
        "hub\n```\n",
        "| | |\n|---|---|",
        f"| distilled on | {_plain(record['speech']['name'])}, {record['steps']} steps, seed {seed} |",
        f"| relative error of the encoder's output | {error['start']:.3f} at the start, {error['after']:.3f} |",
        *_measured(measured),
        "",
        "Settings, seeds, versions and errors are in `conversion.json`, maps and figures in `conversion.html`.\n",
    ]
    return "\n".join(lines)


def _results(measured: dict[str, Any]) -> list[EvalResult] | None:
    """Return word error rates as the hub lists them."""
    speech = measured.get("speech", {})
    found = [
        EvalResult(
            task_type="automatic-speech-recognition",
            dataset_type=speech.get("name", "speech"),
            dataset_name=f"{speech.get('name', 'speech')}, {_LENGTHS.get(it['length'], it['length'])}",
            dataset_config=it["length"],  # without it, all would be results of one data set
            dataset_split=speech.get("split"),
            metric_type="wer",
            metric_value=round(it["student"]["word_error_rate"], 4),
        )
        for it in measured.get("words") or []
        if it["student"]["word_error_rate"] is not None
    ]
    return found or None


def _measured(measured: dict[str, Any]) -> list[str]:
    """Return rows of word error rates and times."""
    rows = []
    for it in measured.get("words") or []:
        rate, original = it["student"]["word_error_rate"], it["teacher"]["word_error_rate"]
        if rate is None:
            continue
        difference = it["difference"]
        paired = "" if difference is None else " ({:+.3f} [{:+.3f}, {:+.3f}])".format(*difference)
        where = f"{_plain(measured['speech']['name'])}, {it['utterances']} utterances"
        rows.append(
            f"| word error rate, {_LENGTHS.get(it['length'], it['length'])}: {where} | {rate:.3f}, original "
            f"{original:.3f}{paired} |"
        )
    times = [it for it in measured.get("times") or [] if it["model"] == "student"]
    shown = sorted(times, key=lambda it: it["speech_seconds"] != _SEEN)[:1]
    return rows + [
        f"| encoder's time on {it['speech_seconds']} s of speech, relative to the original as it is used | "
        f"{it['ratio']['ratio']:.3f} |"
        for it in shown
    ]


def _plain(text: str) -> str:
    """Return a text of someone else for a cell of a table."""
    return printable(str(text)).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
