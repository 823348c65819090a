"""Every kind of corpus has its module, and every worker that a reader starts exists."""

import importlib
import importlib.util
import inspect

import pytest

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels import alignment_jobs
from inattention.corpora.readers.espeak import reader as espeak
from inattention.corpora.readers.queen import reader as queen
from inattention.corpora.registry import CORPORA, Prepare, corpus_kind


@pytest.mark.parametrize("name", CORPORA)
def test_every_kind_has_settings_with_defaults_and_the_common_prepare(name: str) -> None:
    kind = corpus_kind(name)
    config = kind.config_class()
    config()
    assert name == importlib.import_module(kind.module).NAME
    wanted = list(inspect.signature(Prepare.__call__).parameters.values())[1:]
    found = list(inspect.signature(kind.prepare()).parameters.values())
    assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in wanted]


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CorpusError, match="there is no corpus 'esepak': choose from espeak, "):
        corpus_kind("esepak")


@pytest.mark.parametrize("module", [alignment_jobs, espeak, queen], ids=lambda module: module.__name__)
def test_the_worker_that_a_module_starts_can_be_run(module) -> None:
    worker = importlib.util.find_spec(module._WORKER)
    assert worker is not None
    assert worker.loader is not None
    assert 'if __name__ == "__main__":' in inspect.getsource(importlib.import_module(module._WORKER))
