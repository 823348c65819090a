"""A script without a guard that calls the API is told so, in the process that was started."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from inattention.study.execution.run import run_study
from inattention.study.planning.presets import preset

settings = preset("smoke")
settings = replace(settings, rows=("mel",), corpus={corpus!r}, timed=False)
print("started")
run_study(settings, {out!r}, jobs=2)
"""


@pytest.mark.slow
def test_a_study_in_a_script_without_a_guard_is_explained(tmp_path: Path) -> None:
    from toy_corpus import utterances, write_corpus

    corpus = write_corpus(tmp_path / "toy", utterances())
    script = tmp_path / "study.py"
    script.write_text(SCRIPT.format(corpus=str(corpus.folder), out=str(tmp_path / "out")))
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr
    assert "the script that was started has no guard" in done.stderr
    assert "bootstrapping" not in done.stderr  # nothing of multiprocessing's own, from every worker
    assert done.stderr.count("Traceback") <= 2  # the caller's own, with its cause
