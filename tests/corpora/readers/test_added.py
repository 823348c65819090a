"""The reader of `docs/adding-a-corpus.md` works as it is printed there."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from inattention.corpora.core.preparation import read_preparation
from recordings import noise, write

PAGE = Path(__file__).parents[3] / "docs/adding-a-corpus.md"


def test_the_example_of_the_documentation_prepares_a_corpus_with_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    module = ModuleType("paths_reader")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code[1], vars(module))
    lines = []
    for number in range(4):
        write(tmp_path / f"wav/{number}.wav", noise(31.0 if number == 3 else 0.3, rate=4000), rate=4000)
        lines.append(f"wav/{number}.wav\tann\n")
    (tmp_path / "paths.tsv").write_text("".join([*lines, "wav/none.wav\tann\n"]))
    config = module.PathsConfig(path=tmp_path / "paths.tsv")
    corpus = module.prepare(config, tmp_path / "out", workers=1, progress=False)
    (recording,) = (c for c in read_preparation(corpus.folder).counts if c.kind == "recording")
    assert (recording.found, recording.used, recording.skipped) == (5, 4, 1)
    assert sum(split["cuts"] for split in corpus.info["splits"].values()) == 5
