import pytest

from camaudit import audit
from tests.pipeline.planted import plant


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """A configuration and its finished run: 24 planted studies of 12 patients, not locked."""
    config = plant(
        tmp_path_factory.mktemp("door"), report={"cases": {"worst": 1, "best": 1, "random": 0}, "pictures": "all"}
    )
    return config, audit(config)
