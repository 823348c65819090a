"""Run any number of broken inputs through all readers of files, and print the counts."""

import argparse
import sys

from .runner import MAKERS, fuzz


def main() -> int:
    """Return 1 if an input crashed or was too slow, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(MAKERS), nargs="+", default=list(MAKERS))
    options = parser.parse_args()
    each = -(-options.inputs // len(options.only))
    faults = 0
    for kind in options.only:
        outcome = fuzz(kind, each, options.seed)
        counts = ", ".join(f"{outcome.counts[word]} {word}" for word in ("taken", "refused", "crashed", "slow"))
        print(f"{kind:10} {each:6} inputs: {counts}; the slowest {outcome.slowest:.2f} s", flush=True)
        for number, what in outcome.faults:
            print(f"  input {number} of seed {options.seed}: {what}")
        faults += len(outcome.faults)
    print("nothing crashed or hung" if not faults else f"{faults} inputs crashed or hung")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
