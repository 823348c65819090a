from pathlib import Path

import pytest

from study.fake import fake_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up study with two seeds, one row that was never probed, one that failed, and one never timed."""
    gone = {("probe", "simple-lsh"), ("time", "simple-alsh"), ("pretrain", "xbox-qnf"), ("probe", "xbox-qnf")}
    return fake_study(
        tmp_path_factory.mktemp("studies") / "smoke",
        seeds=(0, 1),
        leave_out=lambda line: (line["kind"], line["row"]) in gone,
        failures=[{"step": "pretrain xbox-qnf-0", "error": "OutOfMemoryError: made up"}],
    )
