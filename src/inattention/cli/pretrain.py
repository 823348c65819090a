"""``inattention pretrain``: pre-train one encoder on a corpus."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from inattention.cli.terminal.parsing import Quiet, parse


def run(arguments: list[str]) -> int:
    """Pre-train one encoder on a corpus."""
    from inattention.model.config import AudioTransformerConfig
    from inattention.pretraining.config import PretrainingConfig

    @dataclass(frozen=True, kw_only=True)
    class Pretrain(Quiet):
        """Pre-train one encoder on a corpus. If it was stopped, the same command resumes it.

        Attributes:
            corpus: folder of a prepared corpus.
            out: folder of the run.
            row: the mechanism with its options, such as qk@identity or patterned@logits.
            seed: of the weights, the masks and the order of the data.
            model: the encoder.
            training: how it is trained.
        """

        corpus: Path
        out: Path
        row: str = "patterned"
        seed: int = 0
        model: AudioTransformerConfig = field(default_factory=AudioTransformerConfig)
        training: PretrainingConfig = field(default_factory=PretrainingConfig)

    options = parse(Pretrain, "pretrain", arguments)
    from inattention.attention.rows import parse_row
    from inattention.corpora.core.corpus import open_corpus
    from inattention.files import check_writable
    from inattention.pretraining.manifest import Run
    from inattention.pretraining.run import check_run, pretrain

    check_run(options.training, options.model.max_length)
    check_writable(options.out)
    row = parse_row(options.row)
    model = replace(options.model, attention=row.mechanism, attention_options=dict(row.options))
    training = replace(options.training, steps=0) if row.untrained else options.training
    run = Run(model, training, open_corpus(options.corpus), options.seed)
    outcome = pretrain(run, options.out, progress=not options.quiet)
    if outcome is not None and not options.quiet:
        print(
            f"held-out masked L1 {outcome.held_out_l1:.4f} (predicting the mean: {outcome.mean_l1:.4f}; "
            f"{outcome.held_out_utterances or 'all'} utterances) "
            f"after {outcome.steps} steps, {outcome.seconds:.0f} s of training"
        )
        if outcome.skipped:
            print(f"{len(outcome.skipped)} cuts could not be used; see {options.out}/outcome.json")
        print(f"model: {options.out}")
    return 0
