"""Compare the gradients of the two parts of Whisper's distillation loss, which `convert --token-weight` balances.

    python recipes/whisper/gradients.py models/whisper-tiny.en runs/whisper-tiny/toeplitz-table-0 --corpus corpora/queen

For each example: the error of hidden states and the divergence of next tokens, and the norm of the gradient of either
with respect to the encoder's weights, in float32.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.setup import task_of
from inattention.conversion.trained.speech import Examples, corpus_utterances
from inattention.corpora.core.corpus import open_corpus
from inattention.encoders.converted import from_pretrained
from inattention.encoders.trained import load_trained
from inattention.files import write_json
from inattention.provenance import provenance

PARTS = ("hidden", "tokens")


def measure(model: str, converted: str, corpus: Path, count: int) -> list[dict[str, float]]:
    """Return value and gradient norm of both parts of the loss, example by example."""
    teacher: Any = load_trained(model)
    student: Any = from_pretrained(converted)
    task = task_of(teacher, TrainedConversionConfig(token_weight=1.0))
    examples = Examples(corpus_utterances(open_corpus(corpus), "train"), 0, "own")
    weights = task.parameters(student)["weights"]
    found = []
    for index in range(count):
        outputs = task.teacher_outputs(examples[index])
        hidden = task.loss(student, examples[index], outputs, decoder=False)
        both = task.loss(student, examples[index], outputs)
        of_hidden, of_both = (torch.autograd.grad(it.total, weights, allow_unused=True) for it in (hidden, both))
        of_tokens = [b - h for b, h in zip(of_both, of_hidden, strict=True) if b is not None and h is not None]
        norms = [
            float(torch.cat([it.flatten() for it in some if it is not None]).norm()) for some in (of_hidden, of_tokens)
        ]
        found.append(both.parts | {f"{part}_gradient": norm for part, norm in zip(PARTS, norms, strict=True)})
    return found


def main() -> None:
    """Measure, print medians, and write all examples."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder of the teacher")
    parser.add_argument("converted", help="folder of a converted Whisper")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of a prepared corpus with texts")
    parser.add_argument("--examples", type=int, default=24, help="number of examples; default: 24")
    parser.add_argument("--out", type=Path, help="JSON file of all numbers")
    options = parser.parse_args()
    found = measure(options.model, options.converted, options.corpus, options.examples)
    for part in PARTS:
        values, norms = ([it[name] for it in found] for name in (part, f"{part}_gradient"))
        low, middle, high = np.quantile(norms, (0.25, 0.5, 0.75))
        print(f"{part}: median {np.median(values):.3f}, norm of the gradient {middle:.2f} ({low:.2f} to {high:.2f})")
    if options.out:
        names = {"model": Path(options.model).name, "converted": Path(options.converted).name}
        write_json(options.out, names | {"examples": found, "provenance": provenance()})


if __name__ == "__main__":
    main()
