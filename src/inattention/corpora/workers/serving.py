"""The worker's side of `pool`: jobs on stdin, answers on stdout, a line of JSON each."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]], expected: tuple[type[Exception], ...]) -> None:
    """Answer jobs until there are no more.

    Args:
        answer: Turns a job into its answer, both JSON.
        expected: Errors of a job that are its answer, `{"error": message}`; any other ends the worker.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except expected as error:
            result = {"error": str(error) or type(error).__name__}
        print(json.dumps(result), file=answers, flush=True)
