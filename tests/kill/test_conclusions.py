"""A run that is ended when its shards are done: as the model is asked again, results are drawn, a report rendered."""

import signal

import pytest

from flows.commands.interrupts import ADVICE
from tests.kill.test_kill import nobody_is_left, undisturbed  # noqa: F401 - a fixture

pytestmark = pytest.mark.kill

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


@pytest.mark.parametrize(
    ("part", "sent"), [*((part, sent) for part in ("asked", "concluded", "rendered") for sent in (TERM, KILL)),
                       ("rendered", INT)]
)  # fmt: skip
def test_a_run_that_is_ended_while_it_concludes(undisturbed, part, sent):  # noqa: F811
    name = f"{part}-{sent.name.lower()}"
    process = undisturbed.start(name, "tests.kill.disturbed", part, str(int(sent)))
    _, error = process.communicate()
    assert process.returncode == (-sent if sent == KILL else 128 + sent), error
    assert error.strip() == ("" if sent == KILL else f"camaudit: {ADVICE}")
    assert nobody_is_left(name)
    (run,) = undisturbed.runs(name)
    assert (run / "results.json").exists() == (part == "rendered")
    assert not (run / "report.pdf").exists()
    if sent != KILL:
        assert not [path for path in run.parent.rglob(".*") if path.is_file()]
    undisturbed.check(name)
