"""All cards in a row: as text for a terminal, as data for a program."""

from typing import Any

from inattention.attention.registry import card, mechanisms, options_of

FLAGS = ("input_independent", "needs_max_length", "stochastic", "shares_qk", "averages", "linear_map")

FAMILIES = ("query-key", "sparse", "hashing", "synthesizer", "toeplitz", "fixed", "linear")


def by_family(name: str) -> tuple[int, str, str]:
    """Give a mechanism's place in listings: families known here first, controls last.

    >>> sorted(["uniform", "xbox", "qk"], key=by_family)
    ['qk', 'xbox', 'uniform']
    """
    family = card(name).family
    place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES) + (family == "control")
    return place, family, name


def as_data() -> list[dict[str, Any]]:
    """Give what every card says, as plain data."""
    return [
        {
            "name": name,
            "label": it.label,
            "family": it.family,
            "citation": it.citation,
            "training_cost": it.training_cost,
            "inference_cost": it.inference_cost,
            "flops_at_500_768_12": it.flops(500, 768, 12, **options_of(name)),
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


def as_text() -> str:
    """Lay the cards out as a table, by family."""
    data = sorted(as_data(), key=lambda it: by_family(it["name"]))
    titles = ("mechanism", "label", "family", "training", "inference", "applied in")
    cells = [titles] + [
        (it["name"], it["label"], it["family"], it["training_cost"], it["inference_cost"], ", ".join(it["fields"]))
        for it in data
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    rows = [f"  {row}" for it in data for row in it["rows"]]
    return "\n".join([*lines, "", "T steps, d features a head, H heads. Variants that rows can name:", *rows])
