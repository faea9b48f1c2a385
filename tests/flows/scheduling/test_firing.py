"""When a schedule fires, and which firings are too late."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from flows.scheduling.firing import Firing
from flows.scheduling.schedule import first_missed
from pipeline.errors import ConfigError


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("firing", "moment", "following"),
    [
        (Firing("0 2 * * *"), "2026-03-01T02:00", "2026-03-02T02:00"),
        (Firing("0 2 * * *"), "2026-03-01T01:59", "2026-03-01T02:00"),
        (Firing("0 2 * * *", timezone="Europe/Berlin"), "2026-01-10T01:00", "2026-01-11T01:00"),
        (Firing("0 2 * * *", timezone="Europe/Berlin"), "2026-07-10T00:00", "2026-07-11T00:00"),
        (Firing(every=timedelta(hours=6)), "2026-03-01T02:00", "2026-03-01T08:00"),
    ],
)
def test_the_next_firing(firing, moment, following):
    assert firing.next_after(at(moment)) == at(following)


@pytest.mark.parametrize(("text", "hours"), [("30m", 0.5), ("6h", 6), ("1d", 24), ("90s", 0.025)])
def test_a_time_is_read(text, hours):
    assert Firing.of(None, text, "UTC") == Firing(every=timedelta(hours=hours))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, None, "UTC"), "needs one of --cron, --every and --on-arrival"),
        (("0 2 * * *", "6h", "UTC"), "needs one of --cron, --every and --on-arrival"),
        (("2 o'clock", None, "UTC"), "not a cron expression"),
        (("0 2 * * * 30", None, "UTC"), "not a cron expression"),
        (("R 2 * * *", None, "UTC"), "not a cron expression"),
        (("0 2 30 2 *", None, "UTC"), "never comes"),
        ((None, "6 hours", "UTC"), "not a time such as"),
        ((None, "0h", "UTC"), "not a time such as"),
        (("0 2 * * *", None, "Berlin"), "not a time zone"),
        (("0 2 * * *", None, "../etc/passwd"), "not a time zone"),
    ],
)
def test_what_cannot_be_read_is_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Firing.of(*arguments)


def run_folder(config, name, *, is_finished=True):
    folder = config.run.output / config.name / name
    folder.mkdir(parents=True)
    if is_finished:
        (folder / "results.json").write_text("{}")


def test_what_was_missed_is_counted_from_the_last_finished_run(tmp_path):
    config = SimpleNamespace(name="night", run=SimpleNamespace(output=tmp_path))
    daily, now = Firing("0 2 * * *"), at("2026-03-05T12:00")
    assert first_missed(config, daily, now) is None
    run_folder(config, "20260301T020001000Z-aaaa")
    run_folder(config, "20260305T020001000Z-bbbb", is_finished=False)
    run_folder(config, "notes")
    assert first_missed(config, daily, now) == at("2026-03-02T02:00")
    run_folder(config, "20260305T020001000Z-cccc")
    assert first_missed(config, daily, now) is None
