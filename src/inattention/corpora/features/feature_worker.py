"""The worker of `stored_features`: computes and stores the frames of some cuts."""

from pathlib import Path
from typing import Any

from inattention.audio.config import FeatureConfig
from inattention.corpora.core.cut_files import cut_from
from inattention.corpora.errors import CorpusError
from inattention.corpora.features.stored_features import PartJob, store_part
from inattention.corpora.workers.serving import serve


def main() -> None:
    """Answer jobs until there are no more."""
    serve(answer, (CorpusError, OSError))


def answer(data: dict[str, Any]) -> dict[str, Any]:
    """Store a part, see `PartJob`; the result is in its summary."""
    job = PartJob(**data)
    cuts = [cut_from(cut, None) for cut in job.cuts]
    store_part(cuts, FeatureConfig(**job.config), Path(job.folder), Path(job.summary))
    return {}


if __name__ == "__main__":
    main()
