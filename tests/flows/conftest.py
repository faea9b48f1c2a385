import atexit
import os
import shutil
import sys
import tempfile

import pytest

# read by Prefect when it is first imported
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL", "INFO")  # as the command line does
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="camaudit-prefect-")  # each process of pytest-xdist its own
# registered before Prefect is imported, so it comes after the end of Prefect's own server
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Keep what needs the server in one process of pytest-xdist: each would start a server of its own."""
    for item in items:
        if "prefect" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("prefect"))


@pytest.fixture(scope="session")
def prefect():
    """One server for all flow tests: starting one takes seconds."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=3600):
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

    before = os.environ.get("PYTHONSAFEPATH")
    yield call
    if before is None:  # the command line sets it, for the processes that it starts
        os.environ.pop("PYTHONSAFEPATH", None)
