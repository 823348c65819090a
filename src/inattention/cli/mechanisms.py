"""``inattention mechanisms``: the cards of all attention mechanisms, as a table, as JSON or as a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inattention.cli.terminal.output import print_json, table_width
from inattention.cli.terminal.parsing import parse, with_value
from inattention.text import within

FLAGS = ("input_independent", "needs_max_length", "stochastic", "shares_qk", "averages", "linear_map")


def run(arguments: list[str]) -> int:
    """List the attention mechanisms, those of plug-ins included."""

    @dataclass(frozen=True, kw_only=True)
    class Mechanisms:
        """List the attention mechanisms, ours and those of installed plug-ins.

        Attributes:
            json: print all fields of the cards, as a JSON list: name, label, family, citation, training_cost,
                inference_cost, options, rows and more.
            draw: draw what they look at into a file that ends in .svg, .png or .html; mechanisms.svg if none is named.
            rows: rows to draw, variants included; default: every mechanism.
        """

        json: bool = False
        draw: Path | None = None
        rows: tuple[str, ...] = ()

    options = parse(Mechanisms, "mechanisms", with_value("--draw", "mechanisms.svg", arguments))
    if options.draw is not None:
        from inattention.analysis.mechanism_sheet import save_sheet

        save_sheet(options.draw, options.rows)
        print(f"drawn: {options.draw}")
        return 0
    if options.json:
        print_json(as_data())
    else:
        print(as_text(table_width()))
    return 0


def as_data() -> list[dict[str, Any]]:
    """Return the fields of every card as plain data."""
    from inattention.attention.registry import card, mechanisms, options_of

    return [
        {
            "name": name,
            "label": it.label,
            "family": it.family,
            "citation": it.citation,
            "training_cost": it.training_cost,
            "inference_cost": it.inference_cost,
            "flops_at_500_768_12": it.flops(500, 768, 12, **options_of(name)),
            "reach_seconds": _reach(name),
            "fields": list(it.fields),
            "options": {
                option: {"default": options_of(name)[option], "meaning": meaning}
                for option, meaning in it.options.items()
            },
            "rows": [f"{name}@{variant}" for variant in it.variants],
            **{flag: getattr(it, flag) for flag in FLAGS},
        }
        for name in mechanisms()
        for it in [card(name)]
    ]


def _reach(name: str) -> list[float] | None:
    """Return how far back and ahead an untrained layer of the paper's sizes looks, in seconds; None for no limit."""
    from inattention.attention.registry import build
    from inattention.model.config import AudioTransformerConfig

    config = AudioTransformerConfig()
    # Of a narrow one: the width changes nothing.
    field = build(name, width=4 * config.heads, heads=config.heads, max_length=config.max_length).receptive_field()
    step = config.features.step_seconds
    return None if field is None else [round(field.back * step, 4), round(field.ahead * step, 4)]


def as_text(width: int | None = None) -> str:
    """Format the cards as a table, sorted by family.

    Args:
        width: most characters of a line; columns that do not fit are left out, which a note says.
    """
    from inattention.attention.registry import by_family

    data = sorted(as_data(), key=lambda it: by_family(it["name"]))
    titles = ("mechanism", "family", "label", "training", "inference", "applied in")
    cells = [titles] + [
        (it["name"], it["family"], it["label"], it["training_cost"], it["inference_cost"], ", ".join(it["fields"]))
        for it in data
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    shown = len(titles)
    while width is not None and shown > 1 and sum(widths[:shown]) + 2 * (shown - 1) > width:
        shown -= 1
    lines = ["  ".join(map(str.ljust, row[:shown], widths)).rstrip() for row in cells]
    notes = ["T frames, d features per head, H heads."] if shown == len(titles) else []
    near = [f"{it['name']} {max(it['reach_seconds']):.2f} s" for it in data if it["reach_seconds"] is not None]
    notes.append(
        f"A layer of the paper's sizes looks this far to each side, before training: {', '.join(near)}; toeplitz@table "
        "as far as its table; the others at all frames, some of them not with other options."
    )
    if width is not None and shown < len(titles):
        left_out = ", ".join(titles[shown:])
        notes.append(f"Left out in {width} columns: {left_out}; --json and a wider terminal show them.")
    rows = [f"  {row}" for it in data for row in it["rows"]]
    text = "\n".join([*lines, "", *notes, "Variants that rows can name:", *rows])
    return text if width is None else within(text, width)
