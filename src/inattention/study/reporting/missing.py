"""What belongs beside a study's numbers: what is not there, whether its task leaks, and how to run it again."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from inattention.study.planning.config import StudyConfig
from inattention.study.planning.presets import PRESETS
from inattention.study.reporting.families import infos_of
from inattention.study.reporting.text_formatting import code, counted, listing
from inattention.study.results import StudyResults


def leaks(config: StudyConfig) -> bool:
    """Whether deltas computed before masking tell of masked steps."""
    return config.model.features.deltas and not config.training.masking.before_deltas


def gaps(results: StudyResults) -> list[Markup]:
    """List all that the study names and that is not there: failed and missing steps, and speech left out."""
    found = [Markup("Failed: {}: {}").format(code(it.job.title), it.error) for it in results.failures]
    failed = {it.job.title for it in results.failures}
    missing: dict[str, list[str]] = {}
    for info in infos_of(results):
        for seed in results.seeds_of(info.name):
            name = f"{info.name}-{seed}"
            if not info.is_mel and (info.name, seed) not in results.pretraining and f"pretrain {name}" not in failed:
                missing.setdefault("pre-training", []).append(name)
            if (info.name, seed) not in results.probes and f"probe {name}" not in failed:
                missing.setdefault("probes", []).append(name)
        wanted = results.config.timed and info.is_timed
        timed = not wanted or info.trained_name in results.timing or results.failed("time", info.trained_name)
        if not timed:
            missing.setdefault("timing", []).append(info.trained_name)
    if not results.baselines:
        missing["the neighbour regression"] = []
    for what, names in missing.items():
        of = Markup(" of {}").format(listing([code(name) for name in dict.fromkeys(names)])) if names else ""
        found.append(Markup("Not there: {}{}").format(what, of))
    bad = results.corpus.bad_items
    if bad.count:
        named = listing([f"{item}: {reason}" for item, reason in bad.items[:3]])
        found.append(
            Markup("Left out when the corpus was made: {}, such as {}").format(counted(bad.count, "item"), named)
        )
    skipped = {cut: why for run in results.pretraining.values() for cut, why in run.skipped.items()}
    if skipped:
        named = listing([f"{cut}: {why}" for cut, why in sorted(skipped.items())[:3]])
        found.append(
            Markup("Left out of pre-training: {}, such as {}").format(counted(len(skipped), "utterance"), named)
        )
    unprobed = max((probes.skipped for probes in results.probes.values()), default=0)
    if unprobed:
        found.append(Markup("Left out of the probes: {}").format(counted(unprobed, "utterance")))
    return found


def command(results: StudyResults) -> str:
    """Give the command that runs this study again: the preset, and every setting that differs from it."""
    words = ["inattention", "study", "--preset", results.preset]
    usual = PRESETS[results.preset].to_dict() if results.preset in PRESETS else {}
    if usual.get("rows") != list(results.by_name):
        words += ["--only", *results.by_name]
    if usual.get("seeds") != list(results.seeds):
        words += ["--seeds", *map(str, results.seeds)]
    rest = {name: value for name, value in results.config.to_dict().items() if name not in ("rows", "seeds")}
    for path, value in _leaves(rest):
        if usual and _at(usual, path) != value:
            words += _flag(path, value)
    return shlex.join(words)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """All settings with where they stand; an empty group is a setting itself."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, value in tree.items():
        inner = isinstance(value, Mapping) and value
        found += _leaves(value, (*path, name)) if inner else [((*path, name), value)]
    return found


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _flag(path: Sequence[str], value: Any) -> list[str]:
    names = [name.replace("_", "-") for name in path]
    if isinstance(value, bool):
        return ["--" + ".".join([*names[:-1], names[-1] if value else f"no-{names[-1]}"])]
    values = map(str, value) if isinstance(value, list) else [str(value)]
    return ["--" + ".".join(names), *values]
