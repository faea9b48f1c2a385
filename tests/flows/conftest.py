import os
import sys
import tempfile

import pytest

# read by Prefect when it is first imported
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="camaudit-prefect-"))


@pytest.fixture(scope="session")
def prefect():
    """One server for all flow tests: starting one takes seconds."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def camaudit(monkeypatch, capsys):
    """Return a function that runs the command line in this process: exit code, standard output, standard error."""
    from flows import cli

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["camaudit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        output = capsys.readouterr()
        return stopped.value.code, output.out, output.err

    return call
