import pytest

from tests.pipeline.shared_pool import POOL


@pytest.fixture(scope="session", autouse=True)
def _the_shared_pool_ends():
    with POOL:
        yield
