import json
import pickle
import shutil
import subprocess
import sys

import pytest

from inattention.corpora.core.corpus import SPLITS, corpus_key, open_corpus
from inattention.corpora.errors import CorpusError


def copy_of(corpus, folder):
    shutil.copytree(corpus.folder, folder, ignore=shutil.ignore_patterns("*.flac"))
    return folder


def test_a_moved_corpus_still_finds_its_audio(corpus, tmp_path, monkeypatch):
    moved = tmp_path / "elsewhere"
    shutil.copytree(corpus.folder, moved)
    monkeypatch.chdir(tmp_path)
    cuts = open_corpus("elsewhere").cuts("dev")
    monkeypatch.chdir("/")  # a relative name must not bind the cuts to the folder of that moment
    for cut in cuts:  # ty: ignore[not-iterable]  (lhotse annotates its __iter__ as Iterable)
        assert cut.recording.sources[0].source.startswith(str(moved))
        assert cut.load_audio().shape == (1, cut.num_samples)


def test_paths_on_disk_are_relative(corpus):
    from lhotse import CutSet

    for cut in CutSet.from_jsonl_lazy(corpus.folder / "cuts-train.jsonl.gz"):
        assert cut.recording.sources[0].source == f"audio/{cut.supervisions[0].speaker}/{cut.id}.flac"


def test_cuts_are_lazy_and_can_be_sent_to_another_process(corpus):
    cuts = corpus.cuts("train")
    assert cuts.is_lazy
    assert [cut.id for cut in pickle.loads(pickle.dumps(cuts))] == [cut.id for cut in cuts]


def test_cuts_feed_lhotse_samplers_without_a_warning(corpus):
    from lhotse.dataset import DynamicBucketingSampler

    batches = list(DynamicBucketingSampler(corpus.cuts("train"), max_duration=20.0, num_buckets=2, shuffle=True))
    assert sum(len(batch) for batch in batches) == corpus.info["splits"]["train"]["cuts"]


def test_an_unknown_split_is_refused(corpus):
    with pytest.raises(CorpusError, match="no split 'validation': choose from train, dev, test"):
        corpus.cuts("validation")


def test_a_missing_corpus_is_told_how_to_make(tmp_path):
    with pytest.raises(CorpusError, match=r"no prepared corpus in .*nowhere: .*`inattention corpus prepare"):
        open_corpus(tmp_path / "nowhere")


def test_a_file_is_no_corpus(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="no prepared corpus"):
        open_corpus(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": 1, "name"', r"corpus\.json is damaged .*--overwrite"),
        (b"\xff\xfe", r"corpus\.json is damaged"),
        (b"[]", "does not describe a corpus"),
        (b'{"format": ' + b"1" * 5000, r"corpus\.json is damaged"),
        (b"[" * 100_000, r"corpus\.json is damaged"),
        (b'{"format": 1, "name": "espeak", "key": "0", "config": {}, "speakers": [], "splits": {}}', "lacks phones"),
        (
            b'{"format": 1, "name": "x", "key": "0", "config": {}, "phones": [7], "speakers": [], "splits": {}}',
            "lacks sound phones",
        ),
        (
            b'{"format": 1, "name": "x", "key": "0", "config": {}, "phones": [], "speakers": [], "splits": {"dev": 1}}',
            "lacks sound splits",
        ),
    ],
)
def test_a_damaged_description_is_said_to_be_damaged(corpus, tmp_path, content, message):
    folder = copy_of(corpus, tmp_path / "damaged")
    (folder / "corpus.json").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        open_corpus(folder)


def test_another_format_is_refused(corpus, tmp_path):
    folder = copy_of(corpus, tmp_path / "future")
    (folder / "corpus.json").write_text(json.dumps(corpus.info | {"format": 99}))
    with pytest.raises(CorpusError, match="has format 99, this version reads format 1"):
        open_corpus(folder)


@pytest.mark.parametrize("split", SPLITS)
def test_a_missing_split_is_named(corpus, tmp_path, split):
    folder = copy_of(corpus, tmp_path / "incomplete")
    (folder / f"cuts-{split}.jsonl.gz").unlink()
    with pytest.raises(CorpusError, match=rf"lacks cuts-{split}\.jsonl\.gz"):
        open_corpus(folder)


def test_the_key_is_the_same_everywhere_and_changes_with_the_config():
    # A literal, so that a change of the key's definition, which would orphan prepared corpora, is seen.
    assert corpus_key("espeak", {"hours": 1.0, "seed": 0}, 1) == "481d714bb4ee6016"
    assert corpus_key("espeak", {"seed": 0, "hours": 1}, 1) == "481d714bb4ee6016"
    assert corpus_key("espeak", {"hours": 1.0, "seed": 1}, 1) != "481d714bb4ee6016"
    assert corpus_key("espeak", {"hours": 1.0, "seed": 0}, 2) != "481d714bb4ee6016"
    assert corpus_key("queen", {"hours": 1.0, "seed": 0}, 1) != "481d714bb4ee6016"


def test_importing_corpora_is_light():
    code = (
        "import sys\n"
        "import inattention.corpora.readers.espeak.reader, inattention.cli.corpus\n"
        "from inattention.corpora.registry import CORPORA\n"
        "[kind.config_class() for kind in CORPORA.values()]\n"
        "print([name for name in ('torch', 'lhotse', 'numpy', 'scipy', 'soundfile', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
