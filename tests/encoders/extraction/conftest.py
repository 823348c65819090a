from pathlib import Path

import pytest

from extractions import write_good_files
from small_models import small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    small_model(max_length=48).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    write_good_files(tmp_path / "in")
    return tmp_path / "in"
