"""Convert and measure Whisper with every row of the study, for the table in results/whisper-tiny.

    python recipes/whisper/table.py models/whisper-tiny.en --corpus corpora/queen --out runs/whisper-tiny
    inattention conversions runs/whisper-tiny --out results/whisper-tiny

All rows are distilled for the same number of steps on the same examples, for each of which the teacher runs once
(``--teacher-cache``). Finished conversions are not repeated, so that the same command resumes a table. Two of them may
run at a time, each with its own half of the rows (``--part 0/2`` and ``--part 1/2``).
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

# Three seeds for the rows that conclusions rest on, one for the others.
REPEATED = ("toeplitz@table", "qk", "none", "patterned", "qk@fresh")
ONCE = (
    "uniform",
    "local",
    "toeplitz",
    "fixed-encoder",
    "synthesizer-random",
    "patterned@logits@fresh",
    "shared-qk",
    "synthesizer-dense",
    "synthesizer-dense-multihead",
    "sparse-strided",
    "sparse-fixed",
    "sign-alsh",
    "xbox",
    "xbox-qnf",
    "simple-lsh",
    "simple-alsh",
)
SEEDS = 3


def jobs() -> list[tuple[str, int]]:
    """Return rows and seeds, the first seed of every row first."""
    first = [(row, 0) for row in (*REPEATED, *ONCE)]
    return first + [(row, seed) for seed in range(1, SEEDS) for row in REPEATED]


def run(*arguments: str) -> None:
    """Run a command of inattention; a failure ends the table."""
    print("inattention", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "inattention.cli", *arguments], check=True)


def main() -> None:
    """Convert and measure all rows that are not finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder of the teacher")
    parser.add_argument("--corpus", required=True, help="folder of a prepared corpus with texts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the conversions")
    parser.add_argument(
        "--steps", default="1500", help="steps of distillation per conversion: an hour or less of one thread"
    )
    parser.add_argument("--examples", default="4500", help="different examples, of which each step takes four")
    parser.add_argument("--precision", default="bf16", help="of the distillation: float32 or bf16")
    parser.add_argument("--teacher-cache", type=Path, help="folder of the teacher's outputs; out/teacher by default")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows alone")
    parser.add_argument("--part", default="0/1", help="which part of the rows, such as 0/2")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    chosen = [(row, seed) for row, seed in jobs() if not options.only or row in options.only]
    for row, seed in chosen[part::parts]:
        folder = options.out / f"{row.replace('@', '-')}-{seed}"
        speech = ["--corpus", options.corpus]
        cache = (options.teacher_cache or options.out / "teacher") / str(seed)
        settings = ["--to", row, "--seed", str(seed), "--steps", options.steps, "--examples", options.examples]
        settings += ["--precision", options.precision]
        run("convert", options.model, *speech, *settings, "--teacher-cache", str(cache), "--out", str(folder))
        share_transcripts(options.out, folder)
        run("measure", str(folder), "--against", options.model, *speech, "--out", str(folder))


def share_transcripts(root: Path, folder: Path) -> None:
    """Copy the teacher's transcripts of another conversion, which are the same."""
    for found in root.glob("*/transcripts-teacher-*.jsonl"):
        if found.parent != folder and not (folder / found.name).exists():
            shutil.copy(found, folder / found.name)


if __name__ == "__main__":
    main()
