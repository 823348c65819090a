import pytest

from inattention.corpora.commands import prepare_command, show_command
from inattention.corpora.core.description import describe
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.espeak.reader import CAVEAT, EspeakConfig, prepare
from inattention.corpora.registry import CORPORA, corpus_kind


def test_every_registered_corpus_can_be_found():
    for kind in CORPORA.values():
        assert callable(kind.prepare())
        assert kind.config_class()()  # its defaults are valid


def test_espeak_is_registered():
    assert corpus_kind("espeak").config_class() is EspeakConfig
    assert corpus_kind("espeak").prepare() is prepare


def test_an_unknown_corpus_is_told_the_known_ones():
    with pytest.raises(CorpusError, match="no corpus 'espaek': choose from espeak"):
        corpus_kind("espaek")


def test_preparing_what_stands_there_prints_what_it_holds(corpus, capsys):
    config = EspeakConfig(**corpus.info["config"])
    assert prepare_command("espeak", config, corpus.folder, progress=False).key == corpus.key
    assert capsys.readouterr().out.strip() == describe(corpus)


def test_the_description_says_hours_speakers_bad_items_and_the_caveat(corpus, capsys):
    show_command(corpus.folder)
    text = capsys.readouterr().out
    for part in ("train", "dev", "test", "8 speakers, 40 phones", "0 bad items", CAVEAT):
        assert part in text
