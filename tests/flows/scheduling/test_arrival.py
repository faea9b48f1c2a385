"""A schedule that waits for arrivals: what came before it counts, and a run under way is not started beside."""

import asyncio
from datetime import timedelta

import pytest

from flows.scheduling import arrival
from flows.scheduling.arrival import Arrival, check_watched, watch_archive
from pipeline.config_file import load_config
from pipeline.errors import ConfigError
from tests.pipeline.planted import plant, write_study


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(arrival, "_SHORTEST", 0.01)
    return load_config(plant(tmp_path, 3))


def watched(config, answers, after):
    """Watch until ``start`` has been asked for each of ``answers``; ``after`` is called each time."""
    asked = []

    async def watch():
        done = asyncio.Event()

        async def start():
            asked.append(answers[len(asked)])
            after(len(asked))
            if len(asked) == len(answers):
                done.set()
            return asked[-1]

        watching = asyncio.create_task(watch_archive(config, Arrival(timedelta(0)), start))
        await done.wait()
        watching.cancel()

    asyncio.run(watch())
    return asked


def test_what_is_there_counts_and_a_new_file_counts_again(config):
    def after(times):
        if times == 1:
            write_study(config.archive.path, 9, True)

    assert watched(config, [True, True], after) == [True, True]


def test_while_a_run_is_under_way_the_arrival_waits(config):
    assert watched(config, [False, False, True], lambda _times: None) == [False, False, True]


@pytest.mark.parametrize(("seconds", "pause"), [(1, 1.0), (120, 20.0), (86400, 60.0)])
def test_how_often_it_looks(seconds, pause):
    assert Arrival(timedelta(seconds=seconds)).pause == pause


def test_a_server_is_not_watched(config):
    served = config.archive.model_copy(update={"dicomweb": "https://pacs.example/dicomweb"})
    with pytest.raises(ConfigError, match="a DICOMweb server is no folder that can be watched; use --every"):
        check_watched(config.model_copy(update={"archive": served}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--on-arrival", "soon"), "--on-arrival: 'soon' is not a time such as 30m, 6h or 1d"),
        (("--on-arrival", "2m", "--every", "1d"), "needs one of --cron, --every and --on-arrival"),
        ((), "needs one of --cron, --every and --on-arrival"),
        (("--every", "1d", "--notify", "/nowhere/program"), "--notify: there is no program '/nowhere/program'"),
        (("--every", "1d", "--notify", "'"), "cannot be split into a program and its arguments"),
    ],
)
def test_what_a_schedule_refuses(arguments, words, tmp_path, camaudit):
    code, _, err = camaudit("schedule", plant(tmp_path, 3), *arguments)
    assert code == 2
    assert words in err
